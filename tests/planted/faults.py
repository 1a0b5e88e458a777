"""The faults as data: what is put in the place of what, and which test must fail then.

Each takes away one safeguard: of those that make the fast way of ingest right, of what runs beside
it, of what keeps requests apart that are served together, and of those that keep books from a
backup from saying something else under the same number.
"""

from collections.abc import Callable, Iterator
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from chargeback_worker.store import cursors
from chargeback_worker.store.dialects import postgresql_keys as keys

_DIALECTS = "chargeback_worker.store.dialects"
_KEYS = f"{_DIALECTS}.postgresql_keys"
_TEST_KEYS = "tests/store/dialects/test_postgresql_keys.py"
_TEST_POSTGRESQL = "tests/store/dialects/test_postgresql.py"
_OLDER = "chargeback_worker.pipeline.holding.older"
_SLEEPERS = f"{_DIALECTS}.postgresql_sleepers"
_TEST_SLEEPERS = "tests/store/dialects/test_postgresql_sleepers.py"
_TEST_RESUME = "tests/pipeline/test_resume.py"
_TEST_REBUILD = "tests/pipeline/test_rebuild.py"
_TEST_WRITING = "tests/worker/test_writing.py"
_TEST_TOGETHER = "tests/api/test_usage_together.py"


@dataclass(frozen=True, slots=True)
class Fault:
    """`instead` makes of what `target` (module:name) is what it is while the fault is planted."""

    target: str
    instead: Callable[[Any], Any]
    caught_by: str


def _nothing(*_arguments: object, **_more: object) -> None:
    return None


def _covered_first(learn: Any) -> Any:
    def learned(cursor: Any, known: Any) -> Iterator[None]:
        for segment in keys._segments(cursor)[:-1]:
            known.cover(segment.known_as)
        yield
        yield from learn(cursor, known)

    return learned


def _backwards(rows: Any) -> Any:
    """In the order in which they came, between the head and the tail of the format."""

    def unsorted(records: Any) -> Iterator[bytes]:
        head, *sorted_, tail = rows(records)
        places = {row: place for place, row in enumerate(sorted_)}
        came = [r.event.identity for r in records]
        yield head
        yield from sorted(places, key=lambda row: came.index(row[6:22]))
        yield tail

    return unsorted


def _moved_from_anywhere(advance: Any) -> Any:
    def moved(transaction: Any, cursor_id: int, *tally: Any, expected: Any, **more: Any) -> None:
        if expected is not None:
            expected = cursors.get(transaction, cursor_id).next_position
        advance(transaction, cursor_id, *tally, expected=expected, **more)

    return moved


def _all_alike(answers: Any) -> Any:
    """Who is in a turn that fails has failed."""

    def answered(turns: Any, asked: Any) -> Any:
        try:
            return turns._do(asked)
        except Exception as error:
            return [error] * len(asked)

    return answered


FAULTS: dict[str, Fault] = {
    "a key that another worker stored meanwhile is taken for ours": Fault(
        f"{_DIALECTS}.postgresql_usage:_stage_keys",
        lambda real: lambda *arguments: real(*arguments) and {},
        f"{_TEST_POSTGRESQL}::test_what_is_stored_after_the_look_up_counts_once",
    ),
    "two workers write the same keys in different orders": Fault(
        f"{_DIALECTS}.postgresql_usage:_key_rows",
        _backwards,
        f"{_TEST_POSTGRESQL}::test_a_worker_that_waits_for_a_key_holds_none_behind_it",
    ),
    "the planner looks keys up as it likes": Fault(
        f"{_KEYS}:_PLANNED_FOR_MANY_KEYS",
        lambda _: "1",
        f"{_TEST_POSTGRESQL}::test_many_keys_are_looked_up_by_the_index",
    ),
    "a batch does not hold the segments": Fault(
        f"{_KEYS}:_HOLD",
        lambda _: "SELECT %s, %s",
        f"{_TEST_KEYS}::test_a_segment_is_sealed_only_after_the_batches_that_write_to_it",
    ),
    "a segment is sealed without waiting": Fault(
        f"{_KEYS}:_OWN",
        lambda _: "SELECT %s, %s",
        f"{_TEST_KEYS}::test_a_segment_is_sealed_only_after_the_batches_that_write_to_it",
    ),
    "a sealed segment takes keys": Fault(
        f"{_KEYS}:GUARD_STATEMENTS",
        lambda made: tuple(
            one.replace("RAISE EXCEPTION", "RAISE NOTICE").replace("; END", "; RETURN NULL; END")
            for one in made
        ),
        f"{_TEST_KEYS}::test_the_database_refuses_to_change_a_sealed_segment",
    ),
    "the filter forgets keys": Fault(
        f"{_DIALECTS}.key_filter:KeyFilter.add",
        lambda real: lambda known, identities: real(known, identities[16:]),
        f"{_TEST_KEYS}::test_what_is_in_sealed_segments_is_found_through_the_filter",
    ),
    "a segment counts as learned before it is": Fault(
        f"{_KEYS}:learn",
        _covered_first,
        f"{_TEST_KEYS}::test_a_segment_that_was_learned_in_part_is_asked_for_everything",
    ),
    "what was learned of a server is trusted after it came back from a backup": Fault(
        f"{_KEYS}:_SEGMENTS",
        lambda real: real.replace("pg_postmaster_start_time()::text", "''"),
        f"{_TEST_KEYS}::test_what_was_learned_of_another_run_of_the_server_is_not_trusted",
    ),
    "a cursor is moved wherever it stands": Fault(
        "chargeback_worker.store.cursors:advance",
        _moved_from_anywhere,
        "tests/worker/test_consumer.py::test_a_batch_whose_cursor_another_worker_moved_is_dropped",
    ),
    "positions are read while a batch is written": Fault(
        "chargeback_worker.worker.consumer:Session._drop_all",
        lambda _: _nothing,
        f"{_TEST_WRITING}::test_a_rebalance_lets_the_batch_end_before_anybody_reads_positions",
    ),
    "any number of batches is gathered": Fault(
        "chargeback_worker.worker.gathered:Gathered.room",
        lambda _: property(lambda self: self.events_max),
        f"{_TEST_WRITING}::test_a_full_batch_waits_for_the_one_before_it",
    ),
    "nobody ends the transaction of a worker that sleeps": Fault(
        f"{_DIALECTS}.postgresql:PostgreSQL.end_when_idle",
        lambda _: _nothing,
        f"{_TEST_POSTGRESQL}::test_a_worker_that_sleeps_in_its_transaction_is_cut_off",
    ),
    "nobody ends a worker that sleeps in the midst of a COPY": Fault(
        f"{_SLEEPERS}:_END",
        lambda _: sa.text("SELECT :pid, :backend_start, :query_start, :bytes WHERE false"),
        f"{_TEST_SLEEPERS}::test_who_sleeps_in_a_copy_and_is_waited_for_is_ended_at_the_second_look",
    ),
    "who still sends is taken for asleep": Fault(
        f"{_SLEEPERS}:_WAITING_FOR_CLIENT",
        lambda real: sa.text(real.text.replace("coalesce(copied.bytes_processed, 0)", "0")),
        f"{_TEST_SLEEPERS}::test_who_sends_some_more_between_two_looks_is_left",
    ),
    "numbers that only the topic knows are given out again": Fault(
        "chargeback_worker.store.invoices:raise_numbers",
        lambda _: lambda *_arguments: {},
        f"{_TEST_RESUME}::test_after_a_resume_numbers_and_seq_go_on_where_the_topic_ends",
    ),
    "a seq that only the topic knows is given out again": Fault(
        "chargeback_worker.store.outbox:raise_seqs",
        lambda _: lambda *_arguments: {},
        f"{_TEST_RESUME}::test_after_a_resume_numbers_and_seq_go_on_where_the_topic_ends",
    ),
    "of each partition only the last message is looked at": Fault(
        f"{_OLDER}:_judged",
        lambda real: lambda *arguments: (real(*arguments)[0], True),
        f"{_TEST_RESUME}::test_an_unknown_message_is_found_behind_known_ones_that_came_later",
    ),
    "a known id is known whatever it says": Fault(
        "chargeback_worker.store.outbox:Written.says",
        lambda _: lambda *_arguments: True,
        f"{_TEST_RESUME}::test_books_that_gave_numbers_out_before_anybody_looked_are_not_resumed",
    ),
    "held books publish": Fault(
        "chargeback_worker.pipeline.publish:refuse_held",
        lambda _: _nothing,
        f"{_TEST_RESUME}::test_everything_that_takes_a_number_or_writes_a_message_is_refused",
    ),
    "held books tell of what changes": Fault(
        "chargeback_worker.pipeline.closing.issuing:refuse_held",
        lambda _: _nothing,
        f"{_TEST_RESUME}::test_everything_that_takes_a_number_or_writes_a_message_is_refused",
    ),
    "what a resume has read is not kept": Fault(
        "chargeback_worker.store.holds:mark",
        lambda _: _nothing,
        f"{_TEST_RESUME}::test_a_group_that_has_read_further_than_the_books_holds_them",
    ),
    "the publisher does not compare": Fault(
        "chargeback_worker.worker.publisher:InvoicePublisher._refusal",
        lambda _: _nothing,
        "tests/worker/test_publisher.py::test_nothing_is_sent_before_the_comparison_was_made",
    ),
    "an event that cannot be written takes those with it that came together": Fault(
        "chargeback_worker.api.together:Together._answers",
        _all_alike,
        f"{_TEST_TOGETHER}::test_an_event_that_breaks_its_turn_spares_its_neighbours[sqlite]",
    ),
    "what is written together was received at once": Fault(
        "chargeback_worker.app.recording:ReadEvent",
        lambda real: lambda raw, said, _received_us: real(raw, said),
        f"{_TEST_TOGETHER}::test_each_event_without_a_time_is_of_the_time_of_its_own_receipt"
        "[sqlite]",
    ),
    "what is done for many is told in the name of the first": Fault(
        "chargeback_worker.api.together:Context",
        lambda _: copy_context,
        "tests/api/test_together.py::test_a_turn_is_in_nobodys_name",
    ),
    "totals are made anew beside batches under way": Fault(
        f"{_DIALECTS}.postgresql:PostgreSQL.own_totals",
        lambda _: _nothing,
        f"{_TEST_REBUILD}::test_what_is_about_to_be_committed_is_neither_lost_nor_doubled",
    ),
}
