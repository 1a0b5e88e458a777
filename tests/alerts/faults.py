"""The faults, each with what it is for people, and how it is mended."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import kafka
from kafka.admin import ConfigResource, ConfigResourceType

from chargeback_worker.pipeline.dismiss import dismiss
from chargeback_worker.store import quarantine
from chargeback_worker.store.audit import Act
from tests.alerts.stage import FIRST, NOW_SECOND, NOW_THIRD, Stage
from tests.faults.flow import send
from tests.faults.scene import until
from tests.support.backups import Backup, back_up, restore
from tests.support.feed import usage
from tests.support.postgres import LocalPostgres

Do = Callable[[Stage], object]


@dataclass(frozen=True, slots=True)
class Fault:
    what: str
    begin: Do
    mend: Do
    mended_by: str


def _kill_both(stage: Stage) -> None:
    stage.worker.kill()
    stage.api.kill()


def _ours(stage: Stage) -> LocalPostgres:
    if not isinstance(stage.ground.postgres, LocalPostgres):
        raise TypeError("a database that somebody else runs is not taken away")
    return stage.ground.postgres


def _refused(share: float) -> Do:
    def refuse(stage: Stage) -> None:
        stage.load.refused_share = share

    return refuse


def _take_all(stage: Stage) -> None:
    _refused(0)(stage)
    stage.restart(
        CHARGEBACK_INGEST__MAX_REFUSED__RUN="1000000", CHARGEBACK_INGEST__MAX_REFUSED__SHARE="1.0"
    )


def _conflict(stage: Stage) -> None:
    again = usage(f"{FIRST}-legal", "99", day="2026-11-10", team="legal")
    send(stage.scene.flow.servers, stage.scene.flow.topic, [again])


def _slow(latency_s: float) -> Do:
    def slow(stage: Stage) -> None:
        stage.proxy.latency_s = latency_s

    return slow


def _refuse_bookings(stage: Stage) -> None:
    # Of its own accord a close does not fail; a full disk would do the same.
    stage.ask(
        "CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'planted'; END $$"
    )
    stage.ask(
        "CREATE TRIGGER planted BEFORE INSERT ON booking FOR EACH ROW EXECUTE FUNCTION planted()"
    )
    stage.restart(CHARGEBACK_BILLING__CLOSE_DELAY=NOW_SECOND)


def _hang_the_close(stage: Stage) -> None:
    stage.lock("booking")
    stage.restart(CHARGEBACK_BILLING__CLOSE_DELAY=NOW_THIRD)


def _change_a_total(by: int) -> Do:
    def change(stage: Stage) -> None:
        stage.ask(
            "UPDATE usage_total SET cost_nano = cost_nano + %s WHERE total_key ="
            " (SELECT total_key FROM usage_total WHERE period = %s ORDER BY total_key LIMIT 1)",
            by,
            int(FIRST.replace("-", "")),
        )

    return change


def _go_back(stage: Stage) -> None:
    """Restore a backup that does not hold what was published since."""
    stage.stop()
    backup: Backup = back_up(stage.scene.url)
    stage.start()
    _change_status(stage, 1, "paid")
    _await_published(stage)
    stage.stop()
    restore(stage.scene.url, backup)
    stage.start()


def _await_published(stage: Stage) -> None:
    def empty() -> bool:
        waiting = stage.ask("SELECT count(*) FROM outbox WHERE published_us IS NULL")
        return waiting == [(0,)]

    assert stage.worker.wait_until(empty, 60), stage.worker.last_words


def _change_status(stage: Stage, number: int, status: str) -> None:
    name = f"INV-{FIRST.replace('-', '')}-{number:04}"
    stage.scene.command("invoices", "status", name, status)


def _close(stage: Stage) -> None:
    """Under load it may be told to wait until ingest has come as far as at its first try."""
    arguments = [sys.executable, "-m", "chargeback_worker", "close", FIRST]
    environment = {**os.environ, **stage.scene.environment()}

    def closed() -> bool:
        return subprocess.run(arguments, env=environment, capture_output=True).returncode == 0

    until(closed, f"{FIRST} is closed", 120)


def _refuse_large(stage: Stage) -> None:
    _set_topic(stage, {"max.message.bytes": "300"})
    _change_status(stage, 2, "paid")


def _take_large(stage: Stage) -> None:
    _set_topic(stage, {"max.message.bytes": "1048576"})
    stage.scene.command("outbox", "release", "--reason", "the topic takes more", "--yes")


def _keep_from_publishing(stage: Stage) -> None:
    stage.lock("lease")
    _change_status(stage, 3, "paid")


def _set_topic(stage: Stage, config: Mapping[str, str]) -> None:
    topic = stage.scene.settings["CHARGEBACK_KAFKA__INVOICES_TOPIC"]
    admin = kafka.KafkaAdminClient(bootstrap_servers=stage.scene.flow.servers)
    try:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, dict(config))])
    finally:
        admin.close()


def _dismiss_all(stage: Stage) -> None:
    store = stage.scene.store
    while True:
        with store.read() as transaction:
            held = quarantine.listed(transaction)
            act = Act("tester", transaction.now_us(), "was never usage")
        if not held:
            return
        for event in held:
            dismiss(store, event.quarantine_id, act)


def _nothing(stage: Stage) -> None:
    """It has begun already."""


# In this order: what is refused first waits until the last.
FAULTS: Mapping[str, Fault] = {
    "ChargebackQuarantineBurst": Fault(
        "a tenth of the events cannot be read", _refused(0.1), _refused(0), "the emitter"
    ),
    "ChargebackConflicts": Fault(
        "an event with the id of another", _conflict, _nothing, "(an hour goes by)"
    ),
    "ChargebackStoreDown": Fault(
        "PostgreSQL stopped",
        lambda stage: _ours(stage).stop(),
        lambda stage: _ours(stage).start(),
        "started",
    ),
    "ChargebackRoleNotReady": Fault(
        "the broker stopped",
        lambda stage: stage.ground.kafka.stop(),
        lambda stage: stage.ground.kafka.start(),
        "started",
    ),
    "ChargebackRoleSilent": Fault(
        "kill -9 of the worker, the API lives",
        lambda stage: stage.worker.kill(),
        lambda stage: stage.start_worker(),
        "started",
    ),
    "ChargebackNotScraped": Fault(
        "kill -9 of both", _kill_both, lambda stage: stage.start(), "started"
    ),
    "ChargebackIngestStalled": Fault(
        "a session locks the usage records",
        lambda stage: stage.lock("usage_record"),
        lambda stage: stage.unlock(),
        "the session ended",
    ),
    "ChargebackIngestBehind": Fault(
        "the database answers 60 ms late", _slow(0.03), _slow(0), "it answers at once"
    ),
    "ChargebackPartitionStopped": Fault(
        "all events cannot be read", _refused(1), _take_all, "the emitter; a new start"
    ),
    "ChargebackPeriodOverdue": Fault(
        "a closed month reopened and left",
        lambda stage: stage.scene.command("reopen", FIRST, "--reason", "a try", "--yes"),
        _close,
        "`chargeback close`",
    ),
    "ChargebackReceiverParked": Fault(
        "an invoice larger than the topic takes",
        _refuse_large,
        _take_large,
        "the topic, then `outbox release`",
    ),
    "ChargebackInvoicesNotPublished": Fault(
        "a session locks the publishers' lease",
        _keep_from_publishing,
        lambda stage: stage.unlock(),
        "the session ended",
    ),
    "ChargebackBooksDisagree": Fault(
        "a total of a closed month changed by hand, by a nano-dollar",
        _change_a_total(1),
        _change_a_total(-1),
        "changed back",
    ),
    "ChargebackCloseFails": Fault(
        "a trigger refuses what a close books",
        _refuse_bookings,
        lambda stage: stage.ask("DROP FUNCTION planted CASCADE"),
        "the trigger dropped (two hours go by)",
    ),
    "ChargebackCloseHangs": Fault(
        "a session locks the bookings",
        _hang_the_close,
        lambda stage: stage.unlock(),
        "the session ended",
    ),
    "ChargebackBooksHeld": Fault(
        "a backup restored",
        _go_back,
        lambda stage: stage.scene.command("db", "resume", "--reason", "the right one", "--yes"),
        "`chargeback db resume`",
    ),
    "ChargebackQuarantineWaits": Fault(
        "what was refused above is left", _nothing, _dismiss_all, "dismissed"
    ),
}
