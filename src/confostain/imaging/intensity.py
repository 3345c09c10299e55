"""A slide's intensity range, measured once, and stored pixel values brought to [0, 1] with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

DARK_PERCENTILE = 0.5  # of all pixels: above defects of the sensor, below any tissue
BRIGHT_PERCENTILE = 99.7  # of tissue pixels: the few brighter ones (dust, fibres, hot pixels) may clip


@dataclass(frozen=True, slots=True)
class IntensityRange:
    """What stands for 0 and for 1 in one channel of one slide, in stored units.

    `bright` equals `dark` for a channel without contrast; every pixel of it normalises to 0.
    """

    dark: float
    bright: float


def measured_range(pixels: npt.NDArray[Any], in_tissue: npt.NDArray[np.bool_]) -> IntensityRange:
    """The range of a sample of one channel's stored values, any shape; `in_tissue` of the same shape.

    The dark pedestal is read off the whole sample, the top off its tissue alone, so that a slide which is
    mostly glass is not stretched until its tissue burns out. Without tissue the whole sample gives the top.
    """
    tissue = pixels[in_tissue]
    dark = float(np.percentile(pixels, DARK_PERCENTILE)) if pixels.size else 0.0
    bright = float(np.percentile(tissue if tissue.size else pixels, BRIGHT_PERCENTILE)) if pixels.size else 0.0
    return IntensityRange(dark, max(dark, bright))


def normalise(
    raw: npt.NDArray[Any], intensity: IntensityRange, out: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.float32]:
    """Stored values of any shape to float32 in [0, 1], clipped; into `out` where it is given.

    Elementwise, in the same three roundings for every pixel, so no way of cutting a slide changes a bit.
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
