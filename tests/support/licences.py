"""What the worker depends on, with licences: `python -m tests.support.licences` writes the page."""

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/dependencies.md"
_LINE = re.compile(r"([a-z0-9._-]+)==([^ ;\\]+)(?: *; *([^\\]+))?")
# As SPDX writes them, where a package says it in other words.
_SPDX = {
    "Apache": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD 2-Clause License": "BSD-2-Clause",
    "BSD License": "BSD-3-Clause",
    "BSD-3-Clause, Apache-2.0, dependency licenses": "BSD-3-Clause AND Apache-2.0",
    "ISC License": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
# On Windows alone, so that they cannot be asked everywhere.
_ELSEWHERE = {"colorama": "BSD-3-Clause", "pywin32": "PSF-2.0"}
# Free to be distributed with what is under Apache-2.0, in any form.
PERMISSIVE = frozenset(
    "0BSD Apache-2.0 BSD-2-Clause BSD-3-Clause ISC MIT OFL-1.1 PSF-2.0".split()  # noqa: SIM905
)
# Free to be used so, as libraries of their own that anybody may exchange.
BESIDE = frozenset(["LGPL-2.1-or-later", "LGPL-3.0-only", "MPL-2.0"])

_PAGE = """\
# Dependencies and their licences

The worker is under Apache-2.0. This page is written from the locks, and from what the packages say
of themselves, by `make dependencies-page`; a test holds it against both. `make sbom` writes what is
in the lock as CycloneDX, with hashes, to `build/sbom.cdx.json`; `make audit` asks for known
vulnerabilities of it.

All but these are permissive, and fit Apache-2.0 in any form:

{beside}

They are libraries of their own, unchanged, which Python loads when they are imported, and anybody
may put others in their place, as their licences ask. Keep their notices when you distribute an
image. `psycopg-binary` brings libpq, OpenSSL, Kerberos, OpenLDAP and SASL with it, under permissive
licences, and of what these need libcrypt and keyutils under the LGPL. The fonts of PDF documents
are of the Noto family, under OFL-1.1, also where their package says MIT of itself.

## Of the worker

`requirements/worker.lock`, with all extras; the image holds the same.

{worker}

## Of the tests

`requirements/dev.lock` besides. None of it is distributed. The bench's peer (`quix.lock`), uv and
the tools of `make sbom` (`tools.lock`) are not listed.

{dev}
"""


class Locked(NamedTuple):
    """A package as a lock holds it, and the licence that it names."""

    name: str
    version: str
    licence: str

    @property
    def terms(self) -> set[str]:
        """Each licence of which it is under, or of which one may choose."""
        return set(re.split(r" (?:AND|OR) ", self.licence))


def locked(lock: str) -> list[Locked]:
    """What a lock holds. Raises PackageNotFoundError for what is not installed here."""
    lines = (ROOT / "requirements" / lock).read_text().splitlines()
    found = [match for line in lines if (match := _LINE.match(line))]
    return [Locked(match[1], match[2], _licence(match[1])) for match in found]


def _licence(name: str) -> str:
    if name in _ELSEWHERE:
        return _ELSEWHERE[name]
    told = next(_told(metadata.metadata(name)), "")
    return _SPDX.get(told, told)


def _told(said: metadata.PackageMetadata) -> Iterator[str]:
    """By the newest field first; a licence's whole text is not its name."""
    for field in ("License-Expression", "License"):
        for text in said.get_all(field) or []:
            if text.strip() and "\n" not in text.strip():
                yield text.strip()
    for one in said.get_all("Classifier") or []:
        if one.startswith("License ::") and "approved" not in one:
            yield one.rpartition(" :: ")[2]


def page() -> str:
    worker = locked("worker.lock")
    names = {one.name for one in worker}
    dev = [one for one in locked("dev.lock") if one.name not in names]
    beside = [one for one in (*worker, *dev) if not one.terms & PERMISSIVE]
    return _PAGE.format(
        beside="\n".join(f"* {one.name}: {one.licence}{_role(one, names)}" for one in beside),
        worker=_table(worker),
        dev=_table(dev),
    )


def _role(one: Locked, of_worker: set[str]) -> str:
    if one.name not in of_worker:
        return " (tests alone)"
    return " (to build alone)" if one.name == "pathspec" else ""


def _table(rows: list[Locked]) -> str:
    lines = [f"| {one.name} | {one.version} | {one.licence} |" for one in rows]
    return "\n".join(["| package | version | licence |", "|---|---|---|", *lines])


if __name__ == "__main__":
    PAGE.write_text(page())
