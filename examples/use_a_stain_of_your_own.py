"""Stains a slide with a formula of your own: python use_a_stain_of_your_own.py SLIDE FOLDER.

It is tiled and written like any model."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import confostain


@dataclass(frozen=True)
class Negative:
    """Grey: dark where fluorescence is bright. Any object with these attributes is a model."""

    name: str = "negative"
    stride: int = 1  # inputs start at multiples of this many pixels
    receptive_field: int = 1  # pixels of input that one pixel depends on
    weights_sha256: str | None = None

    def __call__(self, pair: np.ndarray) -> np.ndarray:
        """Stain a tile: float32 (2, h, w) in [0, 1] to uint8 (h, w, 3)."""
        grey = np.rint(255 * (1 - pair[1])).astype(np.uint8)
        return np.repeat(grey[..., np.newaxis], 3, axis=2)


with confostain.open_slide(sys.argv[1]) as slide:
    print(confostain.stain_slide(slide, Path(sys.argv[2]) / "negative.ome.tif", model=Negative()))
