"""`chargeback topics create`: the two topics, for brokers that do not make them."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from chargeback_worker import app
from chargeback_worker.broker import Broker
from chargeback_worker.cli.output import Column, Format, Output, number, show
from chargeback_worker.cli.session import session

topics = typer.Typer(help="The topics of usage and of invoices.", no_args_is_help=True)

PARTITIONS = 4
_BY_ARRIVAL = {"message.timestamp.type": "LogAppendTime"}
_COLUMNS = (
    Column("topic", "Topic"),
    number("partitions", "Partitions"),
    Column("created", "Made now"),
    Column("topic_id", wide=True),
    Column("config", "Settings"),
)


@topics.command(epilog="Example: chargeback topics create --partitions 12")
def create(
    context: typer.Context,
    partitions: Annotated[
        int, typer.Option(min=1, help="Of each; as many workers can read at once.")
    ] = PARTITIONS,
    output: Output = Format.TABLE,
) -> None:
    """Make the usage topic and the invoices topic where they are missing.

    The broker's own defaults decide on replication and retention, but usage is kept from when it
    came (LogAppendTime), whatever time its emitter gives. A topic that is there stays as it is.
    """
    settings = session(context).settings()
    broker = app.open_broker(settings)
    try:
        rows = [
            _made(broker, settings.kafka.usage_topic, partitions, _BY_ARRIVAL),
            _made(broker, settings.kafka.invoices_topic, partitions, {}),
        ]
    finally:
        broker.close()
    show({"topics": rows}, output, rows=rows, columns=_COLUMNS)


def _made(broker: Broker, name: str, partitions: int, config: Mapping[str, str]) -> dict[str, Any]:
    created = broker.create_topic(name, partitions, config)
    found = broker.describe(name)
    return {
        "topic": name,
        "partitions": found.partitions if found else partitions,
        "created": created,
        "topic_id": found.topic_id if found else None,
        "config": dict(found.config) if found else {},
    }
