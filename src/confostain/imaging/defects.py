"""Defects of a scan: areas that were not scanned, and hot or dead pixels of a detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from confostain.arrays import Mask
from confostain.geometry import Region

Pixels = npt.NDArray[Any]

GAP_RUN = 8  # px: an area that was not scanned has runs this long at the largest value, in both channels
LEAST_GAPS = 5e-4  # of the pixels: below, the largest value in both channels is a chance; 0 on two real scans
OUTLIERS = (1e-4, 0.05)  # least and most share of the pixels that hot, or dead, ones are
ISOLATED = 0.8  # of hot or dead pixels have no such neighbour in their row; 0.99 where they lie at random
NEAR = 0.2  # times their share: fewer pixels than that have values near theirs, or they are the end of a bright tail
NODATA = np.array([-9999, -32768, np.finfo(np.float32).min, np.finfo(np.float32).max], np.float32)


@dataclass(frozen=True)
class Defects:
    """Defects that a survey has found in a scan.

    Attributes:
        has_gaps: whether areas that were not scanned are filled with the largest value in both channels.
        outliers: for R and F, the values of isolated pixels that are hot (the largest value) or dead (0).
    """

    has_gaps: bool = False
    outliers: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())

    def __bool__(self) -> bool:
        """Whether there is any."""
        return self.has_gaps or any(self.outliers)


def largest_value(dtype: np.dtype[Any]) -> int | None:
    """Largest value of an unsigned integer type; None for floats."""
    return int(np.iinfo(dtype).max) if dtype.kind == "u" else None


def not_scanned(reflectance: Pixels, fluorescence: Pixels, has_gaps: bool) -> Mask | None:
    """Mask of the pixels that were not scanned, for stored values (h, w) of both channels; None where all were.

    These are values that are no number in either channel (NaN, infinite, or a usual placeholder) and, where the scan
    has gaps, runs of `GAP_RUN` pixels at the largest value in both channels. A pixel's answer depends on its
    neighbours up to `GAP_RUN` - 1 px away.
    """
    mask = np.zeros(reflectance.shape, bool)
    for values in (reflectance, fluorescence):
        if values.dtype.kind == "f":
            mask |= ~np.isfinite(values) | np.isin(values, NODATA)
    if has_gaps:
        mask |= _runs(_both_largest(reflectance, fluorescence))
    return mask if mask.any() else None


def outside_of(both: Region, region: Region) -> Mask | None:
    """Mask of the pixels of a region, (h, w), that lie outside of another one; None where none does."""
    inside = both.intersection(region)
    if inside == region:
        return None
    mask = np.ones((region.height, region.width), bool)
    if not inside.is_empty:
        mask[inside.slices_in(region)] = False
    return mask


def _both_largest(reflectance: Pixels, fluorescence: Pixels) -> Mask:
    r, f = largest_value(reflectance.dtype), largest_value(fluorescence.dtype)
    if r is None or f is None:
        return np.zeros(reflectance.shape, bool)
    return np.asarray((reflectance == r) & (fluorescence == f))


def _runs(mask: Mask) -> Mask:
    """Pixels of a mask in horizontal or vertical runs of at least `GAP_RUN`."""
    along, across = np.ones((1, GAP_RUN), bool), np.ones((GAP_RUN, 1), bool)
    return np.asarray(ndimage.binary_opening(mask, along) | ndimage.binary_opening(mask, across))


def isolated(rows: Pixels, value: int) -> Mask:
    """Pixels (n, w) with a value that neither neighbour in their row has."""
    at = rows == value
    alone = at.copy()
    alone[:, 1:] &= ~at[:, :-1]
    alone[:, :-1] &= ~at[:, 1:]
    return np.asarray(alone)


def without_outliers(rows: Pixels, values: tuple[int, ...]) -> Pixels:
    """Pixels (n, w) where isolated ones of these values have become the mean of their neighbours in the row."""
    for value in values:
        alone = isolated(rows, value)
        if alone.any():
            around = np.pad(rows, ((0, 0), (1, 1)), mode="reflect" if rows.shape[1] > 1 else "edge")
            means = (around[:, :-2].astype(np.float64) + around[:, 2:]) / 2
            rows = np.where(alone, means.astype(rows.dtype), rows)
    return rows


def find_defects(
    reflectance: Pixels, fluorescence: Pixels, alone: tuple[dict[int, float], dict[int, float]]
) -> Defects:
    """Defects of a scan, from a sample of its stored values.

    Args:
        reflectance: sampled values, any shape.
        fluorescence: likewise, of the same pixels.
        alone: for each channel, the share of pixels with the smallest and the largest value that are isolated.
    """
    both = float(_both_largest(reflectance, fluorescence).mean()) if reflectance.size else 0.0
    r, f = (
        tuple(value for value, share in found.items() if share > ISOLATED and _stand_apart(values, value))
        for values, found in zip((reflectance, fluorescence), alone, strict=True)
    )
    return Defects(both > LEAST_GAPS, (r, f))


def _stand_apart(values: Pixels, value: int) -> bool:
    """Whether pixels of an extreme value are some, not many, and hardly any others have values near it."""
    least, most = OUTLIERS
    share = float((values == value).mean())
    top = largest_value(values.dtype) or 0
    near = (values > 0.75 * top) & (values < top) if value else (values > 0) & (values <= top >> 8)
    return least < share < most and float(near.mean()) < NEAR * share
