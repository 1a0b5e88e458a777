"""`chargeback prune`: what it says, and what is said afterwards."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.upkeep import damaged, fields

_ROOT = Path(__file__).parents[2]
_PRUNES = ("--set", "retention.records=1us")


def test_without_a_retention_nothing_is_pruned(two_months: Command) -> None:
    ended = two_months.ok("prune")
    assert ended.out == "(none)\n"
    assert ended.err == "retention.records is off: all usage records are kept.\n"
    assert two_months.ok("prune", "-o", "json").json == {"pruned": []}


def test_a_rehearsal_says_what_would_go(two_months: Command) -> None:
    pruning = two_months.having(*_PRUNES)
    ended = pruning.ok("prune", "--dry-run")
    assert "Nothing was written." in ended.err
    heading, _, row, *_ = fields(ended.out)
    assert heading == ["Period", "Closed", "Usage", "records", "Dropped"]
    assert (row[0], row[-2:]) == ("2026-09", ["3", "0"])
    (document,) = pruning.ok("prune", "--dry-run", "-o", "json").json["pruned"]
    assert (document["records"], document["dropped"], document["dry_run"]) == ("3", "0", True)
    assert pruning.ok("verify", "-o", "json").json["verify"]["pruned"] == []


def test_pruned_records_are_said_to_be_gone(two_months: Command) -> None:
    pruning = two_months.having(*_PRUNES)
    (row,) = pruning.ok("prune", "-o", "json").json["pruned"]
    assert (row["period"], row["dropped"], row["done"]) == ("2026-09", "3", True)
    assert pruning.ok("prune", "-o", "csv").out == (
        "period,closed_at,records,dropped,done,dry_run\n"
    )
    told = "3 usage records billed in 2026-09 were dropped after retention.records, on "
    verified = two_months.ok("verify").out
    assert told in verified
    assert verified.endswith("Everything agrees.\n")
    explained = two_months.ok("explain", "INV-202609-0001", "--line", "1").out
    assert f"1 record not there any more: {told}" in explained
    assert "not shown" not in explained
    (gone,) = two_months.ok("report", "team", "T", "--period", "2026-09", "-o", "json").json[
        "report"
    ]["pruned"]
    assert (gone["period"], gone["record_count"]) == ("2026-09", "3")


# It kills itself before that commit: the first one begins, the next three drop one record each, and
# the last one ends it.
_KILLED = """
import os, signal, sys
from functools import partial
from chargeback_worker.cli import main, prune
from chargeback_worker.store import pruned

_, last, *arguments = sys.argv
noted, note = [], pruned.note

def note_and_end(transaction, gone):
    note(transaction, gone)
    noted.append(gone)
    if len(noted) == int(last):
        os.kill(os.getpid(), signal.SIGKILL)

pruned.note = note_and_end
prune.prune_step = partial(prune.prune_step, at_once=1)
sys.argv = ["chargeback", *arguments]
main()
"""


@pytest.mark.parametrize("last", [1, 2, 4, 5])
def test_killed_anywhere_it_is_gone_on_with(two_months: Command, last: int) -> None:
    pruning = two_months.having(*_PRUNES)
    arguments = [str(last), *pruning.options, "prune", "--reason", "killed"]
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, *arguments], capture_output=True, cwd=_ROOT
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    gone = two_months.ok("verify", "-o", "json").json["verify"]["pruned"]
    assert [row["record_count"] for row in gone] == ([str(last - 2)] if last > 2 else [])
    (row,) = pruning.ok("prune", "-o", "json").json["pruned"]
    assert (row["records"], row["dropped"]) == (str(5 - max(last, 2)), str(5 - max(last, 2)))
    assert row["done"] is True
    (all_,) = two_months.ok("verify", "-o", "json").json["verify"]["pruned"]
    assert (all_["record_count"], all_["ended_at"] is None) == ("3", False)


def test_records_that_differ_are_refused(two_months: Command) -> None:
    damaged(two_months, "DELETE FROM usage_record WHERE usage_id = 'b'")
    ended = two_months.having(*_PRUNES)("prune")
    assert (ended.code, ended.out) == (5, "")
    assert "Error: The usage records of 2026-09 that 2026-09 bills do not sum" in ended.err
    assert "-> See what differs: chargeback verify --period 2026-09" in ended.err
