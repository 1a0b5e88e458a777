"""The demo, as a new user runs it, on fewer events; then the commands that it names."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

EVENTS = 4_000


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chargeback_worker", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=180,
    )


@pytest.mark.timeout(240)
def test_the_demo_shows_the_main_job_and_the_commands_it_names_work(tmp_path: Path) -> None:
    done = _run(tmp_path, "demo", "--events", str(EVENTS), "--seed", "3")
    assert done.returncode == 0, done.stderr
    events = re.search(
        r"Events +([\d,]+) in = ([\d,]+) accepted \+ ([\d,]+) duplicate"
        r" \+ ([\d,]+) conflict \+ ([\d,]+) quarantined",
        done.stdout,
    )
    assert events is not None, done.stdout
    consumed, *ended = (int(number.replace(",", "")) for number in events.groups())
    assert consumed == EVENTS == sum(ended)
    assert all(ended), "each kind of event is in the demo"
    money = re.search(r"([\d,.]+) = ([\d,.]+) invoiced \+ ([\d,.]+) unallocated", done.stdout)
    assert money is not None, done.stdout
    whole, *parts = (int(re.sub(r"[,.]", "", cents)) for cents in money.groups())
    assert whole == sum(parts)
    assert "chargeback.invoice.issued.v1" in done.stdout
    assert "chargeback.period.closed.v1" in done.stdout
    assert done.stderr == ""

    named = [line.strip() for line in done.stdout.partition("Next")[2].splitlines()[1:]]
    assert len(named) >= 4
    for line in named:
        following = _run(tmp_path, *shlex.split(line)[1:])
        assert following.returncode == 0, (line, following.stderr)
        assert following.stdout


@pytest.mark.timeout(240)
def test_the_demo_serves_the_api_until_it_is_told_to_end(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "chargeback_worker", "demo", "--events", "500", "--serve"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            told = next(line for line in process.stdout if line.startswith("API"))
            url = re.findall(r"http://\S+/api/chargeback/periods", told)[0]
            with urllib.request.urlopen(url, timeout=30) as answer:
                months = json.load(answer)["periods"]
            assert [month["state"] for month in months].count("closed") == 2
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            process.kill()


def test_the_demo_makes_nothing_in_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    done = _run(tmp_path, "demo", "--events", "10", "--folder", "mine")
    assert done.returncode == 5
    assert "was not made by the demo" in done.stderr
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
