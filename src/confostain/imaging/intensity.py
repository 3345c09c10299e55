"""Intensity range of a channel by percentiles, and stored pixel values scaled to [0, 1] with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

DARK_PERCENTILE = 0.5  # of all pixels: above defective sensor pixels, below any tissue
BRIGHT_PERCENTILE = 99.7  # of tissue pixels: the few brighter ones (dust, fibres, hot pixels) may clip


@dataclass(frozen=True, slots=True)
class IntensityRange:
    """Stored values that become 0 (`dark`) and 1 (`bright`) in one channel of one slide.

    `bright` equals `dark` for a channel without contrast; every pixel of it normalises to 0.
    """

    dark: float
    bright: float


def measured_range(pixels: npt.NDArray[Any], in_tissue: npt.NDArray[np.bool_]) -> IntensityRange:
    """Intensity range of one channel, from a sample of its stored values.

    The dark level comes from the whole sample, the bright level from its tissue alone: else a slide that is mostly
    glass would be stretched until its tissue saturates. Without tissue the whole sample gives the bright level.

    Args:
        pixels: stored values, any shape.
        in_tissue: bool of the same shape.
    """
    tissue = pixels[in_tissue]
    dark = float(np.percentile(pixels, DARK_PERCENTILE)) if pixels.size else 0.0
    bright = float(np.percentile(tissue if tissue.size else pixels, BRIGHT_PERCENTILE)) if pixels.size else 0.0
    return IntensityRange(dark, max(dark, bright))


def normalise(
    raw: npt.NDArray[Any], intensity: IntensityRange, out: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.float32]:
    """Stored values, any shape, scaled to float32 in [0, 1] and clipped; into `out` where it is given.

    Elementwise, with the same three roundings for every pixel: the result does not depend on how a slide is tiled.
    """
    if out is None:
        out = np.empty(raw.shape, np.float32)
    contrast = intensity.bright - intensity.dark
    if contrast <= 0:
        out.fill(0)
        return out
    np.subtract(raw, np.float32(intensity.dark), out=out, casting="same_kind")
    np.multiply(out, np.float32(1 / contrast), out=out)
    return np.clip(out, np.float32(0), np.float32(1), out=out)
