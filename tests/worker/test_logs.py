"""Logs: one line each, the same fields everywhere, nothing secret and nothing that acts."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.worker import logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in logs._LIBRARIES}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


def configured(
    level: str = "info", kind: str = "json", stream: io.StringIO | None = None, **environ: str
) -> io.StringIO:
    stream = stream or io.StringIO()
    logs.configure(level, kind, stream=stream, environ=environ)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_its_fields_in_order() -> None:
    stream = configured()
    structlog.get_logger("a.b").info("Closed 2026-10.", period="2026-10", action="close")
    (line,) = lines(stream)
    assert list(line) == ["ts", "level", "event", "logger", "action", "period"]
    assert str(line.pop("ts")).endswith("Z")
    assert line == {
        "level": "info",
        "event": "Closed 2026-10.",
        "logger": "a.b",
        "action": "close",
        "period": "2026-10",
    }


def test_the_standard_library_logs_the_same_way() -> None:
    stream = configured()
    logging.getLogger("kafka.conn").warning("lost %s", "x", extra={"action": "connect"})
    logging.getLogger("kafka.conn").info("chatter")
    logging.getLogger("mine").info("kept")
    first, second = lines(stream)
    assert (first["event"], first["logger"], first["action"]) == ("lost x", "kafka.conn", "connect")
    assert second["event"] == "kept"


@pytest.mark.parametrize(
    ("level", "told"),
    [("debug", "dlidwe"), ("info", "idwe"), ("warning", "we"), ("error", "e")],
)
def test_levels_are_kept(level: str, told: str) -> None:
    stream = configured(level)
    log = structlog.get_logger("x")
    log.debug("d")
    logging.getLogger("kafka").debug("never")
    logging.getLogger("kafka").info("l")
    log.info("i")
    logging.getLogger("x").info("d")
    log.warning("w")
    log.error("e")
    assert "".join(str(line["event"]) for line in lines(stream)) == told


def test_configuring_again_writes_each_line_once() -> None:
    configured()
    stream = configured()
    structlog.get_logger("x").info("once")
    assert len(lines(stream)) == 1


def test_auto_is_human_on_a_terminal_only() -> None:
    terminal = configured(kind="auto", stream=Terminal())
    structlog.get_logger("x").info("hello", action="greet")
    assert "hello" in terminal.getvalue()
    assert "\x1b[" in terminal.getvalue()
    file = configured(kind="auto")
    structlog.get_logger("x").info("hello")
    assert lines(file)[0]["event"] == "hello"


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_switched_off(environ: dict[str, str]) -> None:
    stream = configured(kind="auto", stream=Terminal(), **environ)
    structlog.get_logger("x").info("hello")
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("kind", ["json", "human"])
@given(text=st.text(), name=st.sampled_from(["event", "team"]))
def test_no_text_makes_a_second_line_or_moves_the_cursor(kind: str, text: str, name: str) -> None:
    stream = configured(kind=kind)
    fields = {"team": text} if name == "team" else {}
    structlog.get_logger("x").info(text if name == "event" else "hello", **fields)
    written = stream.getvalue()
    assert written.endswith("\n")
    assert written[:-1].replace("\t", " ").isprintable()


@pytest.mark.parametrize("kind", ["json", "human"])
def test_no_secret_and_no_payload_is_written(kind: str) -> None:
    stream = configured(kind=kind)
    log = structlog.get_logger("x")
    log.info(
        "connect to postgresql://u:hush@h/d with password=hush",
        sasl_plain_password="hush",
        headers={"Authorization": "hush", "api_key": "hush"},
        url="https://u:hush@h",
        payload="hush",
        raw=b"hush",
        message=b"hush",
        nested=[{"token": "hush"}],
        total_tokens=4818,
    )
    logging.getLogger("kafka").warning("config: {'sasl_plain_password': 'hush'}")
    try:
        raise ValueError("no way to postgresql://u:hush@h/d")
    except ValueError:
        log.exception("Failed.")
    assert "hush" not in stream.getvalue()
    assert "4818" in stream.getvalue()
    assert "ValueError: no way to postgresql://u:***@h/d" in stream.getvalue()


def test_cutting_a_text_leaves_no_half_of_a_secret() -> None:
    stream = configured()
    structlog.get_logger("x").info("a" * 1_980 + " sqlite://user:hushhush@host")
    assert "hush" not in stream.getvalue()


def test_what_has_no_end_is_cut() -> None:
    stream = configured()
    deep: list[object] = []
    deep.append(deep)
    structlog.get_logger("x").info("a" * 10_000, many=list(range(1000)), deep=deep)
    assert len(stream.getvalue()) < 4_000


def test_the_traceback_is_on_a_terminal_but_no_local_variable_is() -> None:
    stream = configured(kind="human")
    secret_local = "hush" + "hush"
    try:
        int("x" + secret_local[:0])
    except ValueError:
        structlog.get_logger("x").exception("Failed.")
    assert "Traceback" in stream.getvalue()
    assert secret_local not in stream.getvalue()
