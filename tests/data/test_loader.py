import os

import numpy as np
import pytest
import torch

from confostain.data.loader import batch_loader
from confostain.errors import OptionError


def drawn(step: int) -> tuple[np.ndarray, np.ndarray]:
    values = np.random.default_rng(step).random((2, 3), np.float32)
    return values, np.full(1, os.getpid(), np.int64)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_order_whoever_draws_them(workers: int) -> None:
    batches = list(batch_loader(drawn, range(5, 16), workers, pinned=False))
    assert len(batches) == 11
    for step, (values, _) in enumerate(batches, 5):
        assert torch.equal(values, torch.from_numpy(drawn(step)[0]))
    processes = {int(process) for _, process in batches}
    assert len(processes) == max(1, workers)
    assert (os.getpid() in processes) == (workers == 0)


def test_an_error_of_a_worker_is_ours() -> None:
    def broken(step: int) -> tuple[np.ndarray, ...]:
        raise ValueError("no such step")

    with pytest.raises(ValueError, match="no such step"):
        list(batch_loader(broken, range(2), 1, pinned=False))


def test_workers_must_share_the_lanes() -> None:
    with pytest.raises(OptionError, match=r"3 workers: expected 0, 1, 2, 4 or 8"):
        list(batch_loader(drawn, range(2), 3, pinned=False))
