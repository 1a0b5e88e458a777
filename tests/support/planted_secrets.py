"""Secrets that a test plants, and the search for them in all that is told."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus


@dataclass(frozen=True)
class Secret:
    """`core` is searched for, so that a part of the value is found too; it stands within `around`,
    which holds what a careless reader of addresses stumbles over."""

    name: str
    core: str
    around: str = "{}"

    @property
    def value(self) -> str:
        return self.around.format(self.core)

    @property
    def encoded(self) -> str:
        """As it is written in an address."""
        return quote(self.value, safe="")

    def forms(self) -> set[str]:
        """The core, and the value as it is, as in an address, in base64 and in hexadecimal."""
        raw = self.value.encode()
        found = {self.core, self.value, self.encoded, quote_plus(self.value)}
        found |= {binascii.hexlify(part).decode() for part in (raw, self.core.encode())}
        # In the midst of a longer text base64 has one of three forms; its ends depend on what
        # stands beside it.
        for before in range(3):
            coded = base64.b64encode(b"\0" * before + self.core.encode()).decode().rstrip("=")
            found.add(coded[(before * 8 + 5) // 6 : -1])
        return found | {form.replace("+", "-").replace("/", "_") for form in found}


@dataclass
class Told:
    """All that was said, by where."""

    secrets: tuple[Secret, ...]
    said: dict[str, str] = field(default_factory=dict)

    def add(self, where: str, text: str | bytes) -> None:
        told = text if isinstance(text, str) else text.decode("utf-8", "surrogateescape")
        self.said[where] = self.said.get(where, "") + told

    def leaks(self) -> Mapping[str, list[str]]:
        """The names of the secrets that were told, by where."""
        found = {
            where: [
                secret.name
                for secret in self.secrets
                if any(form.lower() in text.lower() for form in secret.forms())
            ]
            for where, text in self.said.items()
        }
        return {where: names for where, names in found.items() if names}
