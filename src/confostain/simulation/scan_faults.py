"""What makes a scan differ from clean tissue: bright fibres, light out of focus, steps of a mosaic, bleaching.

Each occurs in some scans only, as strong as drawn at random. Lengths are in pixels of 0.75 um, times the zoom.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from confostain.arrays import Image, Pair
from confostain.simulation.random_fields import random_field

FIBRES, HAZE, MOSAIC = 0.4, 0.4, 0.35  # shares of the scans that have each
PERIOD = 200, 600  # px of 0.75 um between the seams of a mosaic
LARGEST_STEP = 0.12  # of the brightness at a seam


def elastic_fibres(shape: tuple[int, int], zoom: float, rng: np.random.Generator) -> Image:
    """Fluorescence of elastic fibres, float32 (h, w): thin wavy lines, whose crossings are bright spots.

    One or two sheets of straight fibres, each turned by an angle and bent by a smooth random displacement.
    """
    light = np.zeros(shape, np.float32)
    if rng.random() >= FIBRES:
        return light
    for _ in range(int(rng.integers(1, 3))):
        light += _fibre_sheet(shape, zoom, rng)
    return np.asarray(rng.uniform(0.15, 0.6) * light, np.float32)


def _fibre_sheet(shape: tuple[int, int], zoom: float, rng: np.random.Generator) -> Image:
    """Fibres of one direction, float32 (h, w), about 1 where they are bright."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    side = math.ceil(math.hypot(*shape) * 1.2)
    seeds = (rng.random((side, side), dtype=np.float32) < rng.uniform(0.3, 1.5) * 1e-3 / zoom**2).astype(np.float32)
    width, length = zoom * rng.uniform(0.6, 1.2), zoom * rng.uniform(8, 30)
    straight = gaussian_filter(seeds, (width, length), mode="wrap", truncate=2.5) * np.float32(6 * width * length)
    angle, bend = rng.uniform(0, math.pi), zoom * rng.uniform(2, 10)
    wave = np.log(random_field(shape, zoom * rng.uniform(15, 40), 1.0, rng)) * np.float32(bend)
    y, x = np.meshgrid(*(np.arange(length, dtype=np.float32) - length / 2 for length in shape), indexing="ij")
    down, right = math.cos(angle) * y - math.sin(angle) * x, math.sin(angle) * y + math.cos(angle) * x
    places = np.stack([down + wave + side / 2, right + side / 2])
    return np.asarray(map_coordinates(straight, places, order=1, mode="grid-wrap"), np.float32).clip(0, 1.5)


def haze_patches(shape: tuple[int, int], zoom: float, rng: np.random.Generator) -> Image:
    """Light out of focus over wide areas, float32 (h, w), without any detail."""
    if rng.random() >= HAZE:
        return np.zeros(shape, np.float32)
    field = random_field(shape, zoom * rng.uniform(20, 60), 1.0, rng)
    return np.asarray(rng.uniform(0.05, 0.35) * np.clip(field - rng.uniform(0.5, 1.5), 0, 2), np.float32)


def bleached_mosaic(pair: Pair, zoom: float, rng: np.random.Generator) -> Pair:
    """Recording with the brightness steps of a mosaic, float32 (2, h, w): a gain for each tile, and F bleached."""
    if rng.random() >= MOSAIC:
        return pair
    height, width = pair.shape[1:]
    rows, columns = (_tiles(length, zoom, rng) for length in (height, width))
    result = np.empty_like(pair)
    for channel, image in enumerate(pair):
        gains = 1 + rng.uniform(-LARGEST_STEP, LARGEST_STEP, (rows.max() + 1, columns.max() + 1)).astype(np.float32)
        result[channel] = np.clip(image * gains[rows[:, np.newaxis], columns], 0, 1)
    fading = np.linspace(0, rng.uniform(0, 0.25), width, dtype=np.float32)
    result[1] *= 1 - (fading if rng.random() < 0.5 else fading[::-1])
    return result


def _tiles(length: int, zoom: float, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Number of the tile that each pixel of a line lies in."""
    period = zoom * rng.uniform(*PERIOD)
    return (np.arange(length) + rng.uniform(0, period)).astype(np.intp) // math.ceil(period)
