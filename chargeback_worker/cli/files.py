"""Files that a command writes: complete, or not there at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from chargeback_worker.errors import Invalid


class FileUnwritable(Invalid):
    """The file that something should go to cannot be written; `option` is the one that names it."""

    def __init__(self, name: str, fault: str, option: str) -> None:
        super().__init__(
            f"The file {name} cannot be written: {fault}.",
            f"Name another one with {option}, or - for standard output.",
        )


@contextmanager
def written_whole(name: str, option: str) -> Iterator[IO[bytes]]:
    """A file that takes its name when all is written. Raises FileUnwritable."""
    try:
        with _replaced(Path(name), option) as raw:
            yield raw
    except OSError as error:
        raise FileUnwritable(name, (error.strerror or str(error)).lower(), option) from error


@contextmanager
def _replaced(path: Path, option: str) -> Iterator[IO[bytes]]:
    if not path.parent.is_dir():
        raise FileUnwritable(str(path), "there is no such folder", option)
    if path.exists() and not path.is_file():
        # A device or a pipe is written to as it is.
        with path.open("wb") as raw:
            yield raw
        return
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
    try:
        with open(number, "wb") as raw:
            yield raw
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
