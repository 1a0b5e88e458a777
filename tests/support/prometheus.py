"""A real Prometheus for tests: scrapes what it is given, each time with a folder of its own."""

import json
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from chargeback_worker.broker.embedded import ended_with_parent
from tests.support.ladder import Ladder, NotStarted, Rung, free_port

_START_S = 30
_NAME = re.compile(r"\bchargeback_[a-z_]+")
JOB = "chargeback"


@dataclass(frozen=True)
class Series:
    """One series of an answer: its labels and its last value."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class Running:
    """A server that scrapes and evaluates."""

    url: str

    def ask(self, query: str) -> list[Series]:
        """What an expression is now. Raises AssertionError with what Prometheus says against it."""
        found = self._get("query", query=query)["result"]
        assert isinstance(found, list), f"{query} is no vector: {found}"
        return [Series(one["metric"], float(one["value"][1])) for one in found]

    def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        return {alert for alert, state in self.alerts() if state == "firing"}

    def alerts(self) -> list[tuple[str, str]]:
        """The alerts that are pending or firing, with which."""
        found = self._get("alerts")["alerts"]
        return [(one["labels"]["alertname"], one["state"]) for one in found]

    def loaded(self) -> list[str]:
        """The names of all alerts, and what is wrong with the evaluation of any."""
        groups = self._get("rules")["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert [rule["lastError"] for rule in rules if rule.get("lastError")] == []
        return [rule["name"] for rule in rules]

    def scraped(self) -> bool:
        """Whether every target answered at its last scrape."""
        found = self.ask(f'up{{job="{JOB}"}}')
        return bool(found) and all(series.value == 1 for series in found)

    def _get(self, what: str, **query: str) -> Any:
        target = f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(target, timeout=10) as answer:
                said = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{query}: {error.read().decode()}") from None
        assert said["status"] == "success", said
        return said["data"]


class Prometheus:
    """The two programs; every server is started anew."""

    def __init__(self, program: str, promtool: str) -> None:
        self._program, self._promtool = program, promtool
        told = self._told(program, "--version")
        if told.returncode:
            raise NotStarted(told.stderr.strip() or f"it ended with {told.returncode}")
        # Which stream it is on has changed between versions.
        words = (told.stdout + told.stderr).split()
        self.described = f"Prometheus {words[2]} ({program})"

    def close(self) -> None:
        """Each server ends with who asked for it."""

    def checked(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """What promtool says."""
        return self._told(self._promtool, *map(str, arguments))

    @contextmanager
    def scraping(
        self,
        targets: Sequence[str],
        folder: Path,
        *,
        rules: Sequence[Path] = (),
        every: str = "1s",
    ) -> Iterator[Running]:
        """A server that scrapes those `host:port` and evaluates those rules, each that often."""
        config = {
            "global": {"scrape_interval": every, "evaluation_interval": every},
            "rule_files": [str(path) for path in rules],
            "scrape_configs": [
                {"job_name": JOB, "static_configs": [{"targets": list(targets)}]},
            ],
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "prometheus.yml").write_text(json.dumps(config))
        address = f"127.0.0.1:{free_port()}"
        command = [
            self._program,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
            "--log.level=warn",
        ]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                ended_with_parent(command), stdout=log, stderr=log, env={**os.environ, "TZ": "UTC"}
            )
        try:
            _await_ready(f"http://{address}/-/ready", process, folder / "log")
            yield Running(f"http://{address}")
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @staticmethod
    def _told(*command: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired) as failure:
            raise NotStarted(str(failure)) from failure


def prometheus_ladder() -> Ladder[Prometheus]:
    """The one in the folder that is named, else on PATH."""
    folder = os.environ.get("CHARGEBACK_TEST_PROMETHEUS")
    found = [shutil.which(name, path=folder) for name in ("prometheus", "promtool")]
    program, promtool = found
    if program is None or promtool is None:
        where = folder or "PATH"
        return Ladder("prometheus", [], [f"no prometheus and promtool on {where}"])
    return Ladder("prometheus", [Rung(program, lambda: Prometheus(program, promtool))])


def alert_rules(path: Path) -> list[dict[str, Any]]:
    """The alerts of a file of rules."""
    groups = yaml.safe_load(path.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def names_in(query: str) -> set[str]:
    """The names of our series that an expression asks for."""
    return set(_NAME.findall(query))


def _await_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(log.read_text()[-2000:]) from error
        time.sleep(0.1)
