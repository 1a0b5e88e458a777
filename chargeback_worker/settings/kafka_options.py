"""`kafka.options`: the connection and security options of kafka-python, by its own names.

What all of its clients share can be set; what makes delivery exact is the worker's own and cannot.
kafka-python is imported only where an option is given: it takes longer than all the rest.
"""

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from chargeback_worker.errors import Misconfigured
from chargeback_worker.settings.faults import did_you_mean, several
from chargeback_worker.settings.values import read_text, read_truth, read_whole

Option = str | int | bool | tuple[int, ...]

FILES = ("ssl_cafile", "ssl_certfile", "ssl_crlfile", "ssl_keyfile")
TOKEN_PROVIDER = "sasl_oauth_token_provider"
_OBJECTS = ("kafka_client", "selector", "ssl_context", "socket_options", "metric_reporters")
_INSTEAD = {
    "bootstrap_servers": "kafka.bootstrap_servers",
    "group_id": "kafka.group_id",
    "group_instance_id": "kafka.group_instance_id",
    "session_timeout_ms": "kafka.session_timeout",
    "max_poll_interval_ms": "kafka.max_poll_interval",
    "max_poll_records": "ingest.batch_events",
    "auto_offset_reset": "kafka.start_at",
}
CHOICES = {
    "security_protocol": ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    "sasl_mechanism": (
        "PLAIN",
        "SCRAM-SHA-256",
        "SCRAM-SHA-512",
        "GSSAPI",
        "OAUTHBEARER",
    ),
}
_WHOLE = ("receive_buffer_bytes", "send_buffer_bytes")
_VERSION = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){1,3}", re.ASCII)
_IMPORT_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def read_options(value: object) -> dict[str, Option]:
    """Every option by its name; all that are at fault are told together."""
    if not isinstance(value, Mapping):
        raise ValueError("must be a table of options of kafka-python")
    if not value:
        return {}
    options: dict[str, Option] = {}
    faults: list[tuple[tuple[str, ...], str]] = []
    defaults = _shared_defaults()
    for name, given in value.items():
        try:
            options[name] = _read(name, given, defaults)
        except ValueError as fault:
            faults.append(((name,), str(fault)))
    if faults:
        raise several(faults)
    return options


def _shared_defaults() -> dict[str, object]:
    from kafka import KafkaConsumer, KafkaProducer

    producer = KafkaProducer.DEFAULT_CONFIG
    return {name: value for name, value in KafkaConsumer.DEFAULT_CONFIG.items() if name in producer}


def _read(name: str, value: object, defaults: Mapping[str, object]) -> Option:
    if name in _INSTEAD:
        raise ValueError(f"is set by {_INSTEAD[name]}")
    if name in _OBJECTS:
        raise ValueError("is a Python object in kafka-python and cannot be written as text")
    if name not in defaults:
        near = did_you_mean(name, set(defaults) - set(_OBJECTS) - set(_INSTEAD))
        raise ValueError(f"is no connection or security option that its clients share{near}")
    default = defaults[name]
    if isinstance(default, bool):
        return read_truth(value)
    if isinstance(default, int) or name in _WHOLE:
        return read_whole(value)
    return _read_text_option(name, read_text(value))


def _read_text_option(name: str, text: str) -> Option:
    if name in CHOICES and text not in CHOICES[name]:
        raise ValueError(f"must be one of {', '.join(CHOICES[name])}")
    if name == "api_version":
        if not _VERSION.fullmatch(text):
            raise ValueError("must be a version of the broker such as 3.9")
        return tuple(map(int, text.split(".")))
    if name == TOKEN_PROVIDER and not _IMPORT_PATH.fullmatch(text):
        raise ValueError("must be package.module:Class, called without arguments")
    return text


def disagreements(options: Mapping[str, Option]) -> list[tuple[tuple[str, ...], str]]:
    """Options that only together are at fault: (the options, a sentence)."""
    found: list[tuple[tuple[str, ...], str]] = []
    sasl = str(options.get("security_protocol", "PLAINTEXT")).startswith("SASL_")
    mechanism = options.get("sasl_mechanism")
    if sasl and mechanism is None:
        found.append((("security_protocol",), "needs sasl_mechanism as well"))
    given = [name for name in options if name.startswith("sasl_")]
    if given and not sasl:
        found.append((tuple(given), "has no effect without security_protocol SASL_SSL"))
    if sasl and (mechanism == "PLAIN" or str(mechanism).startswith("SCRAM")):
        found += [
            (("sasl_mechanism",), f"needs {name} as well")
            for name in ("sasl_plain_username", "sasl_plain_password")
            if not options.get(name)
        ]
    if mechanism == "OAUTHBEARER" and TOKEN_PROVIDER not in options:
        found.append((("sasl_mechanism",), f"needs {TOKEN_PROVIDER} as well"))
    return found


class TokenProviderNotFound(Misconfigured):
    """The class that gives OAuth tokens cannot be had."""

    def __init__(self, path: str, fault: Exception) -> None:
        super().__init__(
            f"kafka.options.{TOKEN_PROVIDER} = {path}: it cannot be imported or made ({fault}).",
            "Install its package beside the worker, and name it package.module:Class.",
        )


def client_options(options: Mapping[str, Option]) -> dict[str, Any]:
    """The options as kafka-python takes them. Raises TokenProviderNotFound."""
    ready: dict[str, Any] = dict(options)
    path = ready.get(TOKEN_PROVIDER)
    if path is not None:
        module, _, name = str(path).partition(":")
        try:
            ready[TOKEN_PROVIDER] = getattr(import_module(module), name)()
        except Exception as fault:
            raise TokenProviderNotFound(str(path), fault) from fault
    return ready
