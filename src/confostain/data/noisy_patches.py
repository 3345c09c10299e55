"""Training patches for despecklers: inverted grey H&E with simulated speckle.

Every batch is a pure function of (seed, step, rank), so that a resumed training sees what an unbroken one sees.
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
    """Which H&E slides, at which pixel size."""

    train: tuple[str, ...]  # files, relative to the working directory
    validate: tuple[str, ...]  # other pieces of tissue
    microns_per_pixel: float = REFERENCE_MPP  # that of the confocal scans; plain pictures are taken to have it


@dataclass(frozen=True)
class NoiseRange:
    """From which noise is drawn, for each patch anew; the default is the paper's, one level of gamma speckle."""

    looks: Range = (8.0, 8.0)  # evenly in the logarithm
    microscope_share: float = 0.0  # share of patches that also get what follows; the others have white speckle only
    microscope_looks: Range | None = None  # of those patches; None: as of the others
    blur: Range = (0.0, 0.0)  # px, Gaussian on the clean image: confocal optics are softer than an H&E scanner's
    grain: Range = (0.0, 0.0)  # px
    pedestal: Range = (0.0, 0.0)  # share of the range
    gain: Range = (1.0, 1.0)  # evenly in the logarithm
    read_noise: Range = (0.0, 0.0)  # share of the range
    contrast: Range = (
        1.0,
        1.0,
    )  # exponent on the clean image, evenly in the logarithm: other tissue, other light
    clipped_share: float = 0.0  # share of patches recorded by a detector that saturates at 1

    def draw(self, clean: Image, rng: np.random.Generator) -> tuple[Speckle, Image]:
        """One noise model, and what the tissue (h, w) in [0, 1] reflects under it."""
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
        return speckle, _seen_by(clean, _log_uniform(self.contrast, rng), rng.uniform(*self.blur))


def _seen_by(clean: Image, contrast: float, blur: float) -> Image:
    """Tissue under another light and through other optics."""
    from scipy.ndimage import gaussian_filter

    seen = clean ** np.float32(contrast)
    return gaussian_filter(seen, blur) if blur > 0 else seen


def _log_uniform(ends: Range, rng: np.random.Generator) -> float:
    return math.exp(rng.uniform(math.log(ends[0]), math.log(ends[1])))


@dataclass(frozen=True)
class NoisyPatches:
    """Draws batches of (noisy, clean) patches."""

    slides: Sequence[Grey]  # inverted grey slides, uint8 (h, w)
    noise: NoiseRange
    patch: int  # side in pixels
    batch: int

    def draw(self, seed: Sequence[int]) -> tuple[Image, Image]:
        """The batch of that seed: noisy and clean, float32 (batch, 1, patch, patch) each."""
        rng = np.random.default_rng(seed)
        pairs = [add_speckle(self._crop(rng), self.noise, rng) for _ in range(self.batch)]
        noisy, clean = (np.stack(images)[:, np.newaxis] for images in zip(*pairs, strict=True))
        return noisy, clean

    def _crop(self, rng: np.random.Generator) -> Image:
        areas = np.array([slide.size for slide in self.slides], float)
        slide = self.slides[rng.choice(len(areas), p=areas / areas.sum())]
        for _ in range(30):  # glass is rare: most draws that miss the tissue are drawn again
            y, x = (int(rng.integers(length - self.patch + 1)) for length in slide.shape)
            crop = slide[y : y + self.patch, x : x + self.patch]
            if tissue_share(~crop) > MOSTLY_TISSUE or rng.random() < 0.02:
                break
        flips = tuple(slice(None, None, int(step)) for step in rng.choice((-1, 1), 2))
        crop = crop[flips]
        return (crop.T if rng.random() < 0.5 else crop).astype(np.float32) / np.float32(255)


def add_speckle(clean: Image, noise: NoiseRange, rng: np.random.Generator) -> tuple[Image, Image]:
    """A clean image (h, w) in [0, 1] as a detector might record it, and as it should come out."""
    speckle, reflected = noise.draw(clean, rng)
    noisy, expected = speckle.recorded(reflected, rng), speckle.expected(reflected)
    if rng.random() < noise.clipped_share:
        return noisy.clip(0, 1), expected.clip(0, 1)
    return noisy, expected


def read_inverted(files: Sequence[str], microns_per_pixel: float) -> list[Grey]:
    """Whole H&E slides as the reflectance of their tissue: grey, inverted, uint8 (h, w) each, kept in memory.

    Raises:
        ConfigError: there is no file. SlideError: one cannot be read.
    """
    if not files:
        raise ConfigError("no H&E files are given; list them under train and validate of the table data")
    return [_inverted(Path(file), microns_per_pixel) for file in files]


def _inverted(path: Path, microns_per_pixel: float) -> Grey:
    from PIL import Image as Pillow

    if is_phantom(path):
        return 255 - np.asarray(Pillow.fromarray(phantom_histology(path, microns_per_pixel)).convert("L"))
    with open_histology(path, microns_per_pixel) as slide:
        width, height = slide.size_at(microns_per_pixel)
        grey = np.empty((height, width), np.uint8)
        for y, rgb in slide.strips(microns_per_pixel):
            grey[y : y + len(rgb)] = 255 - np.asarray(Pillow.fromarray(rgb).convert("L"))
    return grey
