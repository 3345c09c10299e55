"""Bootstrap confidence intervals: 95 %, percentile method, by resampling pairs, blocks of an image or crops.

Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13. An interval tells how far a figure
depends on which units (pairs, blocks) happened to be measured. It knows nothing of other slides, and neighbouring
blocks of one slide resemble each other, so it is rather too narrow than too wide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Interval = tuple[float, float]  # lower and upper end
Intervals = dict[str, Interval | None]  # by name of the figure; None where there are fewer than two units
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

RESAMPLES = 1000
PERCENTILES = (2.5, 97.5)
SEED = 2019
BLOCK = 128  # px, side of the blocks of an image that are resampled


def bootstrap_interval(figure: Callable[..., Floats], *units: int, centre: float | None = None) -> Interval | None:
    """95 % interval of a figure; None where a set has fewer than two units, or the figure is never a number.

    Args:
        figure: from the counts of the units in each of 1000 resamples, one array float64 (1000, units) for each set,
            to the figure of each resample, float64 (1000,); resamples where it is NaN are left out.
        units: number of units of each set; sets are resampled independently, with a fixed seed.
        centre: for a biased figure its observed value, to which the resamples are moved by their mean.
    """
    if min(units) < 2:
        return None
    rng = np.random.default_rng(SEED)
    counts = [rng.multinomial(number, np.full(number, 1 / number), RESAMPLES).astype(np.float64) for number in units]
    with np.errstate(divide="ignore", invalid="ignore"):
        values = figure(*counts)
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    if centre is not None:
        values = values + (centre - values.mean())
    low, high = np.percentile(values, PERCENTILES)
    return float(low), float(high)


def mean_interval(values: Sequence[float]) -> Interval | None:
    """95 % interval of the mean of one value for each unit."""
    array = np.array(values, np.float64)
    if not np.isfinite(array).all():  # as the PSNR of equal images
        return None
    return bootstrap_interval(lambda counts: counts @ array / len(array), len(array))


def ratio_interval(parts: npt.ArrayLike, wholes: npt.ArrayLike) -> Interval | None:
    """95 % interval of the sum of the parts divided by the sum of the wholes, one of each for each unit."""
    a, b = np.asarray(parts, np.float64).ravel(), np.asarray(wholes, np.float64).ravel()
    return bootstrap_interval(lambda counts: (counts @ a) / (counts @ b), len(a))


def block_sums(values: npt.NDArray[Any]) -> Floats:
    """Sums of an image (h, w) over blocks of 128 px, row by row; those at the right and lower edge are smaller."""
    rows, columns = (np.arange(0, length, BLOCK) for length in values.shape)
    sums = np.add.reduceat(np.add.reduceat(values.astype(np.float64), rows, axis=0), columns, axis=1)
    return np.asarray(sums).ravel()


def block_counts(yx: Floats, shape: tuple[int, ...]) -> Floats:
    """Number of points (n, 2), row and column in px, in each block of an image of that shape, as `block_sums`."""
    places = block_index(yx[:, 0].astype(np.intp), yx[:, 1].astype(np.intp), shape)
    return np.bincount(places, minlength=number_of_blocks(shape)).astype(np.float64)


def block_index(rows: Indices, columns: Indices, shape: tuple[int, ...]) -> Indices:
    """Number of the block of each pixel of an image of that shape, row by row."""
    return rows // BLOCK * -(-shape[1] // BLOCK) + columns // BLOCK


def number_of_blocks(shape: tuple[int, ...]) -> int:
    """Number of blocks of an image of that shape, those at the right and lower edge included."""
    return -(-shape[0] // BLOCK) * -(-shape[1] // BLOCK)
