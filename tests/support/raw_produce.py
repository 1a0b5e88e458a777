"""Batches of records as no producer would write them, sent to a broker as they are.

The request is written by hand: the client's own would not send what it did not build.
"""

import socket
import struct
from collections.abc import Sequence

from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.util import calc_crc32c

NONE, GZIP = 0, 1
CORRUPT_MESSAGE = 2
CRC_AT, ATTRIBUTES_AT = 17, 21

_VERSION = 7
Headers = list[tuple[str, bytes]]


def batch(
    values: Sequence[bytes], compression: int = NONE, headers: Headers | None = None
) -> bytearray:
    """A batch as it ought to be."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=compression,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 30,
    )
    for number, value in enumerate(values):
        builder.append(number, 1_777_000_000_000, None, value, headers or [])
    return bytearray(builder.build())  # type: ignore[no-untyped-call]


def sealed(made: bytearray) -> bytearray:
    """The batch with a checksum that fits what was changed in it."""
    crc = calc_crc32c(memoryview(made)[ATTRIBUTES_AT:])  # type: ignore[no-untyped-call]
    struct.pack_into(">I", made, CRC_AT, crc)
    return made


def produce(servers: str, topic: str, partition: int, records: bytes) -> tuple[int, int]:
    """Send a batch to the broker (the leader of everything); its error code, and the offset."""
    name = topic.encode()
    body = struct.pack(">hhih", 0, _VERSION, 1, -1)
    body += struct.pack(">hhii", -1, -1, 10_000, 1)
    body += struct.pack(f">h{len(name)}sii", len(name), name, 1, partition)
    body += struct.pack(">i", len(records)) + records
    host, _, port = servers.partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        answer = connection.makefile("rb")
        (length,) = struct.unpack(">i", answer.read(4))
        found = answer.read(length)
        answer.close()
    # Correlation, count of topics, name, count of partitions, number; then what is wanted.
    at = 4 + 4 + 2 + len(name) + 4 + 4
    error, offset = struct.unpack_from(">hq", found, at)
    return error, offset
