"""This machine: what is installed, the time zone data, the disk."""

import importlib.util
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfoNotFoundError

from chargeback_worker import __version__, app
from chargeback_worker.cli.doctor.finding import Fault, Finding, Level, Patient, ok, warn
from chargeback_worker.cli.door import ExitCode
from chargeback_worker.settings import Settings

DISK_LOW_BYTES = 1024**3
# Compressed or checked batches need them; without crc32c reading takes five times as long.
_CODECS = ("crc32c", "lz4", "snappy", "zstandard")
_LIBRARIES = ("kafka-python", "SQLAlchemy", "psycopg", "pydantic")
# Governments change their clocks at short notice, some every year.
_ZONES_OLD_YEARS = 2


def versions() -> Finding:
    libraries = ", ".join(f"{name} {found}" for name in _LIBRARIES if (found := _installed(name)))
    python = f"Python {platform.python_version()} ({sys.executable})"
    return ok("versions", f"chargeback {__version__}, {python}, {libraries}")


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def codecs_are_there() -> Finding:
    missing = [name for name in _CODECS if importlib.util.find_spec(name) is None]
    if not missing:
        return ok("codecs", ", ".join(_CODECS))
    fix = "Install kafka-python[crc32c,lz4,snappy,zstd], as chargeback-worker asks for it."
    detail = f"{', '.join(missing)} not there; such messages cannot be read"
    return warn("codecs", Fault.CODECS_MISSING, detail, fix)


def time_zone_is_known(patient: Patient) -> Iterator[Finding]:
    billing = patient.settings.billing
    try:
        zone = billing.zone
    except ZoneInfoNotFoundError:
        fix = "Install the package tzdata."
        detail = f"there is no time zone data for {billing.timezone}"
        fault = Fault.TIME_ZONE_UNKNOWN
        yield Finding("time zone", Level.FAIL, detail, fix, fault, ExitCode.CONFIGURATION)
        return
    now, data = app.now(), zone_data_version()
    detail = f"{zone}, where it is {now.astimezone(zone):%Y-%m-%d %H:%M %Z}; data {data}"
    year = data[:4]
    if zone.key != "UTC" and year.isdecimal() and int(year) <= now.year - _ZONES_OLD_YEARS:
        fix = "Upgrade the system's tzdata, or the Python package tzdata where there is none."
        yield warn("time zone", Fault.TIME_ZONE_DATA_OLD, detail, fix)
    else:
        yield ok("time zone", detail)


def zone_data_version() -> str:
    """Of the data that Python reads: the system's first, else the package's; `unknown` where it
    does not say."""
    for folder in map(Path, TZPATH):
        if (folder / "UTC").exists():
            return _version_of_system(folder)
    return _installed("tzdata") or "unknown"


def _version_of_system(folder: Path) -> str:
    for name in ("tzdata.zi", "+VERSION"):
        try:
            with (folder / name).open(encoding="ascii") as file:
                return file.readline().removeprefix("# version").strip()
        except (OSError, ValueError):
            continue
    return "unknown"


def disk_has_room(patient: Patient) -> Iterator[Finding]:
    path = sqlite_path(patient.settings)
    if path is None:
        return
    folder = path.parent
    if not folder.is_dir():
        detail = f"there is no folder {folder} for the database"
        fix = "Make it, or name another file with --database sqlite:///FILE."
        fault = Fault.DISK_MISSING
        yield Finding("disk", Level.FAIL, detail, fix, fault, ExitCode.UNREACHABLE)
        return
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1024**3:.1f} GiB free where {path.name} is"
    if free < DISK_LOW_BYTES:
        yield warn("disk", Fault.DISK_LOW, detail, "Make room: a full disk stops ingest.")
    else:
        yield ok("disk", detail)


def sqlite_path(settings: Settings) -> Path | None:
    """The file of the database; None where it is a server's."""
    url = settings.database.url
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:") else None
