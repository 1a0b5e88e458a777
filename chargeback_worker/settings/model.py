"""Every setting with its type, bounds and default, by section.

`config/chargeback.toml` says of each what it means and in which unit; a test holds them together.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    model_validator,
)

from chargeback_worker.settings import kafka_options
from chargeback_worker.settings.faults import several
from chargeback_worker.settings.kafka_options import Option, read_options
from chargeback_worker.settings.values import (
    Duration,
    Fraction,
    Labels,
    Lines,
    LocaleName,
    MaybeDuration,
    MaybePeriod,
    MaybeText,
    Name,
    Servers,
    Size,
    Text,
    Topic,
    Whole,
    Zone,
    read_level,
    read_text,
)

_SQLITE = re.compile(r"sqlite:///(?!:memory:)[^?]+")
_POSTGRESQL = re.compile(r"postgresql(?:\+psycopg)?://\S+")


def _database_url(value: object) -> str:
    url = read_text(value)
    if not _SQLITE.fullmatch(url) and not _POSTGRESQL.fullmatch(url):
        raise ValueError(
            "must be sqlite:///FILE (sqlite:////var/lib/… for an absolute path) "
            "or postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        )
    return url


def _at_least_a_second(value: timedelta) -> timedelta:
    if value < timedelta(seconds=1):
        raise ValueError("must be at least 1s")
    return value


Port = Annotated[Whole, Field(ge=0, le=65535)]
Timeout = Annotated[Duration, AfterValidator(_at_least_a_second)]


class Section(BaseModel):
    """Frozen and closed: a name that is no setting is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Database(Section):
    url: Annotated[str, BeforeValidator(_database_url)] = Field(
        "sqlite:///chargeback.db", repr=False
    )


class Kafka(Section):
    bootstrap_servers: Servers = ("localhost:9092",)
    usage_topic: Topic = "usage-events"
    invoices_topic: Topic = "invoices"
    group_id: Name = "chargeback"
    group_instance_id: MaybeText = None
    session_timeout: Timeout = timedelta(seconds=10)
    max_poll_interval: Timeout = timedelta(minutes=5)
    start_at: Literal["beginning", "end"] = "beginning"
    options: Annotated[Mapping[str, Option], BeforeValidator(read_options)] = Field(
        default_factory=dict, repr=False
    )

    def client_options(self) -> dict[str, Any]:
        """The table `kafka.options` as every client of kafka-python takes it."""
        return kafka_options.client_options(self.options)


class MaxRefused(Section):
    """When refusals stop a partition: so many in a row, or more than a share of the last ones."""

    share: Fraction = Decimal("0.5")
    run: Annotated[Whole, Field(ge=1)] = 1000
    window: Annotated[Whole, Field(ge=1)] = 2000


class Ingest(Section):
    source: Text = ""
    max_future: Duration = timedelta(hours=24)
    max_age: MaybeDuration = None
    batch_events: Annotated[Whole, Field(ge=1, le=200_000)] = 12_000
    max_refused: MaxRefused = MaxRefused()


class Grain(Section):
    labels: Labels = ()
    totals_max: Annotated[Whole, Field(ge=1)] = 5_000_000


class Billing(Section):
    timezone: Zone = "UTC"
    close_delay: Duration = timedelta(hours=48)
    first_period: MaybePeriod = None
    bill_to: Literal["team", "user"] = "team"
    approval: Literal["auto", "manual"] = "auto"
    due_days: Annotated[Whole, Field(ge=0, le=3650)] = 30
    tax_rate: Fraction = Decimal(0)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


class Documents(Section):
    """What invoices look like as documents; an empty text is left out."""

    issuer: Text = ""
    issuer_address: Lines = ()
    issuer_tax_id: Text = ""
    logo: MaybeText = None
    payment_terms: Lines = ()
    footer: Lines = ()
    locale: LocaleName = "en"
    paper: Literal["a4", "letter"] = "a4"


class Quarantine(Section):
    max_bytes: Annotated[Size, Field(le=1024**3)] = 1024**2


class Retention(Section):
    records: MaybeDuration = None


class Api(Section):
    host: Name = "127.0.0.1"
    port: Port = 8080
    request_timeout: Timeout = timedelta(seconds=60)


class Metrics(Section):
    host: Name = "127.0.0.1"
    port: Port = 9464


class Log(Section):
    format: Literal["auto", "json", "human"] = "auto"
    level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(read_level)] = (
        "info"
    )


class Settings(Section):
    """The whole configuration. `load` makes it; tests may make one by hand."""

    database: Database = Database()
    kafka: Kafka = Kafka()
    ingest: Ingest = Ingest()
    grain: Grain = Grain()
    billing: Billing = Billing()
    documents: Documents = Documents()
    quarantine: Quarantine = Quarantine()
    retention: Retention = Retention()
    api: Api = Api()
    metrics: Metrics = Metrics()
    log: Log = Log()

    # Origins of what was given, by key; what is not in it has its default.
    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if found := self._disagreements():
            raise several(found)
        return self

    def _disagreements(self) -> list[tuple[tuple[str, ...], str]]:
        kafka = self.kafka
        found = [
            (tuple(f"kafka.options.{key}" for key in keys), sentence)
            for keys, sentence in kafka_options.disagreements(kafka.options)
        ]
        if kafka.usage_topic == kafka.invoices_topic:
            keys: tuple[str, ...] = ("kafka.usage_topic", "kafka.invoices_topic")
            found.append((keys, "usage and invoices need two topics"))
        if kafka.max_poll_interval < kafka.session_timeout:
            keys = ("kafka.max_poll_interval", "kafka.session_timeout")
            found.append((keys, "kafka.max_poll_interval must not be below kafka.session_timeout"))
        if self.api.port == self.metrics.port != 0 and self.api.host == self.metrics.host:
            keys = ("metrics.port", "api.port")
            found.append((keys, "api.port and metrics.port must differ"))
        return found
