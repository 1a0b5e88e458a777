"""What can be set: read once at start from flags, environment and file, then frozen.

Owns: every setting with its type, bounds and default; the order flags > environment > file >
default; where each value came from; hiding secrets in whatever is shown.

Does not own: what a setting does (its room does), nor what is fixed in a database at its first
start (the store compares that).

Invariants:
* All faults of a configuration are told in one error, each with its name, value and origin.
* A name that is no setting is a fault, in the file and in the environment, with a near name.
* Numbers are read by their text; no secret is shown, logged or part of a `repr`.
* `environ` is an argument: nothing here looks at the environment by itself.
"""

from chargeback_worker.settings.display import Origin, duration_text, origins
from chargeback_worker.settings.faults import BadSettings, Fault
from chargeback_worker.settings.loading import load
from chargeback_worker.settings.model import (
    Api,
    Billing,
    Database,
    Grain,
    Ingest,
    Kafka,
    Log,
    MaxRefused,
    Metrics,
    Quarantine,
    Retention,
    Settings,
)
from chargeback_worker.settings.redaction import redacted, shown_path

__all__ = [
    "Api",
    "BadSettings",
    "Billing",
    "Database",
    "Fault",
    "Grain",
    "Ingest",
    "Kafka",
    "Log",
    "MaxRefused",
    "Metrics",
    "Origin",
    "Quarantine",
    "Retention",
    "Settings",
    "duration_text",
    "load",
    "origins",
    "redacted",
    "shown_path",
]
