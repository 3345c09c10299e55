"""Empty ground around tissue: a disc of painted tissue on noise, stained in tiles from file to file."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from confostain.arrays import REFERENCE_MPP, Pair, Rgb
from confostain.evaluation.artefacts import EmptyField
from confostain.evaluation.distribution_metrics import grey
from confostain.geometry import Region, Size
from confostain.inference.stain import stain_slide
from confostain.models.stainer import Model
from confostain.simulation.phantom import Phantom
from confostain.slide import Slide, open_slide

SIDE = 1024  # px, of the scan
RADIUS = 240  # px, of the disc
TISSUE = Region(300, 400, SIDE, SIDE)  # of the phantom, all tissue within the disc
BLACK, NOISE = 10, 2.5  # grey levels of the ground: mean and standard deviation
EDGE = 8  # px outside the disc that are left out: a network may blur its edge
RING = 8  # px, width of the rings in which a rim is looked for
REACH = 160  # px from the disc: a rim lies where the tissue mask ends, within this
SEED = 2019
TILE = 256  # px


@dataclass(frozen=True)
class EmptyGround:
    """Grey levels of the stain around a disc of tissue, on ground without any.

    Attributes:
        ground: of all pixels more than 8 px outside the disc.
        rim: mean of the darkest ring of 8 px around the disc; 255 where there is no rim.
        rim_distance: distance of that ring from the disc in px.
    """

    ground: EmptyField
    rim: float
    rim_distance: int


def empty_ground_test(model: Model) -> EmptyGround:
    """Grey levels of a model's stain around a disc of painted tissue, by the whole-slide path in tiles of 256 px."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("R.png", "F.png")]
        for path, channel in zip(paths, _disc_scan(), strict=True):
            Image.fromarray(np.rint(channel * np.float32(255)).astype(np.uint8)).save(path)
        with open_slide(reflectance=paths[0], fluorescence=paths[1], microns_per_pixel=REFERENCE_MPP) as slide:
            levels = grey(stain_in_tiles(slide, model, TILE, Region(0, 0, SIDE, SIDE)))
    distance = _distance()
    starts = range(EDGE, REACH, RING)
    rings = [float(levels[(distance >= start) & (distance < start + RING)].mean()) for start in starts]
    darkest = int(np.argmin(rings))
    return EmptyGround(EmptyField.of(levels[distance >= EDGE]), rings[darkest], starts[darkest])


def stain_in_tiles(slide: Slide, model: Model, tile: int, region: Region) -> Rgb:
    """Stain of a region of a slide by the whole-slide path, from file to file, in tiles of that side."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        stained = Path(folder) / "stained.png"
        area = (region.x, region.y, region.width, region.height)
        stain_slide(slide, stained, model=model, tile=tile, region=area)
        return np.asarray(Image.open(stained).convert("RGB"))


def _distance() -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Distance of each pixel from the disc in px, negative inside: (1024, 1024)."""
    place = np.arange(SIDE) - (SIDE - 1) / 2
    return np.hypot(place[:, np.newaxis], place) - RADIUS


@lru_cache(maxsize=1)
def _disc_scan() -> Pair:
    """Confocal pair of the disc on its ground, float32 (2, 1024, 1024) in [0, 1]."""
    size = Size(TISSUE.right + 300, TISSUE.bottom + 300)
    tissue = Phantom(size, seed=5).pair(TISSUE)
    noise = np.random.default_rng(SEED).normal(BLACK / 255, NOISE / 255, tissue.shape).clip(0, 1)
    return np.where(_distance() < 0, np.maximum(tissue, noise), noise).astype(np.float32)
