import io
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chargeback_worker.allocation.directory import EMPTY
from chargeback_worker.allocation.writing.directory import read_directory
from chargeback_worker.allocation.writing.place import Number
from chargeback_worker.allocation.writing.rules import read_rules
from chargeback_worker.cli.written.file import (
    BYTES_MAX,
    FileRefused,
    NotWellFormed,
    WrittenFile,
    WrittenFileUnreadable,
    read_written_file,
)
from chargeback_worker.cli.written.json_tree import json_tree
from chargeback_worker.cli.written.tree import NESTING_MAX, Misread
from chargeback_worker.cli.written.yaml_tree import yaml_tree
from tests.support.written_documents import anything, written_rules

CONFIG = Path(__file__).parents[3] / "config"
RULES = """\
rules:
  - rule_id: rent   # a comment
    rule_type: fixed_split
    split_percentages: {team:A: 50, B: 40}
    allocation_metadata:
      match:
        labels:
          projet: [x]
        teams:
          []
  - rule_type: by_usage
"""

characters = st.text(
    st.sampled_from("ab:-[]{},\"'&*!|>#%~ \t\n\\<01.") | st.characters(), max_size=40
)


def write(folder: Path, content: str | bytes, name: str = "rules.yaml") -> WrittenFile:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_written_file(str(path))


def fault_of(folder: Path, content: str | bytes, name: str = "rules.yaml") -> str:
    with pytest.raises(NotWellFormed) as fault:
        write(folder, content, name)
    return str(fault.value).removeprefix(f"{folder}/")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.binary(max_size=60) | characters.map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes_are_a_document_or_our_refusal(tmp_path: Path, content: bytes) -> None:
    for name in ("rules.yaml", "rules.json", "rules"):
        try:
            write(tmp_path, content, name)
        except (NotWellFormed, WrittenFileUnreadable) as refused:
            told = str(refused)
        else:
            told = ""
        assert told.isprintable()


def _as_json(document: Any) -> Any:
    """As it comes back: numbers are their digits, keys are texts."""
    match document:
        case bool() | None:
            return document
        case dict():
            return {str(key): _as_json(value) for key, value in document.items()}
        case list():
            return [_as_json(value) for value in document]
        case _:
            return str(document)


def _dumped(document: Any, **how: Any) -> str:
    return json.dumps(document, default=str, **how)


@given(anything, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_json_is_read_as_it_is_and_yaml_reads_it_too(
    document: Any, ascii_only: bool, indent: int | str | None
) -> None:
    text = _dumped(document, ensure_ascii=ascii_only, indent=indent)
    expected = _as_json(json.loads(text, parse_int=str, parse_float=str))
    assert json_tree(text).value == expected
    if indent != "\t" and text.isprintable() and "\\u" not in text:
        assert yaml_tree(text).value == expected


@given(written_rules())
def test_rules_in_a_file_are_the_rules_that_were_written(document: dict[str, Any]) -> None:
    rule = _as_json(document)
    text = yaml.safe_dump({"rules": [rule]}, allow_unicode=True, sort_keys=False)
    assert yaml_tree(text).value == {"rules": [rule]}


def test_only_null_truth_and_numbers_are_anything_but_texts(tmp_path: Path) -> None:
    read = write(
        tmp_path,
        "[null, ~, , true, false, yes, No, True, on, 007, 7, -0.50, 1e3, 1_000, 0x1F, .5, +5, "
        "2026-10-01, 12:30:00, NULL, 'null', \"5\", .inf]\n".replace("~, ,", "~,"),
    ).document
    assert isinstance(read, list)
    assert read[:4] == [None, None, True, False]
    assert read[4:] == [
        *("yes", "No", "True", "on", "007", "7", "-0.50", "1e3", "1_000", "0x1F", ".5", "+5"),
        *("2026-10-01", "12:30:00", "NULL", "null", "5", ".inf"),
    ]
    assert [str(value) for value in read if isinstance(value, Number)] == ["7", "-0.50", "1e3"]


def test_everything_has_its_line_and_column(tmp_path: Path) -> None:
    file = write(tmp_path, RULES)
    assert file.place(()) == (1, 1)
    assert file.place(("rules", 0)) == (2, 5)
    assert file.place(("rules", 0, "split_percentages", "B")) == (4, 37)
    match = ("rules", 0, "allocation_metadata", "match")
    assert file.place((*match, "labels", "projet", 0)) == (8, 20)
    assert file.place((*match, "labels", "project", 0)) == (7, 9)
    assert file.place(("rules", 1, "rule_id")) == (11, 5)


def test_every_fault_is_told_with_its_line_and_column(tmp_path: Path) -> None:
    file = write(tmp_path, RULES)
    with pytest.raises(FileRefused) as refused, file.told():
        read_rules(file.document, labels=["project"], directory=EMPTY)
    lines = str(refused.value).replace(f"{tmp_path}/", "").splitlines()
    assert lines == [
        "rules.yaml has 4 faults:",
        "  rules.yaml:4:5: rule 'rent', split_percentages: they sum to 90, not to exactly 100",
        "  rules.yaml:8:11: rule 'rent', allocation_metadata.match.labels.projet: 'projet' is no "
        "label of the totals (grain.labels); did you mean project?",
        "  rules.yaml:9:9: rule 'rent', allocation_metadata.match.teams = a list: must not be "
        "empty; leave the field out where it asks nothing",
        "  rules.yaml:11:5: rule 2, rule_id: is missing; every rule needs an id",
    ]
    assert "Nothing was stored" in refused.value.hint


def test_json_may_have_tabs_and_any_name(tmp_path: Path) -> None:
    text = '{\n\t"rules": [\n\t\t{"rule_id": 7, "x": 1.50}\n\t]\n}'
    for name in ("rules.json", "rules", "rules.yaml"):
        file = write(tmp_path, text, name)
        assert file.document == {"rules": [{"rule_id": "7", "x": "1.50"}]}
        assert file.place(("rules", 0, "x")) == (3, 18)
    assert write(tmp_path, "\ufeff{a: b}", "rules").document == {"a": "b"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a:\n\t- b", "rules.yaml:2:1: a tab stands there; YAML is indented with spaces."),
        ("a: 1\nb: 2\na: 3", "rules.yaml:3:1: 'a' stands there twice; it is in line 1 already."),
        ("a: 1\n---\nb: 2", "rules.yaml:2:1: a second document begins there"),
        ("# nothing\n", "rules.yaml:1:1: the file is empty."),
        ("a: [b\nc: d", "rules.yaml:2:"),
        ("a: 'b", "rules.yaml:1:"),
        ("- *x", "rules.yaml:1:3: *x repeats an anchor that there is not before it."),
        ("&a [*a]", "rules.yaml:1:5: it repeats something that it is itself a part of."),
        ("a: !!python/object:os.x y", "rules.yaml:1:4: the tag tag:yaml.org,2002:python"),
        ("a: &x {}\nb:\n  <<: *x", "rules.yaml:3:3: << merges nothing here"),
        ("? [a]\n: b", "rules.yaml:1:3: a key must be a text"),
        ("&x a: b", "rules.yaml:1:1: a key cannot be an anchor"),
        ("- &x a\n- *x : b", "rules.yaml:2:3: a key must be written out"),
        ("a: \x07", "rules.yaml:1:4: the character '\\x07' cannot stand in YAML."),
        ("[" * 99, "rules.yaml:1:65: its lists and mappings nest deeper than 64 levels."),
    ],
)
def test_a_mistake_in_yaml_is_told_with_line_and_column(
    tmp_path: Path, content: str, told: str
) -> None:
    assert told in fault_of(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{\n\t"a": [1,]\n}', "rules.json:2:10: it is no JSON:"),
        ('{"a": 1,\n "a": 2}', "rules.json:2:2: 'a' stands there twice; it is in line 1 already."),
        ('{"a": NaN}', "rules.json:1:7: NaN is no number that JSON knows."),
        ("[-Infinity]", "rules.json:1:2: -Infinity is no number that JSON knows."),
        ("", "rules.json:1:1: it is no JSON:"),
        ("a: b", "rules.json:1:1: it is no JSON:"),
        ("[" * 99 + "]" * 99, "rules.json:1:65: its lists and mappings nest deeper than 64"),
        ("[" * 99_999, "rules.json:1:1: its lists and mappings nest deeper than 64 levels."),
    ],
)
def test_a_mistake_in_json_is_told_with_line_and_column(
    tmp_path: Path, content: str, told: str
) -> None:
    assert told in fault_of(tmp_path, content, "rules.json")


def test_aliases_repeat_what_they_name_within_bounds(tmp_path: Path) -> None:
    file = write(tmp_path, "a: &x [1, {b: c}]\nd: *x\n")
    assert file.document == {"a": ["1", {"b": "c"}], "d": ["1", {"b": "c"}]}
    assert file.place(("d",)) == (2, 1)
    assert file.place(("d", 1, "b")) == (1, 12)
    bomb = ["a: &x0 [1]", *(f"a{n}: &x{n} [{f'*x{n - 1},' * 9}]" for n in range(1, 20))]
    assert "it holds more than 500,000 values" in fault_of(tmp_path, "\n".join(bomb))
    tower = ["- &x0 [1]", *(f"- &x{n} [*x{n - 1}]" for n in range(1, 99))]
    assert f"deeper than {NESTING_MAX} levels" in fault_of(tmp_path, "\n".join(tower))


def test_what_is_no_text_or_too_large_or_not_there_is_refused(tmp_path: Path) -> None:
    for content, told in (
        (b"a: b\nc: \xff", "line 2 has the byte 0xff"),
        (b"#" * (BYTES_MAX + 1), "it has more than 16 MiB"),
    ):
        with pytest.raises(WrittenFileUnreadable, match=told):
            write(tmp_path, content)
    for name in (str(tmp_path / "absent.yaml"), str(tmp_path), "a\0b"):
        with pytest.raises(WrittenFileUnreadable, match="cannot be read"):
            read_written_file(name)


def test_standard_input_is_read_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a: 33.3")))
    file = read_written_file("-")
    assert (file.name, file.document) == ("standard input", {"a": "33.3"})


def test_the_parser_in_python_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    here = "chargeback_worker.cli.written.yaml_tree._LOADER"
    texts = [path.read_text() for path in sorted(CONFIG.glob("*.yaml"))]
    fast = [yaml_tree(text) for text in [RULES, *texts]]
    monkeypatch.setattr(here, yaml.SafeLoader)
    assert [yaml_tree(text) for text in [RULES, *texts]] == fast
    with pytest.raises(Misread, match="a tab stands there"):
        yaml_tree("a:\n\t- b")


def test_the_example_of_rules_shows_every_type_and_is_refused_for_nothing() -> None:
    file = read_written_file(str(CONFIG / "rules.example.yaml"))
    directory = read_written_file(str(CONFIG / "directory.example.yaml"))
    with file.told(), directory.told():
        known = read_directory(directory.document).directory(1)
        rules = read_rules(file.document, labels=(), directory=known)
    types = {"by_usage", "by_team", "by_user", "fixed_split", "equal_split"}
    assert {rule.rule_type for rule in rules} == types
    assert any(rule.priority_given for rule in rules)
    assert any(rule.effective_from and rule.effective_to for rule in rules)
    assert any(rule.receivers for rule in rules)
    assert any(rule.driver_resource_types for rule in rules)
    assert {"007", "C-12"} <= {
        team["cost_centre"] for team in read_directory(directory.document).document["teams"]
    }
    assert known.tax_rate_nano("search") == int(Decimal("0.19").scaleb(9))


def test_what_the_examples_comment_out_is_right_too() -> None:
    lines = (CONFIG / "rules.example.yaml").read_text().splitlines()
    shown = [
        line.replace("# ", "", 1) if line.startswith("      # receivers:") else line
        for line in lines
    ]
    labels = "\n".join(shown).replace("        # labels:", "        labels:")
    text = labels.replace("        #   project:", "          project:")
    assert text.count("project: [apollo, null]") == 1
    rules = read_rules(yaml_tree(text).value, labels=["project"], directory=EMPTY)
    by_id = {rule.rule_id: rule for rule in rules}
    assert by_id["experiments"].match.labels == (("project", ("apollo", None)),)
    assert [named.pair.key for named in by_id["shared-platform"].receivers] == [
        "team:search",
        "team:ads",
    ]
