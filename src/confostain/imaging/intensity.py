"""Intensity range of a channel, and stored pixel values as shares of it: for stains and for despeckling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from confostain.arrays import Image
from confostain.imaging.tissue import where_scanned

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


def image_range(values: npt.NDArray[Any]) -> IntensityRange:
    """Intensity range of a sample of one grey image's stored values, any shape, where no tissue mask is known.

    Measured as for a slide: zeros that a scanner padded the image with do not count. All the rest counts as tissue.
    """
    values = values[np.isfinite(values)]
    scanned = values[where_scanned(values, values)]
    return measured_range(scanned, np.ones(scanned.shape, np.bool_))


def normalise(
    raw: npt.NDArray[Any], intensity: IntensityRange, out: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.float32]:
    """Stored values, any shape, scaled to float32 in [0, 1] and clipped; into `out` where it is given.

    Elementwise, with the same three roundings for every pixel: the result does not depend on how a slide is tiled.
    """
    return _scaled(raw, intensity, np.float32(1), np.empty(raw.shape, np.float32) if out is None else out)


def range_share(raw: npt.NDArray[Any], intensity: IntensityRange) -> Image:
    """Stored values of any shape as shares of an intensity range: float32, 0 at its dark and 1 at its bright level.

    Clipped at 0 only: the few pixels brighter than the range have shares above 1. Speckle multiplies the light, which
    is what lies above the dark level, so a despeckler is given shares; `stored_values` is the inverse.
    """
    return _scaled(raw, intensity, np.float32(np.inf), np.empty(raw.shape, np.float32))


def stored_values(share: Image, intensity: IntensityRange) -> Image:
    """Shares of an intensity range as float32 in stored units: the inverse of `range_share` above the dark level."""
    return share * np.float32(intensity.bright - intensity.dark) + np.float32(intensity.dark)


def _scaled(
    raw: npt.NDArray[Any], intensity: IntensityRange, most: np.float32, out: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Shares of an intensity range, clipped to 0 and `most`, written into `out`; 0 for a range without contrast."""
    contrast = intensity.bright - intensity.dark
    if contrast <= 0:
        out.fill(0)
        return out
    np.subtract(raw, np.float32(intensity.dark), out=out, casting="same_kind")
    np.multiply(out, np.float32(1 / contrast), out=out)
    return np.clip(out, np.float32(0), most, out=out)
