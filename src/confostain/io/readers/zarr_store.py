"""Guarded Zarr arrays: bounded before anything is allocated, and read from chunks that are there from start to end."""

from __future__ import annotations

import math
import re
import struct
import warnings
from typing import Any

import zarr
from zarr.abc.store import Store
from zarr.core.sync import collect_aiterator
from zarr.storage import WrapperStore

from confostain.errors import ConfostainWarning, SlideError
from confostain.io.readers.plane import LARGEST_TILE, check_bytes

MOST_CHUNKS = 1 << 20  # of an array: each channel up to 185,000 px wide and high in chunks of 256 px
_BLOSC_HEADER = struct.Struct("<4xIII")  # after versions, flags and item size: bytes decoded, in a block, and encoded
_CHUNK_KEY = re.compile(r"(c[./])?\d+([./]\d+)*")


class GuardedStore(WrapperStore[Store]):
    """Read-only store of one array whose chunks are checked as they are read.

    Args:
        store: the store.
        name: of the slide, for errors.
        present: keys of the chunks that it holds.
        blosc_bytes: size of a chunk once decoded, where Blosc encodes it: Blosc decodes truncated data to anything.
            None for other codecs.
    """

    def __init__(self, store: Store, name: str, present: frozenset[str], blosc_bytes: int | None) -> None:
        super().__init__(store)
        self._name, self._present, self._blosc_bytes = name, present, blosc_bytes

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """Value of a key, or a part of it.

        Raises:
            SlideError: a chunk has disappeared or appeared since the array was opened, or it is truncated.
        """
        value = await self._store.get(key, prototype, byte_range)
        if key.endswith((".zarray", ".zattrs", ".zgroup", "zarr.json")):
            return value
        if (value is not None) != (key in self._present):
            raise SlideError(
                f"{self._name}: chunk {key} has {'disappeared' if value is None else 'appeared'} since the slide was"
                " opened; expected files that stay as they are; try again once nothing writes there"
            )
        if value is not None and self._blosc_bytes and not hasattr(byte_range, "suffix"):  # no index of a shard
            self._check_blosc(key, value.as_numpy_array()[: _BLOSC_HEADER.size].tobytes(), len(value))
        return value

    def _check_blosc(self, key: str, header: bytes, length: int) -> None:
        decoded, _, encoded = _BLOSC_HEADER.unpack(header) if len(header) == _BLOSC_HEADER.size else (0, 0, 0)
        if encoded != length or decoded != self._blosc_bytes:
            raise SlideError(
                f"{self._name}: chunk {key} is damaged, {length} bytes for {decoded}; expected {encoded} bytes for"
                f" {self._blosc_bytes}; copy the slide again"
            )


def guarded_array(name: str, array: Any) -> Any:
    """The Zarr array, with every chunk checked against those that are there now.

    Missing chunks are allowed, for areas that were not scanned, with a warning: the copy may be incomplete.

    Args:
        name: of the slide, for errors.
        array: an open zarr.Array.

    Raises:
        SlideError: it has more than 2^20 chunks or shards, or chunks of more than 256 MiB.
    """
    in_files = array.shards or array.chunks  # shape of the part in one file
    expected = math.prod(math.ceil(n / each) for n, each in zip(array.shape, in_files, strict=True))
    chunk_bytes = math.prod(array.chunks) * array.dtype.itemsize
    if expected > MOST_CHUNKS:
        raise SlideError(
            f"{name}: {expected} chunks; expected at most {MOST_CHUNKS}; save it in chunks of 256 to 4096 px"
        )
    check_bytes(name, "chunks", chunk_bytes, LARGEST_TILE)
    prefix = f"{array.path}/" if array.path else ""
    keys = collect_aiterator(array.store.list_prefix(prefix))
    present = frozenset(key for key in keys if _CHUNK_KEY.fullmatch(key.removeprefix(prefix)))
    if len(present) < expected:
        warnings.warn(
            f"{name}: {expected - len(present)} of {expected} chunks are missing; they count as"
            f" {array.fill_value or 0}; copy the slide again unless it is sparse on purpose",
            ConfostainWarning,
            stacklevel=2,
        )
    guarded = GuardedStore(array.store, name, present, chunk_bytes if _is_blosc(array.metadata) else None)
    return zarr.open_array(guarded, path=array.path, mode="r")


def _is_blosc(metadata: Any) -> bool:
    """Whether Blosc encodes the bytes of each chunk, last of all codecs, and nothing before it changes their number."""
    if metadata.zarr_format == 2:
        return getattr(metadata.compressor, "codec_id", "") == "blosc" and not metadata.filters
    codecs = metadata.codecs
    codecs = getattr(codecs[0], "codecs", codecs)  # of the chunks in a shard
    return type(codecs[-1]).__name__ == "BloscCodec" and len(codecs) == 2
