"""Artefact measures of a stain: seam index at tile borders, and the stain of a field without tissue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from confostain.arrays import Pair, Rgb
from confostain.errors import OptionError
from confostain.evaluation.distribution_metrics import grey

EMPTY_FIELD_SIDE = 256  # px
READ_NOISE = 0.01  # standard deviation, as a share of the range: a dark scan after normalisation
SEED = 2019


def seam_index(rgb: Rgb, tile: int) -> float:
    """Ratio of the mean step between neighbouring pixels across tile borders to the mean step elsewhere.

    1 means that borders do not differ from the rest; an image without any step also gives 1.

    Args:
        rgb: uint8 (h, w, 3).
        tile: side of the tiles in px; the first begins at the upper left corner.

    Raises:
        OptionError: the image is not larger than one tile.
    """
    at_borders, elsewhere = [], []
    for axis in (0, 1):
        steps = np.abs(np.diff(rgb.astype(np.int16), axis=axis)).mean(axis=-1)
        border = np.arange(1, rgb.shape[axis]) % tile == 0
        at_borders.append(np.compress(border, steps, axis).ravel())
        elsewhere.append(np.compress(~border, steps, axis).ravel())
    if not sum(map(len, at_borders)):
        size = f"{rgb.shape[1]} x {rgb.shape[0]}"
        raise OptionError(f"image of {size} px: expected one larger than a tile of {tile} px; give a larger image")
    typical = float(np.concatenate(elsewhere).mean())
    return float(np.concatenate(at_borders).mean()) / typical if typical else 1.0


@dataclass(frozen=True)
class EmptyField:
    """Grey levels of the stain of a field without tissue; a perfect one has the mean 255 and the deviation 0."""

    mean: float
    standard_deviation: float


def empty_field_test(stain: Callable[[Pair], Rgb]) -> EmptyField:
    """Grey levels of the stain of a black pair and of a pair of read noise: the worse of the two in each measure."""
    black = np.zeros((2, EMPTY_FIELD_SIDE, EMPTY_FIELD_SIDE), np.float32)
    noise = np.random.default_rng(SEED).normal(0, READ_NOISE, black.shape).clip(0, 1).astype(np.float32)
    stains = [grey(stain(pair)).astype(np.float64) for pair in (black, noise)]
    return EmptyField(min(float(image.mean()) for image in stains), max(float(image.std()) for image in stains))
