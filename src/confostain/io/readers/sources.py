"""Pixel sources of a plane: uncompressed rows, decoded chunks, or a temporary file decoded once."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache, cached
from cachetools.keys import hashkey

from confostain.errors import SlideError
from confostain.geometry import Size
from confostain.io.readers.plane import LARGEST_UNPACKED, Pixels, check_bytes

BAND_BYTES = 8 << 20  # rows read at a time where the file has no tiles
CACHED_BYTES = 64 << 20  # decoded chunks kept: one row of 512 px chunks over a slide 64,000 px wide


class OpenFile:
    """File read by position, from any thread; closed by `close` or with the last reference to it.

    Where the system cannot read at a position (Windows), threads take turns.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._turn = threading.Lock()
        self._finalizer = weakref.finalize(self, os.close, descriptor)

    @classmethod
    def open(cls, path: Path) -> OpenFile:
        """Open `path` for reading."""
        return cls(os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)))  # Windows translates ends of lines else

    def close(self) -> None:
        """Close; the descriptor is reset, since the next file opened may be given the same number."""
        self.descriptor = -1
        self._finalizer()

    def read(self, offset: int, count: int) -> bytes:
        """`count` bytes from `offset`; EOFError where the file ends before."""
        data = self._read_some(offset, count)
        if len(data) != count:
            raise EOFError(f"the file ends {count - len(data)} bytes too early")
        return data

    def read_into(self, target: memoryview, offset: int) -> None:
        """Fill `target` from `offset`; EOFError where the file ends before."""
        if hasattr(os, "preadv"):
            count = os.preadv(self.descriptor, [target], offset)
        else:
            data = self._read_some(offset, target.nbytes)
            count = len(data)
            target.cast("B")[:count] = data
        if count != target.nbytes:
            raise EOFError(f"the file ends {target.nbytes - count} bytes too early")

    def _read_some(self, offset: int, count: int) -> bytes:
        """At most `count` bytes from `offset`: fewer where the file ends before."""
        if hasattr(os, "pread"):
            return os.pread(self.descriptor, count, offset)
        with self._turn:
            os.lseek(self.descriptor, offset, os.SEEK_SET)
            return os.read(self.descriptor, count)


@dataclass(frozen=True)
class Strips:
    """Layout of uncompressed rows in a file."""

    offsets: npt.NDArray[np.int64]  # byte position of each strip
    height: int  # rows in each strip (fewer in the last)
    width: int  # pixels in each row
    stored: np.dtype[Any]  # with its byte order in the file
    samples: int = 1  # interleaved values per pixel
    sample: int = 0  # the one that is read

    @property
    def row_bytes(self) -> int:
        """Bytes from one row of a strip to the next."""
        return self.width * self.samples * self.stored.itemsize

    def positions(self, rows: npt.NDArray[np.int64], x: int) -> list[int]:
        """Byte positions of pixel `x` in each of `rows`."""
        strip, row = np.divmod(rows, self.height)
        within = row * self.row_bytes + x * self.samples * self.stored.itemsize
        positions: list[int] = (self.offsets[strip] + within).tolist()
        return positions


class StoredRows:
    """Source of uncompressed rows, each read directly into the output array.

    Not through a memory map: each page that was touched counts as resident memory, mapping and unmapping small parts
    is no faster while both cores are busy, and a file truncated under a map kills the process.
    """

    def __init__(self, file: OpenFile, strips: Strips) -> None:
        self._file = file
        self._strips = strips
        self.band = max(1, BAND_BYTES // strips.row_bytes)

    def fill(self, out: Pixels, x: int, y: int, step: int) -> None:
        """Fill `out` (n, w) with columns x .. x + w of rows y, y + step, ..."""
        strips, native = self._strips, self._strips.stored.newbyteorder("=")
        raw = out if strips.samples == 1 else np.empty((len(out), out.shape[1] * strips.samples), native)
        for row, position in zip(raw, strips.positions(y + step * np.arange(len(out)), x), strict=True):
            self._file.read_into(row.data, position)
        if not strips.stored.isnative:
            raw.byteswap(inplace=True)
        if raw is not out:
            out[...] = raw[:, strips.sample :: strips.samples]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def cached_chunks(
    decode: Callable[..., Pixels], chunk_bytes: int, key: Callable[..., Hashable] = hashkey
) -> Callable[..., Pixels]:
    """`decode` with a least-recently-used cache of its results, bounded in bytes. Safe to call from several threads.

    A chunk that is decoded must own its memory or be a view of all of it, or more memory is kept than counted.

    Args:
        decode: gives a chunk; called without a lock, so that threads decode side by side.
        chunk_bytes: size of a decoded chunk. One chunk is kept however large it is, else the cache holds CACHED_BYTES.
        key: what tells chunks apart, from the arguments of `decode`.
    """
    cache: LRUCache[Hashable, Pixels] = LRUCache(max(CACHED_BYTES, chunk_bytes), getsizeof=attrgetter("nbytes"))
    remembered: Callable[..., Pixels] = cached(cache, key, lock=threading.Lock())(decode)
    return remembered


class Chunks:
    """Source of tiles or chunks on a regular grid, each decoded whole by `load(row, column)` to (h, w)."""

    def __init__(self, chunk: Size, load: Callable[[int, int], Pixels], file: OpenFile | None = None) -> None:
        self._chunk = chunk
        self._load = load
        self._file = file
        self.band = chunk.height

    def fill(self, out: Pixels, x: int, y: int, step: int) -> None:
        """Fill `out` (n, w) from each chunk it meets."""
        height, width = self._chunk.height, self._chunk.width
        bottom, right = y + (len(out) - 1) * step, x + out.shape[1] - 1
        for row in range(y // height, bottom // height + 1):
            first = max(0, -((y - row * height) // step))  # first of the requested rows in this chunk
            last = min(len(out), -((y - (row + 1) * height) // step))
            if first >= last:
                continue
            inner_y = y + first * step - row * height
            for column in range(x // width, right // width + 1):
                left = max(x, column * width)
                until = min(x + out.shape[1], (column + 1) * width)
                chunk = self._load(row, column)
                out[first:last, left - x : until - x] = chunk[
                    inner_y : inner_y + (last - first - 1) * step + 1 : step,
                    left - column * width : until - column * width,
                ]

    def close(self) -> None:
        """Close the file of the chunks."""
        if self._file is not None:
            self._file.close()


def _temporary_file() -> BinaryIO:
    """Temporary file without a name.

    Raises:
        SlideError: there is no place for one.
    """
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise SlideError(
            f"no file to decode a compressed channel into ({error.strerror}); expected a folder for temporary files"
            " that can be written to; name it by the variable TMPDIR"
        ) from error


class Unpacked:
    """Source of pixels that cannot be decoded in parts: decoded on first use into an unnamed temporary file.

    The file has no name, so nothing remains of it however the program ends. It is in the folder of the variable TMPDIR
    and takes as many bytes as the uncompressed plane.
    """

    def __init__(self, name: str, size: Size, dtype: np.dtype[Any], unpack: Callable[[BinaryIO], None]) -> None:
        check_bytes(name, "a compressed channel", size.pixels * dtype.itemsize, LARGEST_UNPACKED)
        self._size = size
        self._dtype = dtype
        self._unpack = unpack  # writes all rows to a file, in native byte order
        self._rows: StoredRows | None = None
        self._lock = threading.Lock()
        self.band = max(1, BAND_BYTES // (size.width * dtype.itemsize))

    def fill(self, out: Pixels, x: int, y: int, step: int) -> None:
        """Fill `out` (n, w); decodes the file on the first call."""
        self._unpacked().fill(out, x, y, step)

    def close(self) -> None:
        """Remove the temporary file."""
        with self._lock:
            if self._rows is not None:
                self._rows.close()

    def _unpacked(self) -> StoredRows:
        with self._lock:
            if self._rows is None:
                self._rows = self._unpack_now()
            return self._rows

    def _unpack_now(self) -> StoredRows:
        expected = self._size.pixels * self._dtype.itemsize
        with _temporary_file() as spool:
            if shutil.disk_usage(tempfile.gettempdir()).free < expected:
                raise SlideError(
                    f"{tempfile.gettempdir()}: too little disk space to decode a compressed channel; expected "
                    f"{math.ceil(expected / 1e6):,} MB; set TMPDIR to a larger disk or save the slide uncompressed"
                )
            self._unpack(spool)
            spool.flush()
            file = OpenFile(os.dup(spool.fileno()))
        if os.fstat(file.descriptor).st_size != expected:
            file.close()
            raise EOFError("fewer pixels than its header announces")
        return StoredRows(file, Strips(np.zeros(1, np.int64), self._size.height, self._size.width, self._dtype))
