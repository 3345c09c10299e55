"""Disk cache of stained blocks, uint8 (h, w, 3): files in a temporary folder, least recently used removed first."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from cachetools import LRUCache

from confostain.arrays import Rgb
from confostain.viewer.cache_folder import CacheFolder

DISK_BYTES = 2 << 30  # about 2700 blocks of 512 px: the tissue of a slide of 26,000 x 26,000 px


@dataclass(frozen=True)
class _StoredBlock:
    """A block on disk."""

    path: Path
    shape: tuple[int, ...]
    bytes: int


class _StoredBlocks(LRUCache[Hashable, _StoredBlock]):
    """Index of the blocks on disk; an evicted block loses its file."""

    def popitem(self) -> tuple[Hashable, _StoredBlock]:
        """Remove the least recently used block."""
        key, block = super().popitem()
        block.path.unlink()
        return key, block


class BlockStore:
    """Stained blocks, uint8 (h, w, 3), by key. Several threads may use it at once."""

    def __init__(self, limit: int = DISK_BYTES) -> None:
        """Hold at most `limit` bytes in a temporary folder, which is removed by `close` or with this object."""
        self._folder = CacheFolder()
        self._blocks = _StoredBlocks(limit, getsizeof=lambda block: block.bytes)
        self._lock = threading.Lock()
        self._file_numbers = count()

    @property
    def folder(self) -> Path:
        """Folder of the files."""
        return self._folder.path

    @property
    def bytes(self) -> int:
        """Bytes on disk."""
        return int(self._blocks.currsize)

    def __contains__(self, key: Hashable) -> bool:
        """Whether the block is stored."""
        return key in self._blocks

    def get(self, key: Hashable) -> Rgb | None:
        """Block of this key, or None."""
        with self._lock:
            block = self._blocks.get(key)
            if block is None:
                return None
            file = block.path.open("rb")  # opened under the lock: an open file can be read after it was removed
        with file:
            return np.frombuffer(file.read(), np.uint8).reshape(block.shape)

    def put(self, key: Hashable, rgb: Rgb) -> None:
        """Store a block, unless its key is stored already or it exceeds the limit alone; old blocks are removed."""
        if key in self._blocks or rgb.nbytes > self._blocks.maxsize:
            return
        block = _StoredBlock(self.folder / str(next(self._file_numbers)), rgb.shape, rgb.nbytes)
        block.path.write_bytes(np.ascontiguousarray(rgb).data)  # not under the lock: other threads go on reading
        with self._lock:
            if key in self._blocks:  # another thread stored it in the meantime
                block.path.unlink()
            else:
                self._blocks[key] = block

    def close(self) -> None:
        """Remove the files."""
        self._folder.close()
