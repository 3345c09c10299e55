"""Sample of the colours of H&E: optical densities of random pixels, to which colours of stains are compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from confostain.arrays import Rgb
from confostain.errors import ConfigError

Densities = npt.NDArray[np.float32]  # (n, 3), natural logarithm, of red, green and blue

NUMBER = 8192
DARKEST = 0.02  # brightness; darker pixels count as that dark
SEED = 2019


def sample_densities(images: Sequence[Rgb]) -> Densities:
    """Optical densities of 8192 random pixels, means of 2 x 2 px, of images uint8 (h, w, 3): float32 (8192, 3)."""
    means = [_halved(image).reshape(-1, 3) for image in images]
    pixels = np.concatenate(means)
    chosen = np.random.default_rng(SEED).integers(len(pixels), size=NUMBER)
    return np.asarray(-np.log(np.maximum(pixels[chosen], DARKEST)), np.float32)


def _halved(image: Rgb) -> npt.NDArray[np.float32]:
    height, width = (length // 2 for length in image.shape[:2])
    blocks = image[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32) / np.float32(255))


def read_densities(path: str | Path) -> Densities:
    """Densities from a .npy file, float32 (n, 3).

    Raises:
        ConfigError: the file cannot be read or holds something else.
    """
    try:
        densities = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); expected optical densities in .npy") from error
    if densities.ndim != 2 or densities.shape[1] != 3 or not len(densities) or not np.isfinite(densities).all():
        raise ConfigError(f"{path}: {densities.dtype} {densities.shape}; expected finite optical densities (n, 3)")
    return np.asarray(densities, np.float32)
