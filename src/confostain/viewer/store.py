"""What has been computed, kept as long as there is room: the least recently used goes first."""

from __future__ import annotations

import tempfile
import threading
from collections import OrderedDict
from collections.abc import Hashable
from pathlib import Path

import numpy as np

from confostain.arrays import Rgb

DISK_BYTES = 2 << 30  # blocks of 512 px: some 2700, the tissue of a slide of 26,000 x 26,000 px
MEMORY_BYTES = 128 << 20  # encoded tiles: some 4000


class MemoryStore:
    """Encoded tiles in memory."""

    def __init__(self, limit: int = MEMORY_BYTES) -> None:
        """Hold at most `limit` bytes."""
        self._limit = limit
        self._items: OrderedDict[Hashable, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self.bytes = 0

    def get(self, key: Hashable) -> bytes | None:
        """What was put under `key`, if it is still there."""
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
            return self._items.get(key)

    def put(self, key: Hashable, data: bytes) -> None:
        """Keep `data`, and let the oldest go."""
        with self._lock:
            self.bytes += len(data) - len(self._items.pop(key, b""))
            self._items[key] = data
            while self.bytes > self._limit:
                self.bytes -= len(self._items.popitem(last=False)[1])


class BlockStore:
    """Stained blocks, uint8 (h, w, 3), as files in a temporary folder that goes with this process."""

    def __init__(self, limit: int = DISK_BYTES) -> None:
        """Hold at most `limit` bytes."""
        self._limit = limit
        self._folder = tempfile.TemporaryDirectory(prefix="confostain-")
        self._shapes: OrderedDict[Hashable, tuple[Path, tuple[int, ...]]] = OrderedDict()
        self._lock = threading.Lock()
        self._named = 0
        self.bytes = 0

    def __contains__(self, key: Hashable) -> bool:
        """Whether the block is there."""
        return key in self._shapes

    def get(self, key: Hashable) -> Rgb | None:
        """The block put under `key`, if it is still there."""
        with self._lock:
            if key not in self._shapes:
                return None
            self._shapes.move_to_end(key)
            path, shape = self._shapes[key]
            file = path.open("rb")  # opened under the lock: from here on it may be unlinked
        with file:
            return np.frombuffer(file.read(), np.uint8).reshape(shape)

    def put(self, key: Hashable, block: Rgb) -> None:
        """Keep a block, and let the oldest go."""
        with self._lock:
            if key in self._shapes:
                return
            self._named += 1
            path = Path(self._folder.name) / str(self._named)
        path.write_bytes(np.ascontiguousarray(block).data)
        with self._lock:
            self._shapes[key] = path, block.shape
            self.bytes += block.nbytes
            while self.bytes > self._limit:
                old, shape = self._shapes.popitem(last=False)[1]
                old.unlink()
                self.bytes -= int(np.prod(shape))

    def close(self) -> None:
        """Remove the files."""
        self._folder.cleanup()
