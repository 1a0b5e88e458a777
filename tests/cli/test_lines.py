"""Files are read twice, by lines, in bounded memory."""

import gzip
import io
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.cli.lines import FileChanged, usage_file


def _read(path: Path, bytes_max: int = 1 << 20) -> tuple[str, list[bytes]]:
    with usage_file(str(path)) as file:
        return file.digest(lambda: None), list(file.lines(bytes_max))


@given(content=st.binary(max_size=200) | st.text("ab\n", max_size=200).map(str.encode))
def test_a_file_gives_its_lines_packed_or_not(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    (folder / "plain").write_bytes(b"-" + content)
    (folder / "packed.gz").write_bytes(gzip.compress(b"-" + content))
    digest, lines = _read(folder / "plain")
    assert (digest, lines) == _read(folder / "packed.gz")
    assert lines == list(io.BytesIO(b"-" + content))


@given(lengths=st.lists(st.integers(0, 30), max_size=8), bytes_max=st.integers(1, 12))
def test_of_a_line_that_is_too_long_the_head_is_given(
    lengths: list[int], bytes_max: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("lines") / "usage"
    path.write_bytes(b"".join(b"x" * length + b"\n" for length in lengths))
    _, lines = _read(path, bytes_max)
    assert lines == [(b"x" * length + b"\n")[:bytes_max] for length in lengths]


def test_a_huge_line_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "usage.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        for _ in range(64):
            stream.write(b"x" * (1 << 20))
        stream.write(b"\nlast\n")
    tracemalloc.start()
    try:
        with usage_file(str(path)) as file:
            file.digest(lambda: None)
            assert [len(line) for line in file.lines(1 << 20)] == [1 << 20, 5]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20


def test_a_file_that_is_written_to_meanwhile_is_told(tmp_path: Path) -> None:
    path = tmp_path / "usage"
    path.write_bytes(b"one\ntwo\n")
    with usage_file(str(path)) as file:
        file.digest(lambda: None)
        lines = file.lines()
        assert next(lines) == b"one\n"
        path.write_bytes(b"one\ntwo\nthree\n")
        os.utime(path, ns=(1, 1))
        with pytest.raises(FileChanged, match="changed while it was ingested"):
            list(lines)


def test_a_file_that_grows_as_it_is_read_has_an_end(tmp_path: Path) -> None:
    path = tmp_path / "usage"
    path.write_bytes(b"one\n")
    with usage_file(str(path)) as file, path.open("ab") as growing:
        lines = file.lines()
        assert next(lines) == b"one\n"
        growing.write(b"two\n")
        growing.flush()
        with pytest.raises(FileChanged):
            next(lines)
