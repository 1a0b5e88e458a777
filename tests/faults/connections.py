"""Connections, brokers and databases that are cut, stopped, stalled or half-open."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import pytest
from sqlalchemy.engine import make_url

from tests.faults.flow import Pace
from tests.faults.scene import Figures, Ground, Scene, scene, until
from tests.faults.worker import Worker
from tests.support.brokers import BrokerServer
from tests.support.postgres import LocalPostgres, PostgresServer
from tests.support.proxy import Lost, Proxy

# A shorter one would let the group forget a member that only waits for its database.
_SESSION_S = 6
_OUTAGE_S = _SESSION_S + 2


def ambiguous_commits(ground: Ground, pace: Pace) -> Figures:
    """The connection is lost around COMMIT: half of them took effect, and the worker cannot know.

    `pace.faults` times each.
    """
    draw = random.Random(pace.seed)
    ways: list[Lost] = ["before", "after"] * pace.faults
    draw.shuffle(ways)
    with _behind_a_proxy(ground, pace, {"CHARGEBACK_INGEST__BATCH_EVENTS": "500"}) as (
        given,
        proxy,
    ):
        given.flow.start()
        worker = given.worker("worker-0", url=_through(proxy, given.url))
        assert worker.wait_for("first_commit"), worker.last_words
        for number, way in enumerate(ways):
            proxy.lose_commits(way)
            until(lambda n=number: proxy.lost.total() > n, "a lost COMMIT")  # type: ignore[misc]
        split = f"{proxy.lost['after']} committed, {proxy.lost['before']} not committed"
        return given.figures("answers to COMMIT lost", proxy.lost.total(), split, readers=[worker])


def database_crashes(ground: Ground, pace: Pace) -> Figures:
    """PostgreSQL is stopped as by a crash and started again."""

    def crash() -> None:
        postgres = _ours(ground.postgres)
        postgres.stop_immediate()
        postgres.start()

    return _interrupted(ground, pace, "database crashed", crash)


def database_away(ground: Ground, pace: Pace) -> Figures:
    """PostgreSQL is away for longer than a session of the group lasts: the place is kept."""

    def away() -> None:
        postgres = _ours(ground.postgres)
        postgres.stop_immediate()
        time.sleep(_OUTAGE_S)
        postgres.start()

    return _interrupted(ground, pace, f"database away for {_OUTAGE_S} s", away, keeps_place=True)


def database_stalls(ground: Ground, pace: Pace) -> Figures:
    """PostgreSQL does not answer for longer than a session lasts, and then goes on."""

    def stall(proxy: Proxy) -> None:
        proxy.stall()
        time.sleep(_OUTAGE_S)
        proxy.go_on()

    return _proxied(ground, pace, f"database stalled for {_OUTAGE_S} s", stall)


def database_cut(ground: Ground, pace: Pace) -> Figures:
    """All connections to PostgreSQL are cut, at any moment."""
    return _proxied(ground, pace, "connections to the database cut", Proxy.cut)


def database_half_open(ground: Ground, pace: Pace) -> Figures:
    """The database never answers on what is open: the worker ends itself, another takes over."""
    # Past twice the poll interval a worker counts as stuck.
    settings = {"CHARGEBACK_KAFKA__MAX_POLL_INTERVAL": f"{_SESSION_S}s"}
    ended = 0
    with _behind_a_proxy(ground, pace, settings) as (given, proxy):
        given.flow.start()
        url = _through(proxy, given.url)
        worker = given.worker("worker-0", url=url)
        for _ in range(pace.faults):
            assert worker.wait_for("first_commit"), worker.last_words
            proxy.swallow()
            code = worker.ended(60)
            ended += 1
            if code != 70:
                given.wrong.append(f"exit code {code}, not 70: {worker.last_words[-800:]}")
            worker = given.worker("worker-0", url=url)
        detail = f"the stuck worker ended itself {ended} times"
        return given.figures("database half-open", ended, detail, readers=[worker])


def broker_killed(ground: Ground, pace: Pace) -> Figures:
    """kill -9 of the broker, which is started again."""
    return _interrupted(ground, pace, "broker killed", ground.kafka.restart)


def broker_stopped(ground: Ground, pace: Pace) -> Figures:
    """The broker is shut down in order and comes back after a session has lapsed."""

    def away() -> None:
        ground.kafka.stop()
        time.sleep(_OUTAGE_S)
        ground.kafka.start()

    return _interrupted(ground, pace, f"broker away for {_OUTAGE_S} s", away)


def broker_frozen(ground: Ground, pace: Pace) -> Figures:
    """The broker answers nothing on open connections for a while (SIGSTOP)."""

    def freeze(kafka: BrokerServer) -> None:
        kafka.freeze()
        time.sleep(_OUTAGE_S)
        kafka.thaw()

    return _interrupted(
        ground, pace, f"broker frozen for {_OUTAGE_S} s", partial(freeze, ground.kafka)
    )


def _interrupted(
    ground: Ground, pace: Pace, what: str, interrupt: Callable[[], None], keeps_place: bool = False
) -> Figures:
    with scene(ground, pace) as given:
        given.flow.start()
        worker = given.worker("worker-0")
        return _again_and_again(given, worker, what, interrupt, keeps_place=keeps_place)


def _proxied(ground: Ground, pace: Pace, what: str, break_: Callable[[Proxy], None]) -> Figures:
    with _behind_a_proxy(ground, pace) as (given, proxy):
        given.flow.start()
        worker = given.worker("worker-0", url=_through(proxy, given.url))
        return _again_and_again(given, worker, what, lambda: break_(proxy), keeps_place=True)


def _again_and_again(
    given: Scene,
    worker: Worker,
    what: str,
    interrupt: Callable[[], None],
    *,
    keeps_place: bool,
) -> Figures:
    """Interrupt what one worker needs while it goes on, and see that it gets on each time."""
    pace = given.flow.pace
    draw = random.Random(pace.seed)
    assert worker.wait_for("first_commit"), worker.last_words
    recovered: list[float] = []
    for _ in range(pace.faults):
        time.sleep(min(4.0, pace.events / pace.rate / pace.faults) * draw.uniform(0.2, 1.0))
        interrupt()
        began, at = time.monotonic(), _progress(given)
        assert worker.wait_until(lambda at=at: _progress(given) > at), worker.last_words  # type: ignore[misc]
        recovered.append(time.monotonic() - began)
    joined = len(worker.lines("assigned"))
    # A static member asks once more by itself, soon after its start.
    if keeps_place and (joined > 2 or worker.said("lost")):
        given.wrong.append(f"the group gave the partitions {joined} times: {worker.last_words}")
    detail = f"first commit after it: at most {max(recovered):.1f} s, joined {joined} times"
    return given.figures(what, pace.faults, detail, readers=[worker])


def _progress(given: Scene) -> int:
    return sum(cursor.next_position for cursor in given.cursors().values())


@contextmanager
def _behind_a_proxy(
    ground: Ground, pace: Pace, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[Scene, Proxy]]:
    with scene(ground, pace, settings=settings) as given:
        port = make_url(given.url).port
        assert port is not None
        with Proxy(port, postgres=True) as proxy:
            yield given, proxy
            given.end()


def _through(proxy: Proxy, url: str) -> str:
    there = make_url(url).set(host="127.0.0.1", port=proxy.port)
    return there.render_as_string(hide_password=False)


def _ours(postgres: PostgresServer) -> LocalPostgres:
    if not isinstance(postgres, LocalPostgres):
        pytest.skip("the PostgreSQL server is not ours to stop")
    return postgres
