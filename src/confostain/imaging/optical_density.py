"""Optical density of a bright-field image: the decadic logarithm of how much light the dyes absorb."""

from __future__ import annotations

import numpy as np

from confostain.arrays import Grey, Image, Rgb


def optical_density(image: Rgb | Grey, white: float = 255.0) -> Image:
    """Decadic optical density of each value: float32 of the shape of `image`, at least 0.

    Args:
        image: uint8 of any shape, usually RGB (h, w, 3).
        white: grey level of glass, whose density is 0. Brighter values have density 0 too; black counts as half a
            grey level, so that its density is finite.
    """
    light = np.maximum(image.astype(np.float32), np.float32(0.5)) * np.float32(1 / white)
    return np.maximum(-np.log10(light), np.float32(0))
