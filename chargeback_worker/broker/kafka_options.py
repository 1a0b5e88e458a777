"""Which options of kafka-python the worker sets, which it lets others set, and to what."""

import difflib
import os
from collections.abc import Mapping
from typing import Any

import kafka
from kafka.coordinator.assignors.range import RangePartitionAssignor

from chargeback_worker.broker.errors import UnusableOption

_MIB = 1 << 20

# What a caller must not change: it would break a promise, or the code around it.
FIXED_READING: dict[str, Any] = {
    "key_deserializer": None,
    "value_deserializer": None,
    "enable_auto_commit": False,
    "auto_offset_reset": "none",
    "isolation_level": "read_committed",
    "check_crcs": True,
    "allow_auto_create_topics": False,
    "partition_assignment_strategy": [RangePartitionAssignor],
}
FIXED_WRITING: dict[str, Any] = {
    "key_serializer": None,
    "value_serializer": None,
    "acks": "all",
    "allow_auto_create_topics": False,
    # After one message that the broker refuses, an idempotent producer of this library refuses all
    # that follow with the same error. One request at a time keeps their order without it; what is
    # sent again may be stored twice, which readers of either topic expect.
    "enable_idempotence": False,
    "max_in_flight_requests_per_connection": 1,
}
_FIXED_ELSEWHERE = frozenset(
    {"bootstrap_servers", "group_id", "group_instance_id", "transactional_id", "kafka_client"}
)
_FILES = frozenset({"ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_crlfile"})

# Small: what is fetched ahead stays in memory, and larger pieces made nothing faster.
READING: dict[str, Any] = {
    "fetch_max_bytes": 4 * _MIB,
    "max_partition_fetch_bytes": _MIB,
    "fetch_max_wait_ms": 500,
}
WRITING: dict[str, Any] = {
    "delivery_timeout_ms": 60_000,
    "request_timeout_ms": 15_000,
    "max_block_ms": 5_000,
    "linger_ms": 5,
    "batch_size": 128 * 1024,
    # The topic decides what is too large; an invoice of some thousand lines may have several MiB.
    "max_request_size": 16 * _MIB,
}
ALWAYS: dict[str, Any] = {
    "client_id": "chargeback",
    "metadata_max_age_ms": 60_000,
    "reconnect_backoff_max_ms": 5_000,
    # The client's own figures cost a fifth of its speed; ours are taken elsewhere.
    "metrics_enabled": False,
}

# The client takes any other word for a connection without protection, and says nothing.
WORDS = {
    "security_protocol": {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"},
    "sasl_mechanism": {"PLAIN", "GSSAPI", "OAUTHBEARER", "SCRAM-SHA-256", "SCRAM-SHA-512"},
}


def check_options(options: Mapping[str, object]) -> None:
    """Refuse what the client would not understand, or understand otherwise than it was meant."""
    known = (
        kafka.KafkaConsumer.DEFAULT_CONFIG.keys()
        | kafka.KafkaProducer.DEFAULT_CONFIG.keys()
        | kafka.KafkaAdminClient.DEFAULT_CONFIG.keys()
    )
    for option, value in options.items():
        if option in FIXED_READING or option in FIXED_WRITING or option in _FIXED_ELSEWHERE:
            raise UnusableOption(option, "it is set by the worker itself")
        if option not in known:
            near = ", ".join(difflib.get_close_matches(option, sorted(known), n=2))
            raise UnusableOption(option, f"it is unknown; near it: {near or 'nothing'}")
        if option in WORDS and value not in WORDS[option]:
            words = ", ".join(sorted(WORDS[option]))
            raise UnusableOption(option, f"{value!r} is none of {words}")
        # The client would look for it again and again, as if it were the broker.
        if option in _FILES and not os.path.isfile(str(value)):
            raise UnusableOption(option, f"there is no file {value}")
