"""The systemd units: by our own commands and settings, and by systemd where it is there."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chargeback_worker.settings import load
from chargeback_worker.worker.lifecycle import END_S
from tests.support.command_lines import parsed

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
WORKERS = [unit for unit in UNITS if "migrate" not in unit.name]
PROGRAM = "/opt/chargeback/bin/chargeback"
# Of 10; the lower, the less an intruder could do. The rest is the network, which the worker needs.
EXPOSURE_MAX = 1.5

Unit = dict[str, list[str]]


def read(path: Path) -> Unit:
    """Every value of a name, in order; names are told apart by no section of ours."""
    found: Unit = {}
    for line in path.read_text().splitlines():
        name, is_one, value = line.partition("=")
        if is_one and not line.startswith(("#", ";", " ")):
            found.setdefault(name, []).append(value)
    return found


def by_name(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.name)


@by_name(UNITS)
def test_what_it_starts_is_a_command_of_ours(path: Path) -> None:
    [line] = read(path)["ExecStart"]
    program, *words = line.split()
    assert program == PROGRAM
    command, given = parsed(words)
    if path in WORKERS:
        assert command == ("run",)
        roles = {str(role) for role in given["role"] or ()}
        assert roles == ({"ingest"} if "ingest" in path.name else set())
    else:
        assert command == ("db", "upgrade")


@by_name(UNITS)
def test_each_variable_is_a_setting_of_ours(path: Path, tmp_path: Path) -> None:
    config = tmp_path / "chargeback.toml"
    config.write_text('[database]\nurl = "sqlite:////var/lib/chargeback/chargeback.db"\n')
    environ = dict(
        line.replace("%H", "host").replace("%i", "9471").split("=", 1)
        for line in read(path)["Environment"]
    )
    assert environ.pop("CHARGEBACK_CONFIG") == "/etc/chargeback/chargeback.toml"
    settings = load({}, environ, config=config)
    if "ingest" in path.name:
        assert settings.kafka.group_instance_id == "host-9471"
        assert settings.metrics.port == 9471
    elif path in WORKERS:
        assert settings.kafka.group_instance_id == "host"


@by_name(WORKERS)
def test_a_worker_is_started_again_for_ever_and_gets_the_time_to_drain(path: Path) -> None:
    unit = read(path)
    assert unit["Restart"] == ["on-failure"]
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert unit["KillMode"] == ["mixed"]
    assert float(unit["TimeoutStopSec"][0].removesuffix("s")) > END_S
    # Wanted, not required: a migration that fails at first would keep the worker down for good.
    assert "chargeback-migrate.service" in unit["Wants"][0].split()
    assert "chargeback-migrate.service" in unit["After"][0].split()
    assert "Requires" not in unit


def test_all_units_are_hardened_alike() -> None:
    hardened = {
        unit.read_text().partition("# What it may not do.")[2].partition("[Install]")[0].strip()
        for unit in UNITS
    }
    [section] = hardened
    assert "ProtectSystem=strict" in section
    assert "User=chargeback" in section


def test_a_command_by_hand_runs_as_the_units_run_the_worker() -> None:
    """Without, `chargeback` would make a database of its own wherever it is called."""
    unit = read(ROOT / "deploy/systemd/chargeback.service")
    page = (ROOT / "docs/deploy.md").read_text()
    given = page.partition("as_worker() {\n")[2].partition("\n}\n")[0].replace("\\\n", " ").split()
    assert f"--setenv={unit['Environment'][0]}" in given
    assert f"--uid={unit['User'][0]}" in given
    assert f"--gid={unit['Group'][0]}" in given
    for name in ("StateDirectory", "WorkingDirectory", "EnvironmentFile"):
        assert f"--property={name}={unit[name][0]}" in given
    assert PROGRAM in given
    called = [line.split()[1:] for line in page.splitlines() if line.startswith("as_worker ")]
    assert [parsed(words)[0] for words in called] == [
        ("topics", "create"),
        ("doctor",),
        ("keys", "create"),
    ]


@by_name(UNITS)
def test_the_page_that_a_unit_names_is_installed(path: Path) -> None:
    [named] = read(path)["Documentation"]
    folder, _, file = named.removeprefix("file:").rpartition("/")
    page = (ROOT / "docs/deploy.md").read_text()
    assert f"install -D -m 0644 -t {folder} docs/*.md\n" in page
    assert (ROOT / "docs" / file).is_file()


def analyzed(tmp_path: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    if (analyze := shutil.which("systemd-analyze")) is None:
        pytest.skip("systemd is not there")
    for unit in UNITS:
        # Where ours is installed here, as verify asks whether it is there.
        program = str(Path(sys.executable).with_name("chargeback"))
        (tmp_path / unit.name).write_text(unit.read_text().replace(PROGRAM, program))
    return subprocess.run(
        [analyze, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )


@by_name(UNITS)
def test_systemd_finds_nothing_wrong(path: Path, tmp_path: Path) -> None:
    name = path.name.replace("@", "@9471")
    done = analyzed(tmp_path, "verify", "--man=no", f"./{name}")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@by_name(UNITS)
def test_little_is_exposed(path: Path, tmp_path: Path) -> None:
    done = analyzed(
        tmp_path,
        "security",
        "--offline=true",
        "--no-pager",
        f"--threshold={EXPOSURE_MAX * 10:.0f}",
        f"./{path.name}",
    )
    assert done.returncode == 0, done.stdout[-300:]
