"""Makes the settings out of their sources, or tells every fault of them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from chargeback_worker.settings.display import OPTIONS, shown_at_fault
from chargeback_worker.settings.faults import BadSettings, Fault
from chargeback_worker.settings.kafka_options import FILES
from chargeback_worker.settings.model import Settings
from chargeback_worker.settings.sources import (
    CONFIG,
    Given,
    from_environ,
    from_file,
    from_flags,
)

# How pydantic begins its sentences; the setting itself is named before.
_SUBJECT = re.compile(r"^Input should")


def load(
    flags: Mapping[str, object], environ: Mapping[str, str], *, config: Path | None = None
) -> Settings:
    """The settings: flags (by key; None is not given) > environment > file > defaults.

    The file is `config` (the flag --config), else what CHARGEBACK_CONFIG names, else none.
    Raises BadSettings with all faults.
    """
    path = config or (Path(named) if (named := environ.get(CONFIG)) else None)
    layers = [from_file(path)] if path else []
    layers += [from_environ(environ), from_flags(flags)]
    faults = [fault for layer in layers for fault in layer.faults]
    given = {key: value for layer in layers for key, value in layer.given.items()}
    settings, found = _validated(given)
    faults += found
    if settings is None or faults:
        raise BadSettings(faults)
    settings._origins.update({key: value.origin for key, value in given.items()})
    return settings


def _validated(given: Mapping[str, Given]) -> tuple[Settings | None, list[Fault]]:
    """Validate again without what was at fault, so that settings that do not fit each other are
    told in the same go."""
    faults = _missing_files(given)
    remaining = dict(given)
    while True:
        try:
            return Settings.model_validate(_tree(remaining)), faults
        except ValidationError as error:
            found = _faults(error, remaining)
        faults += found
        at_fault = {fault.key for fault in found} & remaining.keys()
        if not at_fault:
            return None, faults
        remaining = {key: value for key, value in remaining.items() if key not in at_fault}


def _tree(given: Mapping[str, Given]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, (value, _) in given.items():
        *sections, name = key.split(".")
        table = tree
        for section in sections:
            table = table.setdefault(section, {})
        table[name] = value
    return tree


def _faults(error: ValidationError, given: Mapping[str, Given]) -> list[Fault]:
    found = []
    for detail in error.errors():
        key = ".".join(map(str, detail["loc"]))
        if detail["type"] == "several":
            for keys, sentence in detail["ctx"]["faults"]:
                full = [f"{key}.{name}" if key else name for name in keys]
                blamed = next((name for name in full if name in given), full[0])
                found.append(_fault(blamed, given, sentence))
        else:
            message = detail["msg"].removeprefix("Value error, ")
            found.append(_fault(key, given, _SUBJECT.sub("must", message)))
    return found


def _fault(key: str, given: Mapping[str, Given], sentence: str) -> Fault:
    value, origin = given.get(key, (None, "default"))
    return Fault(key, None if value is None else shown_at_fault(key, value), origin, sentence)


def _missing_files(given: Mapping[str, Given]) -> list[Fault]:
    """kafka-python would tell of a missing certificate only when it first connects."""
    keys = [key for name in FILES if (key := f"{OPTIONS}.{name}") in given]
    return [
        _fault(key, given, "there is no such file")
        for key in keys
        if not Path(str(given[key].value)).is_file()
    ]
