"""Does at once what many requests wait for: who comes while that is under way is in the next turn.

Nobody waits for company. Alone, one's turn begins at once; the more wait, the less a turn costs
each of them, as a transaction takes hardly longer for hundreds than for one.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool

from chargeback_worker.errors import Misconfigured, Unavailable

TURN_MAX = 500
TURN_BYTES_MAX = 16 * 1024**2

Asked = TypeVar("Asked")
Told = TypeVar("Told")


_Turn = list[tuple[Asked, asyncio.Future[Told]]]


def _nothing(_asked: object) -> int:
    return 0


class Together(Generic[Asked, Told]):
    """One turn at a time, in a thread. `do` gives an answer to each, in their order.

    `size` is how many bytes one takes: a turn has at most `TURN_BYTES_MAX` of them, or one request.
    """

    def __init__(
        self,
        do: Callable[[Sequence[Asked]], Sequence[Told]],
        size: Callable[[Asked], int] = _nothing,
    ) -> None:
        self._do = do
        self._size = size
        self._waiting: deque[tuple[Asked, asyncio.Future[Told]]] = deque()
        self._turns: asyncio.Task[None] | None = None

    async def ask(self, asked: Asked) -> Told:
        """The answer, from a turn that begins after this. Raises what `do` raises.

        Whoever is not there any more when the turn ends was served all the same.
        """
        answer: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, answer))
        if self._turns is None:
            # In no request's context: what is logged of a turn belongs to none of those in it.
            self._turns = asyncio.create_task(self._take_turns(), context=Context())
        return await answer

    async def _take_turns(self) -> None:
        turn: _Turn[Asked, Told] = []
        try:
            while self._waiting:
                turn = self._next()
                told = await run_in_threadpool(self._answers, [asked for asked, _ in turn])
                for (_, answer), one in zip(turn, told, strict=True):
                    _tell(answer, one)
        except Exception as error:
            # No thread can be had. Nobody may wait for ever.
            self._tell_all(turn, error)
        except BaseException as error:
            self._tell_all(turn, error)
            raise
        finally:
            self._turns = None

    def _tell_all(self, turn: _Turn[Asked, Told], error: BaseException) -> None:
        for _, answer in (*turn, *self._waiting):
            _tell(answer, error)
        self._waiting.clear()

    def _next(self) -> _Turn[Asked, Told]:
        turn = [self._waiting.popleft()]
        room = TURN_BYTES_MAX - self._size(turn[0][0])
        while self._waiting and len(turn) < TURN_MAX:
            room -= self._size(self._waiting[0][0])
            if room < 0:
                break
            turn.append(self._waiting.popleft())
        return turn

    def _answers(self, asked: Sequence[Asked]) -> Sequence[Told | Exception]:
        try:
            return self._do(asked)
        except (Unavailable, Misconfigured) as error:
            # It is the database that refuses, and would refuse each of them.
            return [error] * len(asked)
        except Exception as error:
            if len(asked) == 1:
                return [error]
            # One of them is at fault. Nothing was done, and the others must not suffer for it; by
            # halves it is found in few turns.
            half = len(asked) // 2
            return [*self._answers(asked[:half]), *self._answers(asked[half:])]


def _tell(answer: asyncio.Future[Told], told: Told | BaseException) -> None:
    if answer.done():
        # Who waited for it is gone.
        return
    if isinstance(told, Exception):
        answer.set_exception(told)
    elif isinstance(told, BaseException):
        answer.cancel()
    else:
        answer.set_result(told)
