"""What many wait for is done at once: in turns, each of which begins when the one before ends."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import Any

import pytest

from chargeback_worker.api import together
from chargeback_worker.api.together import Together
from chargeback_worker.errors import Unavailable

_request: ContextVar[str] = ContextVar("request", default="of nobody")


class Work:
    """Doubles numbers, the first turn only when it is let go; what each turn was asked."""

    def __init__(self) -> None:
        self.turns: list[list[int]] = []
        self.contexts: list[str] = []
        self.go = threading.Event()
        self.fails: Callable[[Sequence[int]], Exception | None] = lambda _: None

    def __call__(self, asked: Sequence[int]) -> list[int]:
        self.turns.append(list(asked))
        self.contexts.append(_request.get())
        assert self.go.wait(60)
        if (error := self.fails(asked)) is not None:
            raise error
        return [2 * one for one in asked]


@pytest.fixture
def work() -> Work:
    return Work()


def _run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 60))


async def _asked(turns: Together[int, int], numbers: Sequence[int]) -> list[asyncio.Task[int]]:
    """Tasks that have asked, and wait."""
    tasks = [asyncio.create_task(turns.ask(number)) for number in numbers]
    await asyncio.sleep(0)
    return tasks


async def _begun(work: Work, turns: int = 1) -> None:
    while len(work.turns) < turns:
        await asyncio.sleep(0.001)


async def _answers(tasks: Sequence[asyncio.Task[int]]) -> list[int | str]:
    found = await asyncio.gather(*tasks, return_exceptions=True)
    return [one if isinstance(one, int) else type(one).__name__ for one in found]


def test_who_comes_while_a_turn_is_under_way_is_in_the_next_one(work: Work) -> None:
    async def test() -> None:
        turns = Together(work)
        first = await _asked(turns, [1])
        await _begun(work)
        others = await _asked(turns, [2, 3, 4])
        work.go.set()
        assert await _answers([*first, *others]) == [2, 4, 6, 8]
        assert work.turns == [[1], [2, 3, 4]]
        assert await turns.ask(5) == 10

    _run(test())


def test_a_turn_takes_so_many_and_so_much(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "TURN_MAX", 3)
    monkeypatch.setattr(together, "TURN_BYTES_MAX", 10)
    work.go.set()

    async def test() -> None:
        turns = Together(work, lambda number: number)
        assert await _answers(await _asked(turns, [1, 1, 1, 1, 5, 4, 1, 99, 1])) == [
            *(2, 2, 2, 2, 10, 8, 2, 198, 2)
        ]
        assert work.turns == [[1, 1, 1], [1, 5, 4], [1], [99], [1]]

    _run(test())


def test_where_the_database_does_not_answer_nobody_is_tried_alone(work: Work) -> None:
    work.fails = lambda _: Unavailable("away")
    work.go.set()

    async def test() -> None:
        turns = Together(work)
        assert await _answers(await _asked(turns, [1, 2, 3])) == ["Unavailable"] * 3
        assert work.turns == [[1, 2, 3]]
        work.fails = lambda _: None
        assert await turns.ask(4) == 8

    _run(test())


def test_a_fault_of_one_costs_the_others_nothing(work: Work) -> None:
    work.fails = lambda asked: ValueError("two") if 2 in asked else None
    work.go.set()

    async def test() -> None:
        turns = Together(work)
        assert await _answers(await _asked(turns, [1, 2, 3])) == [2, "ValueError", 6]
        assert work.turns == [[1, 2, 3], [1], [2, 3], [2], [3]]

    _run(test())


def test_who_goes_away_costs_the_others_nothing(work: Work) -> None:
    async def test() -> None:
        turns = Together(work)
        first = await _asked(turns, [1])
        await _begun(work)
        others = await _asked(turns, [2, 3])
        first[0].cancel()
        others[0].cancel()
        work.go.set()
        assert await _answers([*first, *others]) == ["CancelledError", "CancelledError", 6]
        assert work.turns == [[1], [2, 3]], "what was sent is done, whoever waits for the answer"

    _run(test())


def test_a_turn_is_in_nobodys_name(work: Work) -> None:
    work.go.set()

    async def test() -> None:
        turns = Together(work)
        _request.set("of ada")
        await turns.ask(1)
        assert work.contexts == ["of nobody"]

    _run(test())


def test_nobody_waits_for_a_turn_that_cannot_begin(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(together, "run_in_threadpool", no_thread)

    async def test() -> None:
        turns = Together(work)
        assert await _answers(await _asked(turns, [1, 2])) == ["RuntimeError", "RuntimeError"]
        monkeypatch.undo()
        work.go.set()
        assert await turns.ask(3) == 6

    _run(test())
