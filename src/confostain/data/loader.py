"""Batch loader: batches for consecutive training steps, prepared ahead by worker processes."""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from confostain.errors import OptionError

if TYPE_CHECKING:
    from torch import Tensor

# Step i belongs to seed stream i % 8. State is kept from one step to another only within a stream, so that each worker
# process, which takes every n-th step, has whole streams.
SEED_STREAMS = 8
AHEAD = 2  # batches per process

Draw = Callable[[int], tuple[npt.NDArray[np.float32], ...]]


def batch_loader(draw: Draw, steps: range, workers: int, *, pinned: bool) -> Iterator[Sequence[Tensor]]:
    """Batch of each step, in order, as tensors.

    Args:
        draw: gives the arrays of a step's batch; a pure function of the step, so that the worker does not matter.
        steps: consecutive numbers.
        workers: worker processes; 0: this process draws while the training waits.
        pinned: whether batches are put into page-locked memory, for faster transfer to a GPU.

    Raises:
        OptionError: `workers` does not divide the number of seed streams.
    """
    from torch.utils.data import DataLoader

    if workers and SEED_STREAMS % workers:
        raise OptionError(f"{workers} workers: expected 0, 1, 2, 4 or {SEED_STREAMS}; give one of these")
    can_fork = "fork" in multiprocessing.get_all_start_methods()
    loader: DataLoader[Any] = DataLoader(
        _Steps(draw, steps),  # type: ignore[arg-type]  # it has the methods of a dataset
        batch_size=None,
        num_workers=workers,
        prefetch_factor=AHEAD if workers else None,
        multiprocessing_context="fork" if workers and can_fork else None,  # slides in memory are shared, not copied
        pin_memory=pinned,
    )
    with warnings.catch_warnings():
        # of threads in forked processes; these workers start none
        warnings.filterwarnings("ignore", "This process", DeprecationWarning)
        batches = iter(loader)
    yield from batches


@dataclass(frozen=True)
class _Steps:
    draw: Draw
    steps: range

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> Any:
        return self.draw(self.steps[index])
