"""The Dockerfile, held to what it promises. That it builds is shown by `make test-fresh`."""

import os
import re
import subprocess
import sys
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.main import get_command

from chargeback_worker.cli.program import program
from chargeback_worker.settings import load
from tests.fresh.dockerfile import Ignored, Stage, read

ROOT = Path(__file__).parents[2]
STAGES = read(ROOT / "Dockerfile")
FINAL = STAGES[-1]
RUNS = [step for stage in STAGES for step in stage.of("RUN")]
ignored = Ignored(ROOT / ".dockerignore")


def _sources() -> list[str]:
    return [
        source.rstrip("/")
        for stage in STAGES
        for step in stage.of("COPY")
        if "from" not in step.options
        for source in step.words[:-1]
    ]


def test_every_source_is_there_and_reaches_the_builder() -> None:
    assert _sources()
    for source in _sources():
        assert (ROOT / source).exists(), source
        assert not ignored(source), source


def test_the_builder_gets_what_is_copied_and_nothing_else() -> None:
    seen = 0
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".venv") and name not in (".git", "build")
        ]
        for path in (str(Path(folder, name).relative_to(ROOT)) for name in files):
            wanted = any(path == one or path.startswith(f"{one}/") for one in _sources())
            made = "__pycache__" in path
            assert ignored(path) is (made or not wanted), path
            seen += wanted
    assert seen > 100
    for path in (".git/config", ".env", "chargeback.db", "deploy/secrets/api_key", ".venv/bin/uv"):
        assert ignored(path), path


def test_stages_come_from_named_versions_or_from_each_other() -> None:
    names: set[str] = set()
    for stage in STAGES:
        # No registry's host: an image is taken from where the reader takes images.
        assert stage.base in names or re.fullmatch(r"[a-z]+:3\.\d+[a-z.-]+", stage.base), stage.base
        for step in stage.of("COPY"):
            assert step.options.get("from", next(iter(names), "")) in names | {""}
        names.add(stage.name)
    assert len({stage.base for stage in STAGES} - names) == 1


def test_whatever_is_installed_is_locked_by_its_hash() -> None:
    installs = [line for step in RUNS for line in step.text.split("&&") if " install " in line]
    installs = [line for line in installs if "pip install" in line]
    assert len(installs) == 3
    for line in installs:
        locked = "--require-hashes -r " in line
        assert locked or "--offline" in line, line
    for step in RUNS:
        assert not re.search(r"\b(curl|wget|apt-get|git)\b", step.text), step.text


def test_dependencies_are_one_layer_and_our_code_is_another() -> None:
    copied = [step.options.get("from") for step in FINAL.of("COPY")]
    assert copied == ["dependencies", "project"]
    [dependencies] = [stage for stage in STAGES if stage.name == "dependencies"]
    assert not any("chargeback_worker" in step.text for step in dependencies.steps)


def test_the_worker_is_nobody_in_particular_and_no_shell_stands_before_it() -> None:
    [user] = FINAL.of("USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user.text)
    [entry], [command], [check] = (FINAL.of(word) for word in ("ENTRYPOINT", "CMD", "HEALTHCHECK"))
    assert entry.exec_form == ["chargeback"]
    assert command.exec_form == ["run"]
    assert check.exec_form[0] == "python"
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert entry.exec_form[0] in scripts
    assert command.exec_form[0] in get_command(program).commands  # type: ignore[attr-defined]


def test_its_environment_is_settings_of_ours() -> None:
    environment = FINAL.environment()
    settings = load({}, environment)
    assert settings.metrics.host == "0.0.0.0"
    # Others may reach it only when there is a key, which nobody made yet.
    assert settings.api.host == "127.0.0.1"
    exposed = FINAL.of("EXPOSE")[0].words
    assert exposed == [str(settings.api.port), str(settings.metrics.port)]


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_tells_what_healthz_answers(status: int, code: int) -> None:
    asked: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.handle_request, daemon=True).start()
        _, *arguments = _health_check(FINAL)
        done = subprocess.run(
            [sys.executable, *arguments],
            env={"CHARGEBACK_METRICS__PORT": str(server.server_port)},
            timeout=60,
        )
    assert asked == ["/healthz"]
    assert done.returncode == code


def test_the_health_check_fails_where_nobody_listens() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        free = server.server_port
    _, *arguments = _health_check(FINAL)
    done = subprocess.run(
        [sys.executable, *arguments],
        env={"CHARGEBACK_METRICS__PORT": str(free)},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 1


def _health_check(stage: Stage) -> list[str]:
    return stage.of("HEALTHCHECK")[0].exec_form
