"""What a stain must not add: borders of tiles, and anything at all where there is no tissue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from confostain.arrays import Pair, Rgb
from confostain.errors import OptionError
from confostain.evaluation.distribution_metrics import grey

BLANK_SIDE = 256  # px
BLANK_NOISE = 0.01  # of the range: read noise of a dark scan, after normalisation
SEED = 2019


def seam_index(rgb: Rgb, tile: int) -> float:
    """Mean step between neighbouring pixels across the borders of tiles, over the mean step elsewhere.

    1 where borders cannot be told from the rest, and on an image without any step. Tiles of `tile` px begin at the
    upper left corner. OptionError for an image that is not larger than one tile.
    """
    across, elsewhere = [], []
    for axis in (0, 1):
        steps = np.abs(np.diff(rgb.astype(np.int16), axis=axis)).mean(axis=-1)
        border = np.arange(1, rgb.shape[axis]) % tile == 0
        across.append(np.compress(border, steps, axis).ravel())
        elsewhere.append(np.compress(~border, steps, axis).ravel())
    if not sum(map(len, across)):
        raise OptionError(f"image of {rgb.shape[1]} x {rgb.shape[0]} px: expected borders of {tile} px tiles in it")
    typical = float(np.concatenate(elsewhere).mean())
    return float(np.concatenate(across).mean()) / typical if typical else 1.0


@dataclass(frozen=True)
class Blank:
    """A field without tissue, in grey levels: white is 255, without texture 0."""

    mean: float
    texture: float  # standard deviation


def blank_field(stain: Callable[[Pair], Rgb]) -> Blank:
    """What a stain makes of darkness, and of darkness with read noise: the worse of both in either measure."""
    dark = np.zeros((2, BLANK_SIDE, BLANK_SIDE), np.float32)
    noise = np.random.default_rng(SEED).normal(0, BLANK_NOISE, dark.shape).clip(0, 1).astype(np.float32)
    seen = [grey(stain(pair)).astype(np.float64) for pair in (dark, noise)]
    return Blank(min(float(image.mean()) for image in seen), max(float(image.std()) for image in seen))
