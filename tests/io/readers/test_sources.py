"""Reading by position, with what the system offers for it and without."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from confostain.io.readers.sources import OpenFile, StoredRows, Strips


@pytest.fixture(params=["preadv", "pread", "neither"])
def positional(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Positional reads of Linux and macOS, of older macOS, and none, as on Windows."""
    for name in {"preadv": (), "pread": ("preadv",), "neither": ("preadv", "pread")}[request.param]:
        monkeypatch.delattr(os, name)
    return str(request.param)


@pytest.mark.usefixtures("positional")
@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "<f4"])
def test_rows_are_read_from_any_thread(dtype: str, tmp_path: Path) -> None:
    rows = np.arange(200 * 300).reshape(200, 300).astype(dtype)
    (tmp_path / "rows").write_bytes(b"header" + rows.tobytes())
    source = StoredRows(OpenFile.open(tmp_path / "rows"), Strips(np.array([6]), 200, 300, np.dtype(dtype)))

    def read(row: int) -> bool:
        out = np.empty((2, 250), np.dtype(dtype).newbyteorder("="))
        source.fill(out, 50, row, 3)
        return np.array_equal(out, rows[row : row + 6 : 3, 50:])

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(read, [*range(190)] * 5))
    source.close()


@pytest.mark.usefixtures("positional")
def test_bytes_are_read_as_they_are_stored(tmp_path: Path) -> None:
    content = bytes(range(256)) + b"a\r\nb\x1ac\n"
    (tmp_path / "bytes").write_bytes(content)
    file = OpenFile.open(tmp_path / "bytes")
    for start, count in ((0, len(content)), (13, 14), (256, 7), (260, 0)):
        assert file.read(start, count) == content[start : start + count]
    file.close()


@pytest.mark.usefixtures("positional")
@pytest.mark.parametrize(("start", "missing"), [(95, 5), (100, 10), (1000, 10)])
def test_an_early_end_is_said(start: int, missing: int, tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(bytes(100))
    file = OpenFile.open(tmp_path / "bytes")
    with pytest.raises(EOFError, match=f"the file ends {missing} bytes too early"):
        file.read(start, 10)
    with pytest.raises(EOFError, match=f"the file ends {missing} bytes too early"):
        file.read_into(memoryview(bytearray(10)), start)
    file.close()
