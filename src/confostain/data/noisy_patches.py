"""Training patches for despecklers: inverted grey H&E with simulated speckle.

Every batch is a pure function of its seed, so that a resumed training gets the same batches as an uninterrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from confostain.arrays import REFERENCE_MPP, Grey, Image
from confostain.data.phantom_histology import is_phantom, phantom_histology
from confostain.errors import ConfigError
from confostain.imaging.histology_tissue import tissue_share
from confostain.io.readers.histology import open_histology
from confostain.simulation.speckle import Speckle

Range = tuple[float, float]

MOSTLY_TISSUE = 0.5  # share of tissue in a crop above which it is taken


@dataclass(frozen=True)
class HistologyData:
    """H&E slides of a training.

    Attributes:
        train: files for training, relative to the working directory.
        validate: files for validation, of other pieces of tissue.
        microns_per_pixel: pixel size in um at which they are read; also that of files that do not say theirs.
    """

    train: tuple[str, ...]
    validate: tuple[str, ...]
    microns_per_pixel: float = REFERENCE_MPP


@dataclass(frozen=True)
class NoiseRange:
    """Ranges from which the noise of each patch is drawn; the default is the paper's, one level of gamma speckle.

    Attributes:
        looks: drawn uniformly in the logarithm.
        microscope_share: share of patches with all of the following; the others have white speckle only.
        microscope_looks: looks of those patches; None: as of the others.
        blur: sigma in px of a Gaussian on the clean image, since confocal optics are softer than an H&E scanner's.
        grain: sigma in px of the correlation of the speckle.
        pedestal: dark level, in units of the range.
        gain: drawn uniformly in the logarithm.
        read_noise: standard deviation, in units of the range.
        contrast: exponent on the clean image, drawn uniformly in the logarithm: for other tissue and other light.
        clipped_share: share of patches that are clipped at 1, as by a saturated detector.
    """

    looks: Range = (8.0, 8.0)
    microscope_share: float = 0.0
    microscope_looks: Range | None = None
    blur: Range = (0.0, 0.0)
    grain: Range = (0.0, 0.0)
    pedestal: Range = (0.0, 0.0)
    gain: Range = (1.0, 1.0)
    read_noise: Range = (0.0, 0.0)
    contrast: Range = (1.0, 1.0)
    clipped_share: float = 0.0

    def draw(self, clean: Image, rng: np.random.Generator) -> tuple[Speckle, Image]:
        """Speckle model and reflected light for a clean image (h, w) in [0, 1]."""
        looks = _log_uniform(self.looks, rng)
        if rng.random() >= self.microscope_share:
            return Speckle(looks), clean
        if self.microscope_looks is not None:
            looks = _log_uniform(self.microscope_looks, rng)
        speckle = Speckle(
            looks,
            grain=rng.uniform(*self.grain),
            pedestal=rng.uniform(*self.pedestal),
            gain=_log_uniform(self.gain, rng),
            read_noise=rng.uniform(*self.read_noise),
        )
        return speckle, _vary(clean, _log_uniform(self.contrast, rng), rng.uniform(*self.blur))


def _vary(clean: Image, contrast: float, blur: float) -> Image:
    """Clean image with another contrast and blur."""
    from scipy.ndimage import gaussian_filter

    varied = clean ** np.float32(contrast)
    return gaussian_filter(varied, blur) if blur > 0 else varied


def _log_uniform(ends: Range, rng: np.random.Generator) -> float:
    return math.exp(rng.uniform(math.log(ends[0]), math.log(ends[1])))


@dataclass(frozen=True)
class NoisyPatches:
    """Source of batches of (noisy, clean) patches.

    Attributes:
        slides: inverted grey H&E, uint8 (h, w) each.
        noise: ranges of the noise.
        patch: side of a patch in pixels.
        batch: number of patches.
    """

    slides: Sequence[Grey]
    noise: NoiseRange
    patch: int
    batch: int

    def draw(self, seed: Sequence[int]) -> tuple[Image, Image]:
        """Batch of a seed: noisy and clean, float32 (batch, 1, patch, patch) each."""
        rng = np.random.default_rng(seed)
        pairs = [add_speckle(self._crop(rng), self.noise, rng) for _ in range(self.batch)]
        noisy, clean = (np.stack(images)[:, np.newaxis] for images in zip(*pairs, strict=True))
        return noisy, clean

    def _crop(self, rng: np.random.Generator) -> Image:
        areas = np.array([slide.size for slide in self.slides], float)
        slide = self.slides[rng.choice(len(areas), p=areas / areas.sum())]
        for _ in range(30):  # most crops without tissue are drawn again, so that glass is rare
            y, x = (int(rng.integers(length - self.patch + 1)) for length in slide.shape)
            crop = slide[y : y + self.patch, x : x + self.patch]
            if tissue_share(~crop) > MOSTLY_TISSUE or rng.random() < 0.02:
                break
        flips = tuple(slice(None, None, int(step)) for step in rng.choice((-1, 1), 2))
        crop = crop[flips]
        return (crop.T if rng.random() < 0.5 else crop).astype(np.float32) / np.float32(255)


def add_speckle(clean: Image, noise: NoiseRange, rng: np.random.Generator) -> tuple[Image, Image]:
    """Noisy recording of a clean image (h, w) in [0, 1], and the recording without noise as its target."""
    speckle, reflected = noise.draw(clean, rng)
    noisy, expected = speckle.recorded(reflected, rng), speckle.expected(reflected)
    if rng.random() < noise.clipped_share:
        return noisy.clip(0, 1), expected.clip(0, 1)
    return noisy, expected


def read_inverted(files: Sequence[str], microns_per_pixel: float) -> list[Grey]:
    """Whole H&E slides, inverted grey, uint8 (h, w) each, in memory: a substitute for clean reflectance.

    Raises:
        ConfigError: no file is given.
        SlideError: a file cannot be read.
    """
    if not files:
        raise ConfigError("no H&E files are given; list them under train and validate of the table data")
    return [_inverted(Path(file), microns_per_pixel) for file in files]


def _inverted(path: Path, microns_per_pixel: float) -> Grey:
    from PIL import Image as Pillow

    if is_phantom(path):
        return 255 - np.asarray(Pillow.fromarray(phantom_histology(path, microns_per_pixel)).convert("L"))
    with open_histology(path, assumed=microns_per_pixel) as slide:
        width, height = slide.size_at(microns_per_pixel)
        grey = np.empty((height, width), np.uint8)
        for y, rgb in slide.strips(microns_per_pixel):
            grey[y : y + len(rgb)] = 255 - np.asarray(Pillow.fromarray(rgb).convert("L"))
    return grey
