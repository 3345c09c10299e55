"""H&E of the phantom, for trainings that need no file: "phantom:SEED" where the path of a slide is expected."""

from __future__ import annotations

import os

from confostain.arrays import REFERENCE_MPP, Rgb
from confostain.errors import ConfigError
from confostain.geometry import Size
from confostain.simulation.phantom import Phantom

SCHEME = "phantom:"
SIDE = 512  # px of 0.75 um: the square that the phantom is painted in at once


def is_phantom(source: str | os.PathLike[str]) -> bool:
    """Whether a path names the phantom instead of a file."""
    return os.fspath(source).startswith(SCHEME)


def phantom_histology(source: str | os.PathLike[str], microns_per_pixel: float) -> Rgb:
    """H&E of the phantom of a seed, uint8 (512, 512, 3) at 0.75 um/px.

    Raises:
        ConfigError: the seed is no number, or another pixel size is asked for.
    """
    seed = os.fspath(source).removeprefix(SCHEME)
    if not (seed.isascii() and seed.isdigit()) or len(seed) > 9:
        raise ConfigError(f"{os.fspath(source)}: expected {SCHEME} and a whole number, the seed")
    if microns_per_pixel != REFERENCE_MPP:
        raise ConfigError(f"{os.fspath(source)}: {microns_per_pixel:g} um/px; the phantom has {REFERENCE_MPP:g} um/px")
    size = Size(SIDE, SIDE)
    return Phantom(size, int(seed)).histology(size.region)
