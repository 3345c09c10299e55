"""Despeckling networks ready to run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from confostain.arrays import Image
from confostain.models.card import ModelCard


@dataclass(frozen=True)
class Despeckler:
    """A despeckling network with its card.

    Attributes:
        card: see `ModelCard`.
        network: float32 (1, h, w) to the same, 1 being bright; values may exceed 1.
    """

    card: ModelCard
    network: Callable[[Image], Image]

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.card.name

    @property
    def stride(self) -> int:
        """Inputs start and end at multiples of this many pixels."""
        return self.card.stride

    @property
    def receptive_field(self) -> int:
        """Side in pixels of the square of input that one output pixel depends on, the median included."""
        return self.card.receptive_field + 2 * self.card.median

    @property
    def weights_sha256(self) -> str | None:
        """SHA-256 of the ONNX network."""
        return self.card.weights_sha256

    def __call__(self, tile: Image) -> Image:
        """Despeckle a tile with its halo: float32 (1, h, w) to the same, never negative."""
        clean = np.maximum(self.network(tile), np.float32(0))
        return median_3x3(clean) if self.card.median else clean


def median_3x3(image: Image) -> Image:
    """Median over 3 x 3 pixels of an image (1, h, w), mirrored at the border (Combalia et al. 2019)."""
    from scipy.ndimage import median_filter

    smooth: Image = median_filter(image, size=(1, 3, 3), mode="mirror")
    return smooth
