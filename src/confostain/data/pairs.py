"""Training pairs for stainers: H&E patches, and reflectance and fluorescence simulated from them.

Every batch is a pure function of (seed, step, rank), so that a resumed training gets the same batches as an
uninterrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from confostain.arrays import REFERENCE_MPP, Image, Rgb
from confostain.data.loader import SEED_STREAMS
from confostain.data.noisy_patches import MOSTLY_TISSUE, Range
from confostain.data.training_slides import TrainingSlide
from confostain.imaging.histology_tissue import tissue_share
from confostain.imaging.nuclei import CERTAIN_CONTRAST_STAIN, nuclei_in_stain
from confostain.simulation.from_histology import simulate

REGION = 512  # px, side of a simulated region: large enough for reliable statistics
GLASS_SHARE = 0.03  # of the regions: from empty ones the network learns that glass is white
TRIES = 30  # random crops until one has tissue
CANDIDATES = 6  # regions of which that with the fewest nuclei is taken, where one without nuclei is wanted


@dataclass(frozen=True, eq=False)  # hashed by identity: its regions are cached
class PairSource:
    """Source of batches of simulated pairs.

    Attributes:
        slides: H&E.
        patch: side of a patch in pixels.
        batch: number of patches.
        intensity_jitter: range of the random factor on each channel.
        domain_randomisation: range of that argument of `simulate`; drawn for each region.
        reuse: area of the patches cut from a region before another takes its place, as a multiple of its own area.
        region: side in pixels of what is simulated at once, if larger than a patch.
        microns_per_pixel: range of pixel sizes in um; drawn for each region, uniformly in the logarithm.
        without_nuclei: share of the regions that are the one with the fewest nuclei of six.
    """

    slides: Sequence[TrainingSlide]
    patch: int
    batch: int
    intensity_jitter: Range = (1.0, 1.0)
    domain_randomisation: Range = (1.4, 1.4)
    reuse: float = 1.2
    region: int = REGION
    microns_per_pixel: Range = (REFERENCE_MPP, REFERENCE_MPP)
    without_nuclei: float = 0.0

    def draw(self, seed: int, step: int, rank: int = 0) -> tuple[Image, Image]:
        """Batch of a step: float32 (batch, 2, patch, patch), R then F, and the H&E (batch, 3, patch, patch)."""
        side = max(self.region, self.patch)
        uses = max(1, round(self.reuse * side**2 / self.patch**2))  # of one region
        within, stream = divmod(step, SEED_STREAMS)
        pairs = []
        for slot in range(self.batch):
            # the slots of a batch change their regions at different steps
            age, turn = divmod(within + slot * uses // self.batch, uses)
            pair, rgb = _region(self, (seed, rank, stream, slot, age), side)
            rng = np.random.default_rng((seed, rank, stream, slot, age, turn + 1))
            y, x = (int(rng.integers(side - self.patch + 1)) for _ in range(2))
            cut = (..., slice(y, y + self.patch), slice(x, x + self.patch))
            true = rgb[cut].astype(np.float32) / np.float32(255)
            pairs.append(augment(jitter_intensity(pair[cut], self.intensity_jitter, rng), true, rng))
        first, second = (np.ascontiguousarray(np.stack(images)) for images in zip(*pairs, strict=True))
        return first, second

    def unpaired(self, seed: Sequence[int], wanted: bool = True) -> Image:
        """H&E patches of other places, float32 (batch, 3, patch, patch), or (0, 3, patch, patch)."""
        if not wanted:
            return np.empty((0, 3, self.patch, self.patch), np.float32)
        rng = np.random.default_rng((*seed, 1))
        crops = [tissue_crop(self.slides, self.patch, rng) for _ in range(self.batch)]
        return np.ascontiguousarray(np.stack(crops).transpose(0, 3, 1, 2)).astype(np.float32) / np.float32(255)


def jitter_intensity(pair: Image, gain: Range, rng: np.random.Generator) -> Image:
    """Pair (2, h, w) with each channel multiplied by a random factor from `gain`, clipped to [0, 1]."""
    gains = np.exp(rng.uniform(math.log(gain[0]), math.log(gain[1]), (2, 1, 1))).astype(np.float32)
    return np.clip(pair * gains, 0, 1)


def augment(pair: Image, rgb: Image, rng: np.random.Generator) -> tuple[Image, Image]:
    """Both images, (channels, h, w), with the same random flips and transposition."""
    flips = (slice(None), *(slice(None, None, int(step)) for step in rng.choice((-1, 1), 2)))
    pair, rgb = pair[flips], rgb[flips]
    return (pair.swapaxes(1, 2), rgb.swapaxes(1, 2)) if rng.random() < 0.5 else (pair, rgb)


@lru_cache(maxsize=32 * SEED_STREAMS)
def _region(source: PairSource, seed: tuple[int, ...], side: int) -> tuple[Image, Rgb]:
    """Simulated pair and H&E of a region: float32 (2, side, side) in [0, 1] and uint8 (3, side, side)."""
    rng = np.random.default_rng(seed)
    low, high = source.microns_per_pixel
    microns = math.exp(rng.uniform(math.log(low), math.log(high)))
    rgb = tissue_crop(source.slides, side, rng, microns)
    if source.without_nuclei and rng.random() < source.without_nuclei:
        others = [tissue_crop(source.slides, side, rng, microns) for _ in range(CANDIDATES - 1)]
        rgb = min(rgb, *others, key=_number_of_nuclei)
    pair = simulate(rgb, rng, rng.uniform(*source.domain_randomisation), microns)
    return pair, np.ascontiguousarray(rgb.transpose(2, 0, 1))


def _number_of_nuclei(rgb: Rgb) -> int:
    """Number of nuclei that hardly anything else is taken for in real H&E; glass counts as full of them."""
    if tissue_share(rgb) <= MOSTLY_TISSUE:
        return rgb.size
    return len(nuclei_in_stain(rgb).above(CERTAIN_CONTRAST_STAIN))


def tissue_crop(
    slides: Sequence[TrainingSlide], side: int, rng: np.random.Generator, microns_per_pixel: float = REFERENCE_MPP
) -> Rgb:
    """Random square of `side` px of that pixel size, mostly with tissue, rarely without: uint8 (side, side, 3).

    Slides are drawn by the square root of their area, so that large ones do not drown the others.
    """
    shares = np.sqrt([float(sum(slide.areas)) for slide in slides])
    slide = slides[rng.choice(len(slides), p=shares / shares.sum())]
    for _ in range(TRIES):
        crop = slide.crop(side, microns_per_pixel, rng)
        if tissue_share(crop) > MOSTLY_TISSUE or rng.random() < GLASS_SHARE:
            break
    return crop
