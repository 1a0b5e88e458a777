"""How the client unpacks compressed batches: up to a size, and no further.

A batch of a hundred kilobytes can unpack to gigabytes, and the client would hold several copies of
it: the process would be killed for its memory, again and again, without a word about the cause.
Snappy, whose blocks grow by twenty at most, is left as it is.
"""

import gzip
import importlib
import io
from collections.abc import Callable
from typing import Any

import kafka.record.default_records
import kafka.record.legacy_records
import zstandard

# Brokers take batches of 1 MiB unless told otherwise; usage events shrink to a tenth.
UNPACKED_MAX = 64 << 20


class BatchTooLarge(ValueError):
    """A compressed batch is larger than any that a producer of events would send."""

    def __init__(self) -> None:
        super().__init__(f"it unpacks to more than {UNPACKED_MAX >> 20} MiB")


def bound() -> None:
    """Put the bounded functions in the place of the client's own."""
    bounded: dict[str, Callable[[Any], bytes]] = {
        "gzip_decode": _gzip,
        "lz4_decode": _lz4,
        "zstd_decode": _zstd,
    }
    for module in (kafka.record.default_records, kafka.record.legacy_records):
        for name, function in bounded.items():
            if hasattr(module, name):
                setattr(module, name, function)


def _gzip(payload: Any) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(payload), mode="r") as packed:
        return _checked(packed.read(UNPACKED_MAX + 1))


def _lz4(payload: Any) -> bytes:
    # A package without types.
    frame: Any = importlib.import_module("lz4.frame")
    with frame.LZ4FrameFile(io.BytesIO(payload), mode="r") as packed:
        return _checked(packed.read(UNPACKED_MAX + 1))


def _zstd(payload: Any) -> bytes:
    packed = zstandard.ZstdDecompressor().stream_reader(
        io.BytesIO(payload), read_across_frames=True
    )
    with packed:
        return _checked(packed.read(UNPACKED_MAX + 1))


def _checked(unpacked: bytes) -> bytes:
    if len(unpacked) > UNPACKED_MAX:
        raise BatchTooLarge
    return unpacked
