"""Training patches of real confocal scans, without matching H&E."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from confostain.arrays import Image
from confostain.data.manifest import load_manifest, read_patch
from confostain.data.noisy_patches import Range
from confostain.data.pairs import augment, jitter_intensity
from confostain.errors import ConfigError, SlideError
from confostain.simulation.speckle import Speckle
from confostain.simulation.speckle_fit import estimate_speckle


@dataclass(frozen=True)
class ScanSource:
    """Source of batches of crops from prepared confocal patches.

    Attributes:
        scans: float32 (2, h, w) each, R then F in [0, 1].
        patch: side of a crop in pixels.
        batch: number of crops.
        intensity_jitter: range of the random factor on each channel, as for the simulated pairs.
    """

    scans: Sequence[Image]
    patch: int
    batch: int
    intensity_jitter: Range = (1.0, 1.0)

    def draw(self, seed: int, step: int, rank: int = 0) -> Image:
        """Batch of a step: float32 (batch, 2, patch, patch), R then F."""
        rng = np.random.default_rng((seed, step, rank, 2))
        crops = []
        for _ in range(self.batch):
            scan = self.scans[int(rng.integers(len(self.scans)))]
            y, x = (int(rng.integers(length - self.patch + 1)) for length in scan.shape[1:])
            crop = jitter_intensity(scan[:, y : y + self.patch, x : x + self.patch], self.intensity_jitter, rng)
            crops.append(augment(crop, crop, rng)[0])
        return np.ascontiguousarray(np.stack(crops))


@dataclass(frozen=True)
class ReflectanceSource:
    """Source of batches of crops from raw reflectance.

    Attributes:
        images: float32 (h, w) each, as shares of the range of their slide; speckle and highlights exceed 1.
        patch: side of a crop in pixels.
        batch: number of crops.
    """

    images: Sequence[Image]
    patch: int
    batch: int

    def draw(self, seed: int, step: int, rank: int = 0) -> Image:
        """Batch of a step: float32 (batch, 1, patch, patch)."""
        rng = np.random.default_rng((seed, step, rank, 3))
        crops = []
        for _ in range(self.batch):
            image = self.images[int(rng.integers(len(self.images)))]
            y, x = (int(rng.integers(length - self.patch + 1)) for length in image.shape)
            crop = image[np.newaxis, y : y + self.patch, x : x + self.patch]
            crops.append(augment(crop, crop, rng)[0])
        return np.ascontiguousarray(np.stack(crops))


def read_reflectance(path: Path, at_least: int) -> Image:
    """Raw reflectance from a .npy file, float32 (n, h, w), as shares of the range of its slide.

    Raises:
        ConfigError: the file cannot be read, holds something else, or images smaller than `at_least` px a side.
    """
    try:
        images = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); expected raw reflectance in .npy") from error
    if images.ndim != 3 or not len(images) or min(images.shape[1:]) < at_least or not np.isfinite(images).all():
        raise ConfigError(
            f"{path}: {images.dtype} {images.shape}; expected finite (n, h, w) of at least {at_least} px a side"
        )
    return np.asarray(images, np.float32)


def typical_speckle(images: Sequence[Image]) -> Speckle:
    """Speckle of reflectance (h, w): the medians of what is fitted to each image that shows speckle.

    Raises:
        ConfigError: none does.
    """
    fits = []
    for image in images:
        with suppress(SlideError):  # too small, or without a range of brightness
            fits.append(estimate_speckle(image))
    if not fits:
        raise ConfigError(f"{len(images)} images: speckle cannot be fitted to any; expected raw reflectance")
    names = ("looks", "grain", "pedestal", "read_noise")
    return Speckle(**{name: float(np.median([getattr(fit, name) for fit in fits])) for name in names})  # type: ignore[arg-type]


def read_scans(folder: Path, at_least: int) -> list[Image]:
    """Confocal training patches of a folder of `confostain prepare confocal`, float32 (2, h, w) each, in memory.

    Raises:
        ConfigError: the folder has no confocal patches for training, or smaller ones than `at_least` px a side.
        SlideError: it cannot be read.
    """
    patches = [patch for patch in load_manifest(folder) if (patch.kind, patch.split) == ("confocal", "train")]
    if not patches or min(patch.side for patch in patches) < at_least:
        raise ConfigError(
            f"{folder}: expected confocal patches for training of at least {at_least} px a side; "
            "run `confostain prepare confocal`"
        )
    return [read_patch(patch).astype(np.float32) for patch in patches]
