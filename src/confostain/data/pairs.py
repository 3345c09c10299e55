"""Training pairs for stainers: H&E patches, and reflectance and fluorescence simulated from them.

Every batch is a pure function of (seed, step, rank), so that a resumed training gets the same batches as an
uninterrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from confostain.arrays import Image, Rgb
from confostain.data.loader import SEED_STREAMS
from confostain.data.manifest import MANIFEST, Split, load_manifest, read_patch
from confostain.data.noisy_patches import MOSTLY_TISSUE, Range
from confostain.data.phantom_histology import is_phantom, phantom_histology
from confostain.errors import ConfigError
from confostain.imaging.histology_tissue import tissue_share
from confostain.io.readers.histology import open_histology
from confostain.simulation.from_histology import simulate

REGION = 512  # px, side of a simulated region: large enough for reliable statistics
GLASS_SHARE = 0.03  # of the regions: from empty ones the network learns that glass is white
TRIES = 30  # random crops until one has tissue


@dataclass(frozen=True, eq=False)  # hashed by identity: its regions are cached
class PairSource:
    """Source of batches of simulated pairs.

    Attributes:
        slides: H&E, uint8 (h, w, 3) each, at 0.75 um/px.
        patch: side of a patch in pixels.
        batch: number of patches.
        intensity_jitter: range of the random factor on each channel.
        domain_randomisation: range of that argument of `simulate`; drawn for each region.
        reuse: area of the patches cut from a region before another takes its place, as a multiple of its own area.
        region: side in pixels of what is simulated at once, if larger than a patch.
    """

    slides: Sequence[Rgb]
    patch: int
    batch: int
    intensity_jitter: Range = (1.0, 1.0)
    domain_randomisation: Range = (1.4, 1.4)
    reuse: float = 1.2
    region: int = REGION

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

    def tissue(self, seed: Sequence[int]) -> Image:
        """Unpaired H&E patches, float32 (batch, 3, patch, patch)."""
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
    rgb = tissue_crop(source.slides, side, rng)
    pair = simulate(rgb, rng, rng.uniform(*source.domain_randomisation))
    return pair, np.ascontiguousarray(rgb.transpose(2, 0, 1))


def tissue_crop(slides: Sequence[Rgb], side: int, rng: np.random.Generator) -> Rgb:
    """Random square of `side` px, mostly with tissue, rarely without; slides are drawn by their area."""
    areas = np.array([slide.shape[0] * slide.shape[1] for slide in slides], float)
    slide = slides[rng.choice(len(areas), p=areas / areas.sum())]
    for _ in range(TRIES):
        y, x = (int(rng.integers(length - side + 1)) for length in slide.shape[:2])
        crop = slide[y : y + side, x : x + side]
        if tissue_share(crop) > MOSTLY_TISSUE or rng.random() < GLASS_SHARE:
            break
    return crop


def read_histology(files: Sequence[str], microns_per_pixel: float, at_least: int, split: Split = "train") -> list[Rgb]:
    """H&E for training in memory, uint8 (h, w, 3) each: whole slides at a pixel size, or prepared patches of a split.

    Args:
        files: slides, or folders of prepared patches.
        microns_per_pixel: pixel size in um at which slides are read.
        at_least: smallest side in pixels.
        split: of the prepared patches.

    Raises:
        ConfigError: no file is given, or one has fewer than `at_least` px a side.
        SlideError: a file cannot be read.
    """
    if not files:
        raise ConfigError("no H&E files are given; list them under train and validate of the table data")
    slides = [slide for file in files for slide in _slides_of(Path(file), microns_per_pixel, at_least, split)]
    if not slides:
        raise ConfigError(f"{', '.join(files)}: no H&E to {split} on; expected patches of that split; prepare more")
    return slides


def _slides_of(path: Path, microns_per_pixel: float, at_least: int, split: Split) -> list[Rgb]:
    if path.is_dir() and (path / MANIFEST).exists():
        patches = [patch for patch in load_manifest(path) if (patch.kind, patch.split) == ("histology", split)]
        slides = [read_patch(patch).astype(np.uint8, copy=False) for patch in patches]
    else:
        slides = [read_whole(path, microns_per_pixel)]
    for slide in slides:
        if min(slide.shape[:2]) < at_least:
            raise ConfigError(
                f"{path}: {slide.shape[1]} x {slide.shape[0]} px at {microns_per_pixel:g} um/px; expected at least "
                f"{at_least} px a side; give larger ones"
            )
    return slides


def read_whole(path: Path, microns_per_pixel: float) -> npt.NDArray[np.uint8]:
    """Whole H&E slide at a pixel size, uint8 (h, w, 3)."""
    if is_phantom(path):
        return phantom_histology(path, microns_per_pixel)
    with open_histology(path, microns_per_pixel) as slide:
        width, height = slide.size_at(microns_per_pixel)
        whole = np.empty((height, width, 3), np.uint8)
        for y, rgb in slide.strips(microns_per_pixel):
            whole[y : y + len(rgb)] = rgb
    return whole
