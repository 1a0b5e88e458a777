"""README and the pages of docs: every block of commands runs, and shows what the page says.

The blocks of a page run in its order, in a folder of their own, with the real program, a broker and
a database; only addresses are put in place of those on the page. `make` is asked what it would do.
A worker that a page starts runs to its end. What cannot be run says so on the page, and its
commands and options must be there.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from chargeback_worker.broker.embedded import EmbeddedBroker
from chargeback_worker.cli.door import ExitCode
from chargeback_worker.cli.program import program
from chargeback_worker.usage.event import Grain, RawEvent, Reader, UsageEvent
from chargeback_worker.worker.lifecycle import STUCK_EXIT_CODE
from tests.support.feed import NOW_US
from tests.support.ladder import free_ports
from tests.support.pages import ROOT, Block, Shell, blocks, environment, option_names, shows
from tests.support.postgres import PostgresServer
from tests.support.warm_command import warm_command

README = (ROOT / "README.md").read_text()
PAGES = ["README.md", *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))]
LANGUAGES = {"sh", "python", "json", "text", "picture"}
WITH_COMMANDS = [
    page for page in PAGES if any(b.language in ("sh", "python") for b in blocks(page))
]


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("bin")
    with warm_command(folder):
        yield folder


@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_a_page_does_what_it_says(
    page: str, warm: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if shutil.which("curl") is None and any("curl " in one.text for one in blocks(page)):
        pytest.skip("there is no curl")
    api = free_ports(2)
    metrics = api + 1
    folder = tmp_path / "page"
    folder.mkdir()
    with EmbeddedBroker(tmp_path / "broker") as broker:
        instead = {
            "kafka-1:9092,kafka-2:9092": broker,
            "localhost:9092": broker,
            "localhost:8080": f"localhost:{api}",
            "localhost:9464": f"localhost:{metrics}",
        }
        if "@db/chargeback" in (ROOT / page).read_text():
            server: PostgresServer = request.getfixturevalue("postgresql")
            address = "postgresql+psycopg://chargeback:secret@db/chargeback"
            instead[address] = server.create_database()
        ports = {"CHARGEBACK_API__PORT": str(api), "CHARGEBACK_METRICS__PORT": str(metrics)}
        shell = Shell(
            folder,
            environment(warm, CHARGEBACK_KAFKA__BOOTSTRAP_SERVERS=broker, **ports),
            instead,
        )
        try:
            _follow(shell, blocks(page))
        finally:
            shell.close()


def _follow(shell: Shell, page: list[Block]) -> None:
    printed: str | None = None
    for block in page:
        if block.not_run or block.language in ("json", "picture"):
            continue
        if block.language == "text":
            assert printed is not None, f"{block.page}:{block.line} shows what nothing printed"
            missing = [] if printed == "" else shows(printed, block.text)
            assert missing == [], printed
            continue
        printed = shell.run(block)
        if all(line.startswith("make ") for line in block.commands()):
            # It says what it would do, not what that prints.
            printed = ""


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_it_is(page: str) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{page}:{block.line}"


@pytest.mark.parametrize("page", PAGES)
def test_every_event_on_a_page_is_one(page: str) -> None:
    reader = Reader(Grain("UTC"))
    for block in blocks(page):
        if block.language == "json" and "cost_usd" in json.loads(block.text):
            read = reader.read(RawEvent(block.text.encode()), NOW_US)
            assert isinstance(read, UsageEvent), read


def _commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


ROOT_COMMAND = get_command(program)
COMMANDS = dict(_commands(ROOT_COMMAND))
BEFORE = option_names(ROOT_COMMAND)


def test_every_command_is_on_its_page() -> None:
    table = (ROOT / "docs" / "commands.md").read_text().replace("\\|", "|")
    cells = re.findall(r"`([^`]+)`", table)
    named = {(cell.split()[0], word) for cell in cells for word in cell.split()}
    missing = {" ".join(path) for path in COMMANDS if (path[0], path[-1]) not in named}
    assert missing == set()


def test_every_exit_code_is_on_the_page_of_commands() -> None:
    told = (ROOT / "docs" / "commands.md").read_text().partition("Exit codes:")[2]
    interrupted = 130
    assert {int(code) for code in re.findall(r"\b\d+\b", told)} == {
        *ExitCode,
        STUCK_EXIT_CODE,
        interrupted,
    }


@pytest.mark.parametrize("page", PAGES)
def test_every_command_line_names_a_command_and_options_that_there_are(page: str) -> None:
    """Also of what is not run, and of what stands in the text."""
    text = (ROOT / page).read_text().replace("\\\n", " ")
    for line in re.findall(r"(?:^|`|exec worker |bin/)chargeback( [a-z-][^\n`|#<>&]*)", text, re.M):
        _require_known(line, page)


def _require_known(line: str, page: str) -> None:
    words = [word for word in line.split() if word not in ("…", "\\")]
    while words and words[0].startswith("-"):
        option = words.pop(0).partition("=")[0]
        assert option in BEFORE, f"{page}: {line}"
        if option not in ("--debug", "--version", "--help", "-h") and words:
            words.pop(0)
    found = [path for path in COMMANDS if tuple(words[: len(path)]) == path]
    # `report team | user` and names of groups stand in the text.
    groups = {path[0] for path in COMMANDS if len(path) > 1}
    assert found or not words or (words[0] in groups and len(words) == 1), f"{page}: {line}"
    if not found:
        return
    known = option_names(COMMANDS[found[0]]) | {"--help", "-h"}
    given = [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    assert set(given) <= known, f"{page}: {line}"


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_on_a_page_is_in_the_makefile(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = re.findall(r"(?:^|`)make ([a-z-]+)(?=[ `\n])", (ROOT / page).read_text(), re.MULTILINE)
    assert set(told) <= targets


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    told = re.findall(r"`((?:docs|config|tests|deploy)/[\w./-]+\w)`", (ROOT / page).read_text())
    missing = {name for name in told if not (ROOT / name).exists()}
    assert missing == set()


def test_readme_has_the_figures_of_the_page_that_measures_them() -> None:
    promised = README.partition("## What it promises")[2].partition("## Limits")[0]
    told = re.search(r"On two cores.*?measured\.", promised, re.DOTALL)
    assert told is not None
    measured = (ROOT / "docs" / "ingest.md").read_text()
    figures = re.findall(r"\d+(?:,\d{3})+|\d+\.\d+", told[0])
    assert len(figures) >= 5, figures
    assert [figure for figure in figures if figure not in measured] == []


def test_a_page_that_is_not_true_is_found_out(tmp_path: Path, warm: Path) -> None:
    """Guards the tests above."""
    shell = Shell(tmp_path, environment(warm), {})
    wrong = Block("page", 1, "sh", "chargeback nothing\n", None)
    with pytest.raises(AssertionError):
        shell.run(wrong)
    said = shell.run(Block("page", 1, "sh", "chargeback config show --origin\n", None))
    assert shows(said, "kafka.group_id … default\n…\nlog.level … default") == []
    assert shows(said, "kafka.group_id … command line") == ["kafka.group_id … command line"]
    for line in (" clsoe 2026-10", " close 2026-10 --frce", " --sett a=b periods"):
        with pytest.raises(AssertionError):
            _require_known(line, "page")
