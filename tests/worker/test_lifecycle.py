"""Roles are threads; what ends them is tried in processes of their own, with real signals."""

import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_HEAD = """
import sys, threading, time
import structlog
from chargeback_worker.worker.health import Health
from chargeback_worker.worker.lifecycle import Role, monotonic_s, run_roles

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

def says(text):
    # One write: two threads that print would mix their lines.
    sys.stdout.write(text + "\\n")
    sys.stdout.flush()

def until_stopped(name):
    def run(stop, beat):
        says(f"{name} runs")
        while not stop.wait(0.02):
            beat()
        says(f"{name} ends")
    return run

def go(*roles):
    ended = run_roles(roles, Health(monotonic_s))
    says(f"ended by {type(ended).__name__}: {ended}")
"""


@contextmanager
def _process(body: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HEAD + textwrap.dedent(body)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _said(process: subprocess.Popen[str]) -> list[str]:
    out, _ = process.communicate(timeout=60)
    return [line for line in out.splitlines() if "runs" not in line]


def _wait_until_running(process: subprocess.Popen[str], roles: int) -> None:
    assert process.stdout is not None
    while roles:
        roles -= "runs" in process.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_roles_in_their_order(number: signal.Signals) -> None:
    with _process(
        'go(Role("first", until_stopped("first")), Role("second", until_stopped("second")))'
    ) as process:
        _wait_until_running(process, 2)
        process.send_signal(number)
        assert _said(process) == ["first ends", "second ends", "ended by NoneType: None"]
        assert process.returncode == 0


def test_a_role_that_fails_ends_the_others_and_is_told() -> None:
    body = """
    def fails(stop, beat):
        raise ValueError("out of luck")
    go(Role("other", until_stopped("other")), Role("failing", fails))
    """
    with _process(body) as process:
        assert _said(process) == ["other ends", "ended by ValueError: out of luck"]


def test_a_role_that_returns_unasked_ends_the_process() -> None:
    body = """
    go(Role("other", until_stopped("other")), Role("brief", lambda stop, beat: None))
    """
    with _process(body) as process:
        assert _said(process) == ["other ends", "ended by RoleEnded: the role brief ended"]


def test_a_second_signal_ends_at_once() -> None:
    body = """
    def deaf(stop, beat):
        says("deaf runs")
        stop.wait()
        says("draining")
        while True:
            time.sleep(1)
    go(Role("deaf", deaf, drain_s=600))
    """
    with _process(body) as process:
        _wait_until_running(process, 1)
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        while "draining" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM


def test_a_watched_process_drains_on_however_often_it_is_asked_to_end() -> None:
    body = """
    def slow(stop, beat):
        says("slow runs")
        stop.wait()
        says("draining")
        sys.stdin.readline()
        says("drained")
    ended = run_roles([Role("slow", slow)], Health(monotonic_s), patient=True)
    says(f"ended by {type(ended).__name__}")
    """
    with _process(body) as process:
        _wait_until_running(process, 1)
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        while "draining" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate("\n", timeout=60)
        assert out.splitlines() == ["drained", "ended by NoneType"]
        assert process.returncode == 0


def test_a_role_that_is_stuck_ends_the_process_with_the_stacks_of_all_threads() -> None:
    body = """
    def hangs(stop, beat):
        beat()
        threading.Event().wait()
    go(Role("hanging", hangs, stuck_after_s=0.5))
    """
    with _process(body) as process:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 70
        assert "in hangs" in errors


def test_roles_that_do_not_end_are_cut_off_before_those_who_ask_lose_patience() -> None:
    body = """
    from chargeback_worker.worker import lifecycle
    lifecycle.END_S, lifecycle._LEAST_DRAIN_S = 0.5, 0.1
    def deaf(stop, beat):
        says("deaf runs")
        while True:
            time.sleep(1)
    go(Role("deaf", deaf, drain_s=600), Role("other", deaf, drain_s=600))
    """
    with _process(body) as process:
        _wait_until_running(process, 2)
        process.send_signal(signal.SIGTERM)
        assert _said(process) == ["ended by NoneType: None"]
        assert process.returncode == 0


def test_a_close_that_hangs_does_not_keep_the_process_from_ending() -> None:
    body = """
    from chargeback_worker.metrics import Metrics
    from chargeback_worker.worker.scheduler import Scheduler
    def hangs():
        says("close runs")
        threading.Event().wait()
    scheduler = Scheduler(hangs, lambda: 0, Metrics("test"), lambda: None)
    go(Role("scheduler", scheduler.run, drain_s=0.2))
    """
    with _process(body) as process:
        _wait_until_running(process, 1)
        process.send_signal(signal.SIGTERM)
        assert _said(process) == ["ended by NoneType: None"]
        assert process.returncode == 0
