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

SEED_STREAMS = (
    8  # the steps take turns in so many series; what is kept from one step to a later one, is kept within a lane
)
AHEAD = 2  # batches per process

Draw = Callable[[int], tuple[npt.NDArray[np.float32], ...]]


def batch_loader(draw: Draw, steps: range, workers: int, *, pinned: bool) -> Iterator[Sequence[Tensor]]:
    """What `draw` gives for each step, arrays augment into tensors.

    Args:
        draw: a pure function of the step: the outcome does not depend on which process draws.
        steps: consecutive numbers.
        workers: processes beside this one; 0: this one draws, while the training waits.
        pinned: into memory from which a GPU fetches without waiting.

    Raises:
        OptionError: `workers` does not divide the lanes.
    """
    from torch.utils.data import DataLoader

    if workers and SEED_STREAMS % workers:
        raise OptionError(f"{workers} workers: expected 0, 1, 2, 4 or {SEED_STREAMS}")
    can_fork = "fork" in multiprocessing.get_all_start_methods()
    loader: DataLoader[Any] = DataLoader(
        _Steps(draw, steps),  # type: ignore[arg-type]  # it has what a dataset needs
        batch_size=None,
        num_workers=workers,
        prefetch_factor=AHEAD if workers else None,
        multiprocessing_context="fork" if workers and can_fork else None,  # the slides are shared, not copied
        pin_memory=pinned,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This process", DeprecationWarning)  # the children compute alone
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
