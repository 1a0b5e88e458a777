"""The ladder of brokers, databases and browsers: which real thing is used, and why not a better.

A ladder lists the rungs that look usable, best first, without starting any of them. The first test
that asks climbs it: the best rung that really starts is used for the whole session, and what was
tried in vain is remembered and printed. `CHARGEBACK_REQUIRE` turns an absence into a failure.
"""

import importlib
import os
import random
import socket
import warnings
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Generic, Protocol, TypeVar

import pytest


class Server(Protocol):
    """Something that a rung started."""

    @property
    def described(self) -> str: ...

    def close(self) -> None: ...


S = TypeVar("S", bound=Server)


class NotStarted(Exception):
    """A rung looked usable and did not start; the message says why."""


@dataclass(frozen=True)
class Rung(Generic[S]):
    """One way to get a server: what it is, and how to start it."""

    described: str
    start: Callable[[], S]


@dataclass
class Ladder(Generic[S]):
    """The rungs of one part (`kafka`, `postgresql`, …), best first, and what became of them."""

    part: str
    rungs: list[Rung[S]]
    absent: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    used: str | None = None
    _server: S | None = None
    _climbed: bool = False

    @property
    def planned(self) -> str:
        """What a test would get, as the header prints it."""
        why = f" ({'; '.join(self.absent)})" if self.absent else ""
        if not self.rungs:
            return f"none, tests that need it are skipped{why}"
        return self.rungs[0].described + why

    def get(self) -> S:
        """The running server; starts it when asked for the first time, else skips the test."""
        server = self.obtain()
        if server is not None:
            return server
        reason = f"no {self.part} here: " + "; ".join(self.failures + self.absent)
        if self.part in required_parts():
            pytest.fail(f"CHARGEBACK_REQUIRE names {self.part}, but {reason}", pytrace=False)
        pytest.skip(reason)

    def obtain(self) -> S | None:
        """The running server, or none when no rung holds."""
        if not self._climbed:
            self._climbed = True
            self._climb()
        return self._server

    def close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def _climb(self) -> None:
        for rung in self.rungs:
            try:
                self._server = rung.start()
            except NotStarted as failure:
                self.failures.append(f"{rung.described} did not start: {failure}")
            else:
                self.used = self._server.described
                return


def required_parts() -> frozenset[str]:
    """The parts that `CHARGEBACK_REQUIRE` names."""
    named = os.environ.get("CHARGEBACK_REQUIRE", "").split(",")
    return frozenset(part.strip() for part in named if part.strip())


@cache
def docker_absence() -> str | None:
    """Why Docker cannot be used, or nothing when its engine answers within two seconds."""
    if "DOCKER_HOST" not in os.environ and not os.path.exists("/var/run/docker.sock"):
        return "no Docker engine"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            client = importlib.import_module("docker").from_env(timeout=2)
            try:
                client.ping()
            finally:
                client.close()
        except Exception as failure:
            return f"Docker does not answer ({type(failure).__name__})"
    return None


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_ports(count: int) -> int:
    """The first of so many ports of loopback in a row that nobody listens on; below those that
    connections are given, so that no other test takes one meanwhile."""
    for first in random.sample(range(15_000, 30_000), 1_000):
        with ExitStack() as stack, suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise OSError("no free ports")
