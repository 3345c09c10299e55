"""What is kept, and for how long."""

from pathlib import Path

import numpy as np

from confostain.viewer.store import BlockStore, MemoryStore


def test_memory_keeps_the_latest_within_its_limit() -> None:
    store = MemoryStore(limit=30)
    for name in "abc":
        store.put(name, name.encode() * 10)
    assert store.get("a") == b"a" * 10
    store.put("d", b"d" * 10)
    assert [name for name in "abcd" if store.get(name)] == ["a", "c", "d"]  # b was used longest ago
    store.put("d", b"dd")
    assert store.bytes == 22


def test_blocks_come_back_as_they_went_until_there_is_no_room() -> None:
    store = BlockStore(limit=100)
    blocks = {number: np.full((3, 4, 3), number, np.uint8) for number in range(4)}
    folder = Path(store._folder.name)
    for number, block in blocks.items():
        store.put(number, block)
    assert store.get(0) is None
    assert store.get(1) is None
    np.testing.assert_array_equal(store.get(3), blocks[3])
    assert store.bytes == 72
    assert sum(path.stat().st_size for path in folder.iterdir()) == 72
    store.close()
    assert not folder.exists()
