"""A folder whose files are memory, for all that tests write and nobody reads after them."""

import os
from pathlib import Path

_FOLDER = Path("/dev/shm")
_MEMINFO = Path("/proc/meminfo")
# Three processes of tests with a database server and a broker each stay far below it.
_ROOM = 8 * 2**30


def folder_in_memory() -> str | None:
    """Such a folder, where there is one with room enough that programs may be run from, too."""
    try:
        found = os.statvfs(_FOLDER)
        told = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        available = int(told["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    usable = os.access(_FOLDER, os.W_OK | os.X_OK) and not found.f_flag & os.ST_NOEXEC
    roomy = min(found.f_bavail * found.f_frsize, available) >= _ROOM
    return str(_FOLDER) if usable and roomy else None
