"""Compressed batches are unpacked as the client would, and no further than to a bound."""

from typing import Any

import pytest
from kafka.codec import gzip_encode, lz4_encode, zstd_encode
from kafka.record import default_records

from chargeback_worker.broker import kafka_codecs
from chargeback_worker.broker.kafka_codecs import BatchTooLarge

CODECS = [(gzip_encode, "gzip_decode"), (lz4_encode, "lz4_decode"), (zstd_encode, "zstd_decode")]


@pytest.fixture(autouse=True)
def small_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    for _, decode in CODECS:
        monkeypatch.setattr(default_records, decode, getattr(default_records, decode))
    monkeypatch.setattr(kafka_codecs, "UNPACKED_MAX", 1_000_000)
    kafka_codecs.bound()


@pytest.mark.parametrize(("encode", "decode"), CODECS)
def test_what_is_not_too_large_is_unpacked_whole(encode: Any, decode: str) -> None:
    batch = b"usage" * 200_000
    assert getattr(default_records, decode)(memoryview(encode(batch))) == batch


@pytest.mark.parametrize(("encode", "decode"), CODECS)
def test_what_is_too_large_is_refused(encode: Any, decode: str) -> None:
    with pytest.raises(BatchTooLarge):
        getattr(default_records, decode)(memoryview(encode(b"usage" * 200_001)))
