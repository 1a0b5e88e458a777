"""Seconds of CPU of processes of this machine, as the kernel counts them."""

import os
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def of_process(pid: int) -> float:
    """What a process has used so far, its children apart; 0 where that cannot be known."""
    fields = _fields(pid)
    return (int(fields[11]) + int(fields[12])) * _TICK_S if fields else 0.0


def of_server(backend: int) -> float:
    """What a PostgreSQL server has used so far, by one of its backends: all of its processes,
    those that have ended too; 0 where it does not run on this machine."""
    fields = _fields(backend)
    if not fields or not _is_postgres(backend):
        return 0.0
    parent = int(fields[1])
    running = sum(map(of_process, _children(parent)))
    own = _fields(parent)
    return running + sum(map(int, own[11:15])) * _TICK_S if own else running


def of_backend(backend: int) -> float:
    return of_process(backend) if _is_postgres(backend) else 0.0


def peak_mb(pid: int) -> float:
    """The most memory that a process has held."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _fields(pid: int) -> list[str]:
    """Those of /proc/PID/stat from the state on: a name may hold spaces."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _is_postgres(pid: int) -> bool:
    # The number may be one of another machine or container.
    try:
        return Path(f"/proc/{pid}/comm").read_text().startswith("postgres")
    except OSError:
        return False


def _children(pid: int) -> list[int]:
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except OSError:
        return []
