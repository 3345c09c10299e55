"""Position-based random numbers: hashes, smooth noise, fibre texture and Voronoi cells on lattices.

There is no state: the value at a lattice point depends only on (seed, layer, x, y), so neighbouring parts of one image
agree on everything they share, in whatever order they are generated.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint32]
Positions = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_B_SPLINE_GAIN = 3.61  # uniform [-1, 1) values under a 2-D cubic B-spline have a standard deviation of 1 / 3.61


def _mixed(words: Words) -> Words:
    """Words with every bit mixed into all 32, in place (the `lowbias32` finaliser of Wellons' hash prospector)."""
    words ^= words >> np.uint32(16)
    words *= np.uint32(0x7FEB352D)
    words ^= words >> np.uint32(15)
    words *= np.uint32(0x846CA68B)
    words ^= words >> np.uint32(16)
    return words


def hashed(seed: int, layer: str, x: Indices, y: Indices) -> Words:
    """Random 32-bit word for each point of the grid spanned by `x` and `y`: uint32 (len(y), len(x))."""
    key = np.uint32(zlib.crc32(f"{seed}/{layer}".encode()))
    columns = _mixed(x.astype(np.uint32) + key)
    rows = _mixed(y.astype(np.uint32) * np.uint32(0x9E3779B1) + ~key)
    return _mixed(columns[None, :] ^ rows[:, None])


def uniform(words: Words) -> Floats:
    """Uniform variable in [0, 1) from each random word: float32."""
    return (words >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def normal(words: Words) -> Floats:
    """Nearly normal variable from each random word, the scaled sum of its bytes: float32, mean 0, deviation 1."""
    pairs = (words & np.uint32(0x00FF00FF)) + ((words >> np.uint32(8)) & np.uint32(0x00FF00FF))
    total = ((pairs & np.uint32(0xFFFF)) + (pairs >> np.uint32(16))).astype(np.float32)
    total -= np.float32(510.0)
    total *= np.float32((4 * (256**2 - 1) / 12) ** -0.5)
    return total


def _b_spline(t: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
    """Weights of the four knots around a position with the fraction `t`."""
    return [(1 - t) ** 3 / 6, (3 * t**3 - 6 * t**2 + 4) / 6, (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6, t**3 / 6]


def _catmull_rom(t: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
    """Weights of the four samples around a position with the fraction `t`."""
    return [
        (-(t**3) + 2 * t**2 - t) / 2,
        (3 * t**3 - 5 * t**2 + 2) / 2,
        (-3 * t**3 + 4 * t**2 + t) / 2,
        (t**3 - t**2) / 2,
    ]


@lru_cache(maxsize=512)
def _noise_weights(offset: int, spacing: int, step: int, count: int) -> Floats:
    """B-spline weights of the knots at samples offset, offset + step, ...: float32 (count, knots)."""
    position = (offset + step * np.arange(count)) / spacing
    knot = np.floor(position).astype(np.int64)
    weights = np.zeros((count, int(knot[-1]) + 4), np.float32)
    for tap, weight in enumerate(_b_spline(position - knot)):
        weights[np.arange(count), knot + tap] = weight
    return weights


@lru_cache(maxsize=64)
def _zoom_weights(samples: int, factor: int) -> Floats:
    """Catmull-Rom weights of a run of samples and its neighbours: float32 (samples + 3, samples * factor)."""
    position = np.arange(samples * factor) / factor
    knot = np.floor(position).astype(np.int64)
    weights = np.zeros((samples + 3, samples * factor), np.float32)
    for tap, weight in enumerate(_catmull_rom(position - knot)):
        weights[knot + tap, np.arange(samples * factor)] = weight
    return weights


@lru_cache(maxsize=64)
def _zoom_runs(count: int) -> Indices:
    """Indices of the samples of each run and of its neighbours, repeated past the ends: (runs, length + 3)."""
    length = next(run for run in (20, 17, 16, 12, 8, 4, 2, 1) if count % run == 0)
    starts = np.arange(0, count, length)[:, None]
    return np.clip(starts + np.arange(-1, length + 2), 0, count - 1)


def _interpolate_rows(field: Floats, factor: int) -> Floats:
    """Field interpolated from (m, n) to (m, n * factor), as matrix products over short runs of samples."""
    runs = _zoom_runs(field.shape[1])
    weights = _zoom_weights(runs.shape[1] - 3, factor)
    wide = field.take(runs.ravel(), axis=1).reshape(-1, runs.shape[1]) @ weights
    return wide.reshape(field.shape[0], -1)


def enlarged(field: Floats, factor: int) -> Floats:
    """Field interpolated from (n, n) to (n * factor, n * factor); sample 0 stays in place, the last one is repeated."""
    if factor == 1:
        return field
    return _interpolate_rows(_interpolate_rows(field.T, factor).T, factor)


@dataclass(frozen=True, slots=True)
class Canvas:
    """Square of the slide, in level-0 pixels, on which fields are generated, with the seed of the slide.

    Fields are sampled at (x + i * step, y + j * step); `side` must be a multiple of every step used.
    """

    x: int
    y: int
    side: int
    seed: int

    def grown(self, margin: int) -> Canvas:
        """Canvas with `margin` more pixels on every side."""
        return Canvas(self.x - margin, self.y - margin, self.side + 2 * margin, self.seed)

    def coordinates(self, step: int) -> tuple[Floats, Floats]:
        """Coordinates x as (1, n) and y as (n, 1), float32, in level-0 pixels."""
        steps = np.arange(0, self.side, step)
        return (self.x + steps)[None, :].astype(np.float32), (self.y + steps)[:, None].astype(np.float32)

    def cells(self, start: int, pitch: int, margin: int = 0) -> Indices:
        """Indices along one axis of the cells of `pitch` px that touch the canvas grown by `margin` px."""
        return np.arange((start - margin) // pitch, (start + self.side + margin - 1) // pitch + 1)

    def words(self, layer: str, pitch: int = 1, margin: int = 0) -> Words:
        """Random word for each cell of `pitch` px that touches the canvas grown by `margin` px."""
        return hashed(self.seed, layer, *(self.cells(start, pitch, margin) for start in (self.x, self.y)))

    def noise(self, layer: str, spacing: int, step: int = 1) -> Floats:
        """Smooth noise with features of `spacing` px, float32 (side / step, side / step), mean 0, deviation about 1."""
        count = self.side // step
        first_x, first_y = self.x // spacing, self.y // spacing
        across = _noise_weights(self.x - first_x * spacing, spacing, step, count)
        down = _noise_weights(self.y - first_y * spacing, spacing, step, count)
        x, y = np.arange(across.shape[1]) + first_x - 1, np.arange(down.shape[1]) + first_y - 1
        knots = (uniform(hashed(self.seed, layer, x, y)) - np.float32(0.5)) * np.float32(2 * _B_SPLINE_GAIN)
        result: Floats = down @ knots @ across.T
        return result

    def strokes(self, layer: str, angle: Floats, angle_step: int, shape: tuple[int, int, int]) -> Floats:
        """Fibre texture along the direction field `angle`, mean 0: noise averaged along the streamlines.

        `angle` is (side / angle_step, side / angle_step) radians; `shape` is (sampling step, width px,
        doublings): each doubling makes the fibres twice as long, starting from one sampling step. This is line
        integral convolution (Cabral and Leedom 1993) in log2(length) passes. Wrong within a length of the border.
        """
        step, width, doublings = shape
        texture = self.noise(layer, width, step)
        side, zoom = texture.shape[0], angle_step // step
        centres = np.arange(side, dtype=np.float32) + np.float32(0.5)
        move_x: Floats = np.cos(angle) * np.float32(1 / zoom)
        move_y: Floats = np.sin(angle) * np.float32(1 / zoom)
        for _ in range(doublings):
            ahead_x = centres[None, :] + enlarged(move_x, zoom) * np.float32(zoom)
            ahead_y = centres[:, None] + enlarged(move_y, zoom) * np.float32(zoom)
            place = np.clip(ahead_y, 0, side - 1).astype(np.int32) * np.int32(side)
            place += np.clip(ahead_x, 0, side - 1).astype(np.int32)
            texture = (texture + texture.ravel().take(place)) * np.float32(0.5)
            move_x, move_y = _twice(move_x, move_y)
        return texture

    def scattered(self, layer: str, pitch: int, margin: int) -> tuple[Positions, Positions]:
        """Level-0 x and y of one jittered point in each cell of a hexagonal lattice: (rows, columns) each."""
        columns, rows = self.cells(self.x, pitch, margin), self.cells(self.y, pitch, margin)
        jitter_x, jitter_y = (uniform(hashed(self.seed, f"{layer}/{axis}", columns, rows)) for axis in "xy")
        x = (columns[None, :] + 0.5 * (rows[:, None] % 2) + 0.1 + 0.7 * jitter_x) * pitch
        return x, (rows[:, None] + 0.1 + 0.7 * jitter_y) * pitch

    def mosaic(self, layer: str, pitch: int, step: int) -> Mosaic:
        """Voronoi cells around the `scattered` points, sampled every `step` px."""
        x, y = self.scattered(layer, pitch, 2 * pitch)
        first_column, first_row = (self.cells(start, pitch, 2 * pitch)[0] for start in (self.x, self.y))
        local_x, local_y = (x - self.x).astype(np.float32).ravel(), (y - self.y).astype(np.float32).ravel()
        at = np.arange(0, self.side, step, dtype=np.float32)
        row = ((self.y + np.arange(0, self.side, step)) // pitch)[:, None]
        shape = (at.size, at.size)
        nearest, second = np.full(shape, np.inf, np.float32), np.full(shape, np.inf, np.float32)
        owner = np.zeros(shape, np.int32)
        for down in (-1, 0, 1):
            shift = pitch * ((row + down) % 2)  # odd rows are shifted by half a cell
            column = (2 * (self.x + np.arange(0, self.side, step))[None, :] - shift) // (2 * pitch)
            place = ((row + down - first_row) * x.shape[1] + column - first_column).astype(np.int32)
            for across in (-1, 0, 1):
                other = place + np.int32(across)
                away_x, away_y = local_x.take(other) - at[None, :], local_y.take(other) - at[:, None]
                distance = away_x * away_x + away_y * away_y
                second = np.minimum(second, np.maximum(distance, nearest))
                np.copyto(owner, other, where=distance < nearest)
                nearest = np.minimum(nearest, distance)
        return Mosaic(x, y, owner, np.sqrt(nearest), np.sqrt(second))


@dataclass(frozen=True, slots=True)
class Mosaic:
    """Voronoi diagram: the cell of every sample, and its distance from the nearest two centres."""

    x: Positions  # level-0 px, of every centre
    y: Positions
    owner: npt.NDArray[np.int32]  # (n, n) index into the flattened centres
    nearest: Floats  # (n, n) px
    second: Floats  # (n, n) px

    @property
    def inside(self) -> Floats:
        """Distance to the nearest cell border in px, exact only near it."""
        return (self.second - self.nearest) * np.float32(0.5)


def _twice(move_x: Floats, move_y: Floats) -> tuple[Floats, Floats]:
    """Displacement field applied twice, in samples."""
    from scipy.ndimage import map_coordinates

    rows, columns = np.indices(move_x.shape, dtype=np.float32)
    there = (rows + move_y, columns + move_x)
    further = (map_coordinates(move, there, order=1, mode="nearest") for move in (move_x, move_y))
    return move_x + next(further), move_y + next(further)
