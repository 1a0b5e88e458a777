"""Files as people have them: packed, piped, broken, and full of what nobody can read."""

import gzip
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.poison import CORPUS

GOOD = (
    b'{"usage_id": "%d", "timestamp": "2026-09-14T10:00:00Z", "team_id": "A", "user_id": "x",'
    b' "resource_type": "query", "quantity": 3, "cost_usd": 1.25}\n'
)


def _lines(count: int) -> bytes:
    return b"".join(GOOD % number for number in range(count))


def test_the_same_content_is_known_by_any_name_and_packing(
    chargeback: Command, tmp_path: Path
) -> None:
    plain, packed = tmp_path / "usage.jsonl", tmp_path / "usage.jsonl.gz"
    plain.write_bytes(_lines(20))
    packed.write_bytes(gzip.compress(_lines(20)))
    chargeback.ok("ingest", str(plain))
    for name, stdin in ((str(packed), None), ("-", plain.read_bytes()), ("-", packed.read_bytes())):
        (again,) = chargeback.ok("ingest", name, "-o", "json", stdin=stdin).json["files"]
        assert (again["read"], again["total"]["accepted"]) == ("0", "20")


def test_a_file_goes_on_where_it_was_broken_off(
    chargeback: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chargeback_worker.cli.lines import UsageFile

    file = tmp_path / "usage.jsonl"
    file.write_bytes(_lines(20))
    read = UsageFile.lines

    def broken_off(self: UsageFile, bytes_max: int) -> object:
        for number, line in enumerate(read(self, bytes_max)):
            if number == 12:
                raise KeyboardInterrupt
            yield line

    small = chargeback.having("--set", "ingest.batch_events=5")
    with monkeypatch.context() as patch:
        patch.setattr(UsageFile, "lines", broken_off)
        assert small("ingest", str(file)).code == 130
    (rest,) = small.ok("ingest", str(file), "-o", "json").json["files"]
    assert (rest["resumed_at"], rest["accepted"], rest["duplicate"]) == ("10", "10", "0")
    assert rest["total"]["accepted"] == "20"


def test_what_nobody_can_read_is_kept_apart_and_stops_nothing(
    chargeback: Command, tmp_path: Path
) -> None:
    poison = [
        raw.value
        for raw in (poison.raw for poison in CORPUS)
        if raw.value and raw.value.strip() and b"\n" not in raw.value and not raw.headers
    ]
    file = tmp_path / "usage.jsonl"
    file.write_bytes(b"".join(GOOD % n + value + b"\n" for n, value in enumerate(poison)))
    ended = chargeback.ok("ingest", str(file), "-o", "json")
    (found,) = ended.json["files"]
    assert int(found["accepted"]) == len(poison)
    assert int(found["quarantined"]) == len(poison)
    assert "chargeback quarantine list" in ended.err
    chargeback.ok("verify")


def test_a_file_of_which_all_was_refused_ends_with_5_each_time(
    sqlite_chargeback: Command,
) -> None:
    for _ in range(2):
        assert sqlite_chargeback("ingest", "-", stdin=b"a,b,c\n1,2,3\n").code == 5


def test_an_empty_file_is_no_fault(sqlite_chargeback: Command, tmp_path: Path) -> None:
    for name, content in (("none", b""), ("blank", b"\n \n"), ("packed.gz", gzip.compress(b""))):
        (tmp_path / name).write_bytes(content)
        sqlite_chargeback.ok("ingest", str(tmp_path / name))


def test_conflicts_are_told(sqlite_chargeback: Command) -> None:
    other = GOOD % 1
    ended = sqlite_chargeback.ok("ingest", "-", "-o", "json", stdin=other.replace(b"1.25", b"2"))
    ended = sqlite_chargeback.ok("ingest", "-", "-o", "json", stdin=other)
    assert ended.json["files"][0]["conflict"] == "1"
    assert "A conflict is" in ended.err


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("usage.gz", b'{"usage_id": 1}\n', "is called .gz but is not gzip"),
        ("usage.gz", gzip.compress(_lines(900))[:-40], "is damaged gzip"),
        ("usage", gzip.compress(_lines(900))[:-40], "is damaged gzip"),
    ],
)
def test_a_damaged_file_is_refused_before_anything_of_it_is_counted(
    sqlite_chargeback: Command, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    ended = sqlite_chargeback("ingest", str(tmp_path / name))
    assert ended.code == 2
    assert words in ended.err
    assert sqlite_chargeback.ok("offsets", "show", "-o", "json").json["offsets"] == []


def test_one_missing_file_of_several_stops_all_before_the_first(
    sqlite_chargeback: Command, tmp_path: Path
) -> None:
    (tmp_path / "good").write_bytes(_lines(3))
    ended = sqlite_chargeback("ingest", str(tmp_path / "good"), str(tmp_path))
    assert ended.code == 2
    assert "it is a folder" in ended.err
    assert sqlite_chargeback.ok("offsets", "show", "-o", "json").json["offsets"] == []
