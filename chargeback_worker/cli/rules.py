"""`chargeback rules`: who bears which cost, as rules with versions."""

from typing import Annotated, Any

import typer

from chargeback_worker.allocation.rule import Rule
from chargeback_worker.allocation.warnings import RuleWarning
from chargeback_worker.cli.output import (
    Column,
    Format,
    Output,
    escaped,
    moment,
    note,
    number,
    show,
    show_table,
    text,
)
from chargeback_worker.cli.question import Reason, Yes, ask
from chargeback_worker.cli.session import session
from chargeback_worker.cli.written.file import read_written_file
from chargeback_worker.invoicing.document import Document
from chargeback_worker.pipeline.save_rules import SavedRules, delete_rule, save_rules
from chargeback_worker.reports.rules import list_rules, show_rule, show_versions

rules = typer.Typer(help="The rules that decide who bears which cost.", no_args_is_help=True)

_RULES = (
    Column("rule_id", "Rule"),
    number("version", "Version", text),
    Column("rule_type", "Type"),
    number("priority", "Priority", text),
    Column("enabled", "Enabled"),
    Column("effective_from", "From", spare=3),
    Column("effective_to", "To", spare=3),
    Column("team_id", "Team", spare=4),
    Column("name", "Name", spare=2),
    Column("updated_at", "Written", moment, spare=5),
    Column("warnings", "Warnings", lambda found: ", ".join(one["warning"] for one in found)),
    Column("description", wide=True),
    Column("user_ids", wide=True),
    Column("split_percentages", wide=True),
    Column("allocation_metadata", wide=True),
    Column("created_at", wide=True),
)
_WRITTEN = (
    Column("rule_id", "Rule"),
    number("version", "Version", text),
    Column("outcome", "Outcome"),
    Column("warnings", "Warnings", lambda found: ", ".join(one["warning"] for one in found)),
)
RuleId = Annotated[str, typer.Argument(metavar="ID", help="The rule's id.")]


@rules.command("list", epilog="Example: chargeback rules list --enabled-only")
def list_(
    context: typer.Context,
    team: Annotated[str | None, typer.Option(help="Only rules about this team.")] = None,
    enabled_only: Annotated[
        bool, typer.Option("--enabled-only", help="Leave out those that are disabled.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """List the rules in the order in which they claim cost."""
    with session(context).opened() as opened:
        document = list_rules(opened.store, team=team, enabled_only=enabled_only)
    found = document["rules"]
    show(document, output, rows=found, columns=_RULES)
    if output is Format.TABLE:
        _note_warnings(found)


@rules.command("show", epilog="Example: chargeback rules show rent --version 2")
def show_(
    context: typer.Context,
    rule_id: RuleId,
    version: Annotated[
        int | None, typer.Option(help="One of its versions; they stay when it is deleted.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Show one rule: as it was written, what it was resolved to, and what it does in words."""
    with session(context).opened() as opened:
        document = show_rule(opened.store, rule_id, version)
    found = document["rule"]
    show(document, output, rows=[found], columns=_RULES, people=lambda: _people(found))


@rules.command(epilog="Example: chargeback rules apply config/rules.example.yaml")
def apply(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="YAML or JSON; - is standard input.")],
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete all rules that the file does not name.")
    ] = False,
    reason: Reason = None,
    yes: Yes = False,
    output: Output = Format.TABLE,
) -> None:
    """Write the rules of a file: one rule, or a list under `rules:`; all of them or none.

    Each is stated whole. A changed one makes a version, which covers all days of months that are
    not closed, or those from effective_from to effective_to. The same again changes nothing.
    """
    written = read_written_file(file)
    if prune:
        ask("Delete all rules that the file does not name?", yes)
    with session(context).opened() as opened, written.told():
        saved = save_rules(opened.store, written.document, opened.act(reason), prune=prune)
        outcomes = _outcomes(saved)
        shown = show_versions(opened.store, [of_rule[:2] for of_rule in outcomes])
        rows = [
            {**found, "outcome": outcome}
            for found, (*_, outcome) in zip(shown, outcomes, strict=True)
        ]
    show({"rules": rows}, output, rows=rows, columns=_WRITTEN)
    if output is Format.TABLE:
        _note_warnings(rows)


@rules.command(epilog="Example: chargeback rules delete rent --reason 'the lease ended'")
def delete(
    context: typer.Context,
    rule_id: RuleId,
    reason: Reason = None,
    yes: Yes = False,
    output: Output = Format.TABLE,
) -> None:
    """End a rule for all days of months that are not closed. Its versions stay."""
    ask(f"Delete the rule {rule_id}?", yes)
    with session(context).opened() as opened:
        ended = delete_rule(opened.store, rule_id, opened.act(reason))
    row = {"rule_id": rule_id, "version": ended.version, "outcome": "deleted", "warnings": []}
    show({"message": f"Rule {rule_id} is deleted"}, output, rows=[row], columns=_WRITTEN)


def _outcomes(saved: SavedRules) -> list[tuple[Rule, tuple[RuleWarning, ...], str]]:
    return [
        *(
            (one.rule, one.warnings, "written" if one.changed else "as before")
            for one in saved.written
        ),
        *((rule, (), "deleted") for rule in saved.deleted),
    ]


def _people(found: Document) -> None:
    state = "deleted" if found["deleted"] else "enabled" if found["enabled"] else "disabled"
    typer.echo(
        f"Rule {escaped(found['rule_id'])}@{found['version']} ({escaped(found['rule_type'])},"
        f" {state}, priority {found['priority']}), written {moment(found['updated_at'])}"
    )
    for field in ("name", "description"):
        if found[field]:
            typer.echo(escaped(found[field]))
    typer.echo(escaped(found["in_words"]))
    for field, heading in _SHOWN.items():
        if found[field]:
            typer.echo(f"  {heading}: {escaped(text(found[field]))}")
    if found["resolved"]:
        resolved = [{"receiver": key, "is": found["resolved"][key]} for key in found["resolved"]]
        show_table(resolved, _RESOLVED)
    _note_warnings([found])


_SHOWN = {
    "team_id": "only team",
    "user_ids": "users",
    "split_percentages": "percentages",
    "allocation_metadata": "metadata",
    "effective_from": "from",
    "effective_to": "to (exclusive)",
}
_RESOLVED = (Column("receiver", "Named"), Column("is", "Is"))


def _note_warnings(found: list[dict[str, Any]]) -> None:
    for rule in found:
        for warning in rule["warnings"]:
            note(f"Warning: {escaped(warning['message'])}")
