"""Files of usage as they are read: plain or gzip, or standard input, twice and in bounded memory.

The first pass finds the digest of the content, which is what a file is known by: renamed, moved or
packed it goes on where it was left. The second gives the lines. Standard input can be read only
once and is kept in a temporary file until it is done.
"""

import gzip
import hashlib
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from chargeback_worker.errors import Conflict, Invalid, Unavailable

STDIN = "-"
LINE_BYTES_MAX = 16 * 1024**2
_CHUNK = 1024**2
_GZIP_MAGIC = b"\x1f\x8b"


class FileUnreadable(Invalid):
    """There is no such file, or none that can be read."""

    def __init__(self, name: str, fault: str) -> None:
        super().__init__(
            f"The file {name} cannot be read: {fault}.",
            "Name files of JSON lines, plain or gzip, or - for standard input.",
        )


class NotGzip(Invalid):
    """The name says that it is packed, and the content does not."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The file {name} is called .gz but is not gzip.",
            "If it holds plain JSON lines, give it another name; else pack it anew.",
        )


class DamagedGzip(Invalid):
    """It begins as gzip and does not go on so."""

    def __init__(self, name: str, fault: str) -> None:
        super().__init__(
            f"The file {name} is damaged gzip: {fault}. Nothing of it was ingested.",
            f"Look at it with gzip -t {name}, and fetch or pack it anew.",
        )


class SpoolFailed(Unavailable):
    """Standard input could not be kept."""

    def __init__(self, fault: str) -> None:
        super().__init__(
            f"Standard input could not be kept in {tempfile.gettempdir()}: {fault}.",
            "Make room there, or set TMPDIR to a folder that has it.",
        )


class FileChanged(Conflict):
    """Somebody wrote to the file between the two passes, or during the second."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The file {name} was changed while it was ingested; its lines may be counted in part.",
            "Ingest it again once nobody writes to it: what was counted is not counted twice.",
        )


@dataclass(slots=True)
class UsageFile:
    """An open file of usage. `read_at` says how much of its `size` the present pass has read."""

    name: str
    size: int
    _raw: IO[bytes]
    _packed: bool

    def read_at(self) -> int:
        return self._raw.tell()

    def digest(self, on_progress: Callable[[], object]) -> str:
        """SHA-256 of the content, unpacked: the first pass."""
        digest = hashlib.sha256()
        stream = self._from_start()
        try:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                on_progress()
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DamagedGzip(self.name, str(error).rstrip(".")) from error
        except OSError as error:
            raise FileUnreadable(self.name, error.strerror or str(error)) from error
        return digest.hexdigest()

    def lines(self, bytes_max: int = LINE_BYTES_MAX) -> Iterator[bytes]:
        """The lines in their order: the second pass. Of a longer one only its head is given.

        The head is longer than any usage event may be, so that it is refused as too large.
        """
        before = self._state()
        stream = self._from_start()
        try:
            while line := stream.readline(bytes_max):
                if len(line) == bytes_max and not line.endswith(b"\n"):
                    _drop_line(stream)
                if self._raw.tell() > before[0]:
                    # It grows as we read: that would have no end where it grows because of us.
                    raise FileChanged(self.name)
                yield line
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FileChanged(self.name) from error
        if self._state() != before:
            raise FileChanged(self.name)

    def _from_start(self) -> IO[bytes]:
        self._raw.seek(0)
        return cast(IO[bytes], gzip.GzipFile(fileobj=self._raw)) if self._packed else self._raw

    def _state(self) -> tuple[int, int]:
        found = os.fstat(self._raw.fileno())
        return found.st_size, found.st_mtime_ns


def _drop_line(stream: IO[bytes]) -> None:
    while rest := stream.readline(_CHUNK):
        if rest.endswith(b"\n"):
            return


def require_readable(names: list[str]) -> None:
    """Before the first of several is ingested. Raises FileUnreadable."""
    for name in names:
        if name != STDIN:
            with _opened(name):
                pass


@contextmanager
def usage_file(name: str) -> Iterator[UsageFile]:
    """Open one for its two passes. Raises FileUnreadable, NotGzip or SpoolFailed."""
    with _spooled() if name == STDIN else _opened(name) as raw:
        packed = raw.read(2) == _GZIP_MAGIC
        if not packed and name.lower().endswith(".gz"):
            raise NotGzip(name)
        shown = "standard input" if name == STDIN else name
        yield UsageFile(shown, os.fstat(raw.fileno()).st_size, raw, packed)


@contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    path = Path(name)
    try:
        if path.exists() and not path.is_file():
            raise FileUnreadable(name, "it is a folder" if path.is_dir() else "it is no plain file")
        raw = path.open("rb")
    except OSError as error:
        raise FileUnreadable(name, (error.strerror or str(error)).lower()) from error
    except ValueError as error:
        raise FileUnreadable(name, str(error)) from error
    with raw:
        yield raw


@contextmanager
def _spooled() -> Iterator[IO[bytes]]:
    with ExitStack() as stack:
        try:
            spool = stack.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(sys.stdin.buffer, spool, _CHUNK)
            spool.seek(0)
        except OSError as error:
            raise SpoolFailed(error.strerror or str(error)) from error
        yield spool
