"""What a check says: a finding, and the fault that it names."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from chargeback_worker import app
from chargeback_worker.broker import TopicDescription
from chargeback_worker.cli.door import ExitCode, exit_code
from chargeback_worker.errors import ChargebackError
from chargeback_worker.settings import Settings


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Fault(StrEnum):
    """Everything that can be found wrong: stable names, for programs that read the answer."""

    CODECS_MISSING = "codecs-missing"
    SETTINGS_WRONG = "settings-wrong"
    TIME_ZONE_UNKNOWN = "time-zone-unknown"
    TIME_ZONE_DATA_OLD = "time-zone-data-old"
    DISK_MISSING = "disk-missing"
    DISK_LOW = "disk-low"
    DATABASE_MISSING = "database-missing"
    DATABASE_AWAY = "database-away"
    DATABASE_LOCKED_DOWN = "database-locked-down"
    DATABASE_CROWDED = "database-crowded"
    SCHEMA_MISSING = "schema-missing"
    SCHEMA_UNFIT = "schema-unfit"
    GRAIN_NOT_FIXED = "grain-not-fixed"
    GRAIN_DIFFERS = "grain-differs"
    CLOCK_DIFFERS = "clock-differs"
    BROKER_AWAY = "broker-away"
    BROKER_CLOCK_DIFFERS = "broker-clock-differs"
    TOPIC_MISSING = "topic-missing"
    TOPIC_FORGETS = "topic-forgets"
    TOPIC_KEEPS_BRIEFLY = "topic-keeps-briefly"
    TOPIC_KEEPS_FEW_BYTES = "topic-keeps-few-bytes"
    TOPIC_TRUSTS_TIMES = "topic-trusts-times"
    TOPIC_TAKES_LITTLE = "topic-takes-little"
    TOPIC_HAS_ONE_COPY = "topic-has-one-copy"
    TOPIC_CANNOT_BE_WRITTEN = "topic-cannot-be-written"
    GROUP_MOVES = "group-moves"
    GROUP_HAS_IDLE_MEMBERS = "group-has-idle-members"
    PARTITION_STOPPED = "partition-stopped"
    USAGE_UNREAD = "usage-unread"
    USAGE_STALLED = "usage-stalled"
    USAGE_LOST = "usage-lost"
    USAGE_REFUSED = "usage-refused"
    BOOKS_OLDER = "books-older"
    BOOKS_UNKNOWN = "books-unknown"
    PERIOD_OVERDUE = "period-overdue"
    PERIOD_NOBODY_CLOSES = "period-nobody-closes"
    PERIOD_HAS_MANY_TOTALS = "period-has-many-totals"
    MESSAGES_PARKED = "messages-parked"
    MESSAGES_WAIT = "messages-wait"
    ROLE_MISSING = "role-missing"
    ROLE_WAITS = "role-waits"
    KEYS_MISSING = "keys-missing"
    KEYS_TOO_WIDE = "keys-too-wide"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `fix` says what to do, `code` how the command ends for it."""

    check: str
    level: Level
    detail: str
    fix: str = ""
    fault: Fault | None = None
    code: ExitCode = ExitCode.OK


@dataclass
class Patient:
    """What is looked at. Checks that find a part unusable note it, so that others leave it out."""

    settings: Settings
    world: app.App
    has_books: bool = False
    has_broker: bool = False
    topics: dict[str, TopicDescription] = field(default_factory=dict)


Check = Callable[[Patient], Iterator[Finding]]


def ok(check: str, detail: str) -> Finding:
    return Finding(check, Level.OK, detail)


def warn(check: str, fault: Fault, detail: str, fix: str) -> Finding:
    return Finding(check, Level.WARN, detail, fix, fault)


def failed(check: str, fault: Fault, error: ChargebackError) -> Finding:
    """What an error says; it ends the command as it would end any other."""
    return Finding(check, Level.FAIL, error.message, error.hint, fault, exit_code(error))
