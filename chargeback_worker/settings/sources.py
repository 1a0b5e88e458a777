"""Where settings come from: a TOML file, the environment, flags; each value with its origin."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from chargeback_worker.settings.display import OPTIONS, SECRETS
from chargeback_worker.settings.faults import Fault, did_you_mean
from chargeback_worker.settings.model import Settings
from chargeback_worker.settings.redaction import shown_path

PREFIX = "CHARGEBACK_"
CONFIG = "CHARGEBACK_CONFIG"
FLAGS = "command line"
_FILE = "_FILE"
# What others read under this prefix, and what Kubernetes sets for a service called `chargeback…`.
_OTHERS = re.compile(
    rf"{CONFIG}|{PREFIX}REQUIRE|{PREFIX}(?:TEST|BOOTSTRAP)_.*"
    r"|.*_SERVICE_(?:HOST|PORT(?:_\w+)?)|.*_PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:ADDR|PORT|PROTO))?"
)
_LINKED_PORT = re.compile(r"(?:tcp|udp|sctp)://\S+")
_HEADER = re.compile(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?")
_KEY = re.compile(r"\s*([A-Za-z0-9_\-.\"' ]+?)\s*=")


class Given(NamedTuple):
    """A value as somebody gave it."""

    value: object
    origin: str


class Layer(NamedTuple):
    """What one source gives, by key, and what is wrong with it."""

    given: dict[str, Given]
    faults: list[Fault]


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The dotted names of all settings, without their values."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from keys_of(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


KEYS = tuple(keys_of(Settings))
_SECTIONS = frozenset(key.rpartition(".")[0] for key in KEYS) | {OPTIONS}


def _is_setting(key: str) -> bool:
    section, _, name = key.rpartition(".")
    return (key in KEYS and key != OPTIONS) or (section == OPTIONS and bool(name))


def env_name(key: str) -> str:
    return PREFIX + key.upper().replace(".", "__")


def from_flags(flags: Mapping[str, object]) -> Layer:
    """Flags by the setting's key; None is a flag that was not given."""
    layer = Layer({}, [])
    for key, value in flags.items():
        if not _is_setting(key):
            sentence = f"is no setting{did_you_mean(key, KEYS)}"
            layer.faults.append(Fault(key, None, FLAGS, sentence))
        elif value is not None:
            layer.given[key] = Given(value, FLAGS)
    return layer


def from_environ(environ: Mapping[str, str]) -> Layer:
    """What is set under the prefix; a secret may be in the file that its `…_FILE` names."""
    layer = Layer({}, [])
    for name in sorted(name for name in environ if name.startswith(PREFIX)):
        value = environ[name]
        if _OTHERS.fullmatch(name) or (name.endswith("_PORT") and _LINKED_PORT.match(value)):
            continue
        key = name.removeprefix(PREFIX).lower().replace("__", ".")
        secret = key.removesuffix(_FILE.lower())
        if key != secret and secret in SECRETS:
            _secret_from_file(layer, name, secret, value)
        elif not _is_setting(key):
            known = [env_name(key) for key in KEYS if key != OPTIONS]
            known += [env_name(key) + _FILE for key in sorted(SECRETS)]
            sentence = f"is no setting{did_you_mean(name, known)}"
            layer.faults.append(Fault(name, None, "environment", sentence))
        elif key in layer.given:
            layer.faults.append(_given_twice(key, name, layer.given[key].origin))
        else:
            layer.given[key] = Given(value, f"env {name}")
    return layer


def _given_twice(key: str, name: str, origin: str) -> Fault:
    return Fault(key, None, f"env {name}", f"is given by {origin} as well; keep one of them")


def _secret_from_file(layer: Layer, name: str, key: str, path: str) -> None:
    origin = f"file {path}, env {name}"
    if key in layer.given:
        layer.faults.append(_given_twice(key, name, layer.given[key].origin))
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        sentence = f"cannot be read: {reason}"
        layer.faults.append(Fault(name, shown_path(path), "environment", sentence))
    else:
        layer.given[key] = Given(text.removesuffix("\n").removesuffix("\r"), origin)


def from_file(path: Path) -> Layer:
    """A TOML file. Its numbers stay texts, so that a rate keeps its digits."""
    try:
        text = path.read_text("utf-8")
        tables = tomllib.loads(text, parse_float=str)
    except OSError as error:
        return _unreadable(path, f"cannot be read: {error.strerror}")
    except tomllib.TOMLDecodeError as error:
        return _unreadable(path, f"is no TOML: {error}")
    except ValueError:
        return _unreadable(path, "is no UTF-8 text")
    layer = Layer({}, [])
    lines = _lines(text)
    for key, value in _flat(tables):
        origin = f"{path}:{_line(lines, key)}"
        if _is_setting(key):
            layer.given[key] = Given(value, origin)
        else:
            # Its value is not shown: a misspelt password is one too.
            is_section = f"is a section: write it as [{key}]"
            sentence = is_section if key in _SECTIONS else f"is no setting{did_you_mean(key, KEYS)}"
            layer.faults.append(Fault(key, None, origin, sentence))
    return layer


def _unreadable(path: Path, sentence: str) -> Layer:
    return Layer({}, [Fault(str(path), None, "configuration file", sentence)])


def _flat(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _lines(text: str) -> dict[str, int]:
    """Where keys stand. It knows the usual ways to write TOML, and misleads in none of them."""
    found: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.fullmatch(line):
            section = _plain_key(header[1]) + "."
        elif key := _KEY.match(line):
            found.setdefault(section + _plain_key(key[1]), number)
    return found


def _plain_key(text: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in text.split("."))


def _line(lines: Mapping[str, int], key: str) -> int:
    while key and key not in lines:
        key = key.rpartition(".")[0]
    return lines.get(key, 1)
