"""Artefact measures of a stain: seams at tile borders, pale cyan pixels, the stain of a field without tissue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from confostain.arrays import Mask, Pair, Rgb
from confostain.errors import OptionError
from confostain.evaluation.distribution_metrics import grey

EMPTY_FIELD_SIDE = 256  # px
READ_NOISE = 0.01  # standard deviation, as a share of the range: a dark scan after normalisation
PALE = 150  # grey level above which a colour is pale
ALMOST_WHITE = 253  # grey level; below it a background is seen to be grey
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


def pale_cyan(rgb: Rgb) -> Mask:
    """Mask of pale cyan pixels, bool (h, w), which H&E hardly has: bluish white rims beside crowded nuclei.

    With colours in [0, 1]: red below blue - 0.02, green above red - 0.01, and a mean above 150 / 255.
    """
    red, green, blue = np.moveaxis(rgb.astype(np.float32) / np.float32(255), -1, 0)
    is_cyan = (red < blue - np.float32(0.02)) & (green > red - np.float32(0.01))
    return np.asarray(is_cyan & (rgb.mean(axis=-1) > PALE))


@dataclass(frozen=True)
class EmptyField:
    """Grey levels of the stain of a field without tissue.

    Attributes:
        mean: 255 in a perfect one.
        standard_deviation: 0 in a perfect one.
        below_white: share of the pixels below 253.
    """

    mean: float
    standard_deviation: float
    below_white: float

    @classmethod
    def of(cls, grey_levels: npt.NDArray[np.uint8]) -> EmptyField:
        """Measures of grey levels."""
        levels = grey_levels.astype(np.float64)
        return cls(float(levels.mean()), float(levels.std()), float((levels < ALMOST_WHITE).mean()))


def empty_field_test(stain: Callable[[Pair], Rgb]) -> EmptyField:
    """Grey levels of the stain of a black pair and of a pair of read noise: the worse of the two in each measure."""
    black = np.zeros((2, EMPTY_FIELD_SIDE, EMPTY_FIELD_SIDE), np.float32)
    noise = np.random.default_rng(SEED).normal(0, READ_NOISE, black.shape).clip(0, 1).astype(np.float32)
    one, other = (EmptyField.of(grey(stain(pair))) for pair in (black, noise))
    return EmptyField(
        min(one.mean, other.mean),
        max(one.standard_deviation, other.standard_deviation),
        max(one.below_white, other.below_white),
    )
