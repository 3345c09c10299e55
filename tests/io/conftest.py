"""What the tests of all writers measure them against."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

Rgb = npt.NDArray[np.uint8]


def block_means(rgb: Rgb, level: int) -> Rgb:
    """Each pixel of a level straight from the level-0 pixels that it covers, in whole numbers."""
    side = 1 << level
    starts = [np.arange(0, length, side) for length in rgb.shape[:2]]
    rows, columns = (np.minimum(side, length - at) for at, length in zip(starts, rgb.shape[:2], strict=True))
    sums = np.add.reduceat(np.add.reduceat(rgb.astype(np.int64), starts[0], 0), starts[1], 1)
    counts = np.outer(rows, columns)[..., np.newaxis]
    return ((2 * sums + counts) // (2 * counts)).astype(np.uint8)


@pytest.fixture(scope="session")
def mean_of_level() -> Callable[[Rgb, int], Rgb]:
    """See `block_means`."""
    return block_means
