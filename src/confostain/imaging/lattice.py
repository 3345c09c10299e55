"""Randomness that hangs on absolute position: hashes, smooth noise and stroke texture on lattices.

Nothing here has a state. The value at a lattice point follows from (seed, layer, x, y) alone, so two
neighbouring pieces of one picture agree about everything they share, whoever paints them and when.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint32]

_B_SPLINE_GAIN = 3.61  # uniform [-1, 1) values under a 2-D cubic B-spline have a deviation of 1 / 3.61


def _mixed(words: Words) -> Words:
    """Spread every input bit over all 32 (the `lowbias32` finaliser of Wellons' hash prospector); in place."""
    words ^= words >> np.uint32(16)
    words *= np.uint32(0x7FEB352D)
    words ^= words >> np.uint32(15)
    words *= np.uint32(0x846CA68B)
    words ^= words >> np.uint32(16)
    return words


def hashed(seed: int, layer: str, x: npt.NDArray[np.int64], y: npt.NDArray[np.int64]) -> Words:
    """Return uint32 (len(y), len(x)): one random word for each point of the grid spanned by `x` and `y`."""
    key = np.uint32(zlib.crc32(f"{seed}/{layer}".encode()))
    columns = _mixed(x.astype(np.uint32) + key)
    rows = _mixed(y.astype(np.uint32) * np.uint32(0x9E3779B1) + ~key)
    return _mixed(columns[None, :] ^ rows[:, None])


def uniform(words: Words) -> Floats:
    """Map words to float32 in [0, 1)."""
    return (words >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def normal(words: Words) -> Floats:
    """Map words to float32 of mean 0 and deviation 1: the sum of a word's four bytes, within 3.5 deviations."""
    pairs = (words & np.uint32(0x00FF00FF)) + ((words >> np.uint32(8)) & np.uint32(0x00FF00FF))
    total = ((pairs & np.uint32(0xFFFF)) + (pairs >> np.uint32(16))).astype(np.float32)
    total -= np.float32(510.0)
    total *= np.float32((4 * (256**2 - 1) / 12) ** -0.5)
    return total


def _b_spline(t: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
    return [(1 - t) ** 3 / 6, (3 * t**3 - 6 * t**2 + 4) / 6, (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6, t**3 / 6]


def _catmull_rom(t: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
    return [
        (-(t**3) + 2 * t**2 - t) / 2,
        (3 * t**3 - 5 * t**2 + 2) / 2,
        (-3 * t**3 + 4 * t**2 + t) / 2,
        (t**3 - t**2) / 2,
    ]


@lru_cache(maxsize=512)
def _noise_weights(offset: int, spacing: int, step: int, count: int) -> Floats:
    """Return (count, knots): the B-spline weights of the knots at samples offset, offset + step, ..."""
    position = (offset + step * np.arange(count)) / spacing
    knot = np.floor(position).astype(np.int64)
    weights = np.zeros((count, int(knot[-1]) + 4), np.float32)
    for tap, weight in enumerate(_b_spline(position - knot)):
        weights[np.arange(count), knot + tap] = weight
    return weights


@lru_cache(maxsize=64)
def _zoom_weights(coarse: int, factor: int) -> Floats:
    """Return (coarse * factor, coarse): Catmull-Rom interpolation, samples beyond the ends repeated."""
    position = np.arange(coarse * factor) / factor
    knot = np.floor(position).astype(np.int64)
    weights = np.zeros((coarse * factor, coarse), np.float32)
    for tap, weight in enumerate(_catmull_rom(position - knot)):
        column = np.clip(knot + tap - 1, 0, coarse - 1)
        np.add.at(weights, (np.arange(coarse * factor), column), weight.astype(np.float32))
    return weights


def enlarged(field: Floats, factor: int) -> Floats:
    """Interpolate (n, n) to (n * factor, n * factor); sample 0 stays in place, the last `factor` are extrapolated."""
    if factor == 1:
        return field
    weights = _zoom_weights(field.shape[0], factor)
    result: Floats = weights @ field @ weights.T
    return result


@dataclass(frozen=True, slots=True)
class Canvas:
    """A square of the slide to paint on, level-0 pixels, with the seed of the slide.

    Fields are sampled at (x + i * step, y + j * step); `side` must be a multiple of every step used.
    """

    x: int
    y: int
    side: int
    seed: int

    def grown(self, margin: int) -> Canvas:
        """Return the canvas with `margin` more pixels on every side."""
        return Canvas(self.x - margin, self.y - margin, self.side + 2 * margin, self.seed)

    def coordinates(self, step: int) -> tuple[Floats, Floats]:
        """Return x as (1, n) and y as (n, 1), float32, level-0 pixels."""
        steps = np.arange(0, self.side, step)
        return (self.x + steps)[None, :].astype(np.float32), (self.y + steps)[:, None].astype(np.float32)

    def words(self, layer: str, pitch: int = 1, margin: int = 0) -> Words:
        """Return one random word for every cell of `pitch` px that touches the canvas grown by `margin`."""
        return hashed(self.seed, layer, self.cells(self.x, pitch, margin), self.cells(self.y, pitch, margin))

    def cells(self, start: int, pitch: int, margin: int = 0) -> npt.NDArray[np.int64]:
        """Return the indices along one axis of the cells that touch the canvas grown by `margin` px."""
        return np.arange((start - margin) // pitch, (start + self.side + margin - 1) // pitch + 1)

    def noise(self, layer: str, spacing: int, step: int = 1) -> Floats:
        """Return (side / step, side / step) smooth noise, mean 0, deviation about 1, features of `spacing` px."""
        count = self.side // step
        first_x, first_y = self.x // spacing, self.y // spacing
        across = _noise_weights(self.x - first_x * spacing, spacing, step, count)
        down = _noise_weights(self.y - first_y * spacing, spacing, step, count)
        x, y = np.arange(across.shape[1]) + first_x - 1, np.arange(down.shape[1]) + first_y - 1
        knots = (uniform(hashed(self.seed, layer, x, y)) - np.float32(0.5)) * np.float32(2 * _B_SPLINE_GAIN)
        result: Floats = down @ knots @ across.T
        return result

    def strokes(self, layer: str, angle: Floats, angle_step: int, shape: tuple[int, int, int]) -> Floats:
        """Return fibre texture that flows along `angle`, mean 0: noise averaged along the streamlines.

        `angle` is (side / angle_step, side / angle_step) radians; `shape` is (sampling step, width px, doublings):
        each doubling makes the fibres twice as long, starting from one sampling step. This is line integral
        convolution (Cabral and Leedom 1993) in log2(length) passes. Valid but for length px along the border.
        """
        from scipy.ndimage import map_coordinates

        step, width, doublings = shape
        texture = self.noise(layer, width, step)
        move_x, move_y = np.cos(angle) * (step / angle_step), np.sin(angle) * (step / angle_step)
        rows, columns = np.indices(angle.shape, dtype=np.float32)
        fine_rows, fine_columns = np.indices(texture.shape, dtype=np.float32)
        for _ in range(doublings):
            ahead_x = enlarged(move_x, angle_step // step) * np.float32(angle_step / step)
            ahead_y = enlarged(move_y, angle_step // step) * np.float32(angle_step / step)
            ahead = map_coordinates(
                texture, (fine_rows + ahead_y, fine_columns + ahead_x), order=1, mode="nearest"
            )
            texture = (texture + ahead) * np.float32(0.5)
            there = (rows + move_y, columns + move_x)
            move_x, move_y = (
                move_x + map_coordinates(move_x, there, order=1, mode="nearest"),
                move_y + map_coordinates(move_y, there, order=1, mode="nearest"),
            )
        return texture
