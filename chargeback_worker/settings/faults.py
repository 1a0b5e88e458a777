"""What is wrong with a configuration, each fault with its name, value and origin."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic_core import PydanticCustomError

from chargeback_worker.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: `shown` is the value with its secrets hidden, None where there is no value."""

    key: str
    shown: str | None
    origin: str
    sentence: str

    def __str__(self) -> str:
        value = "" if self.shown is None else f" = {self.shown}"
        return f"{self.key}{value} ({self.origin}): {self.sentence}"


class BadSettings(Misconfigured):
    """A configuration with faults, all of them."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        count = "One setting is" if len(faults) == 1 else f"{len(faults)} settings are"
        super().__init__(
            "\n  ".join([f"{count} at fault:", *map(str, faults)]),
            "Correct what is named; config/chargeback.toml of the project lists every setting "
            "with its meaning, unit and default.",
        )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`, did you mean X?` or nothing; a right name in a wrong section is near too."""
    names = list(known)
    near = get_close_matches(name, names, n=1, cutoff=0.75)
    if not near:
        last = name.rpartition(".")[2]
        near = [other for other in names if other.rpartition(".")[2] == last][:1]
    return f", did you mean {near[0]}?" if near else ""


def several(faults: Sequence[tuple[tuple[str, ...], str]]) -> PydanticCustomError:
    """What a validator raises for more than one fault: (keys below it, sentence) each.

    The first of the keys that somebody gave is the one that is blamed.
    """
    text = "; ".join(sentence for _, sentence in faults)
    return PydanticCustomError("several", "{text}", {"text": text, "faults": list(faults)})
