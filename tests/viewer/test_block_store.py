"""Which blocks are kept on disk."""

import threading
from pathlib import Path

import numpy as np
import pytest

from confostain.viewer.block_store import BlockStore


def block(value: int) -> np.ndarray:
    return np.full((3, 4, 3), value, np.uint8)  # 36 bytes


def bytes_on_disk(store: BlockStore) -> int:
    return sum(path.stat().st_size for path in store.folder.iterdir())


def test_blocks_come_back_as_they_went_until_there_is_no_room() -> None:
    store = BlockStore(limit=100)
    for number in range(4):
        store.put(number, block(number))
    assert store.get(0) is None
    assert store.get(1) is None
    np.testing.assert_array_equal(store.get(3), block(3))
    assert store.bytes == bytes_on_disk(store) == 72
    store.close()
    assert not store.folder.exists()


def test_the_least_recently_used_block_goes_first() -> None:
    store = BlockStore(limit=100)
    store.put("a", block(0))
    store.put("b", block(1))
    assert store.get("a") is not None
    store.put("c", block(2))
    assert [key for key in "abc" if key in store] == ["a", "c"]
    store.close()


def test_a_block_larger_than_the_limit_is_not_kept() -> None:
    store = BlockStore(limit=50)
    store.put("small", block(0))
    store.put("large", np.zeros((9, 9, 3), np.uint8))
    assert [key for key in ("small", "large") if key in store] == ["small"]
    assert store.bytes == bytes_on_disk(store) == 36
    store.close()


def test_a_block_put_by_two_threads_at_once_is_kept_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have found that the key is new before either has written."""
    store, both, write = BlockStore(), threading.Barrier(2, timeout=60), Path.write_bytes

    def write_together(path: Path, data: bytes) -> int:
        both.wait()
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_together)
    threads = [threading.Thread(target=store.put, args=("a", block(7))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(store.get("a"), block(7))
    assert store.bytes == bytes_on_disk(store) == 36
    store.close()
