"""Structures in the phantom's dermis: hair follicles, glands, vessels, fat, and one basal cell carcinoma.

Each cell of a jittered lattice may contain one of them: a signed distance that is united with the anatomy within
`REACH` px of its centre, and fibres around it that run along its outline.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from confostain.geometry import Size
from confostain.simulation.phantom.anatomy import FAR, STEP, Anatomy, along_surface, slide_draws
from confostain.simulation.phantom.lattice import Floats, hashed, uniform

REACH = 150  # px around its centre: no structure, with the fibres that it diverts, extends beyond
_PITCH = 330  # px (250 um) between neighbouring structures
_SHARES = {"follicle": 0.16, "sebaceous": 0.14, "eccrine": 0.14, "vessel": 0.3}  # the other places are empty
_MIN_DEPTH = 110.0  # px below the surface; the centres lie deeper
_HAIR_PITCH = 620  # px along the surface between hairs cut lengthwise
_HAIR_SHARE = 0.45  # share of those places with a hair
_FAT_PITCH = 58  # px (43 um) between fat cells

Window = tuple[slice, slice]


def add_organs(parts: Anatomy, size: Size) -> None:
    """Add hairs, the structures of the lattice and fat to the skin of a slide of `size`, in place."""
    _hairs(parts)
    cells_x, cells_y = (parts.canvas.cells(start, _PITCH, REACH) for start in (parts.canvas.x, parts.canvas.y))
    for row in cells_y:
        for column in cells_x:
            place = _Place(parts, int(column), int(row))
            if place.is_seen:
                _STRUCTURES[place.kind(size)](place)
    _fat(parts)


class _Place:
    """One lattice cell: centre of its structure, random numbers, and its window of the anatomy."""

    def __init__(self, parts: Anatomy, column: int, row: int) -> None:
        self.parts, self.column, self.row = parts, column, row
        canvas, count = parts.canvas, parts.surface.shape[0]
        jitter_x, jitter_y = self.draws("centre", 2)
        self.x, self.y = (column + 0.2 + 0.6 * jitter_x) * _PITCH, (row + 0.2 + 0.6 * jitter_y) * _PITCH
        spans = [
            slice(*(min(max(int((centre - start + reach) // STEP), 0), count) for reach in (-REACH, REACH)))
            for centre, start in ((self.y, canvas.y), (self.x, canvas.x))
        ]
        self.window: Window = (spans[0], spans[1])
        x, y = canvas.coordinates(STEP)
        self.dx, self.dy = x[:, spans[1]] - np.float32(self.x), y[spans[0]] - np.float32(self.y)

    @property
    def is_seen(self) -> bool:
        """Whether the window holds the two samples in each direction that a slope needs."""
        return min(self.dx.size, self.dy.size) >= 2

    def draws(self, layer: str, count: int) -> list[float]:
        """Random numbers in [0, 1) that belong to this place: `count` of them."""
        columns = self.column * count + np.arange(count)
        words = hashed(self.parts.canvas.seed, f"organ/{layer}/{count}", columns, np.array([self.row]))
        numbers: list[float] = uniform(words)[0].tolist()
        return numbers

    def kind(self, size: Size) -> str:
        """Structure at this place: tumour in one part of the slide, drawn at random elsewhere."""
        across, down = slide_draws(self.parts.canvas.seed, "tumour", 2)
        away = np.hypot(self.x - (0.3 + 0.4 * across) * size.width, self.y - (0.42 + 0.1 * down) * size.height)
        if away < 0.12 * min(size.width, size.height) + 60:
            return "tumour"
        (lot,) = self.draws("kind", 1)
        for kind, share in _SHARES.items():
            if lot < share:
                return kind
            lot -= share
        return "nothing"

    def noise(self, layer: str, spacing: int) -> Floats:
        """Smooth noise over the window."""
        return self.parts.canvas.noise(f"organ/{layer}", spacing, STEP)[self.window]

    def ellipse(self, radius: float, ratio: float, angle: float) -> Floats:
        """Approximate signed distance to an ellipse with long semi-axis `radius`."""
        c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        long, short = self.dx * c + self.dy * s, (self.dy * c - self.dx * s) / np.float32(ratio)
        return (np.float32(radius) - np.hypot(long, short)) * np.float32(ratio**0.5)

    def lobes(self, layer: str, count: int, radius: float, spread: float) -> Floats:
        """Signed distance to `count` discs of about `radius` px on a ring of `spread` px, with thin septa between."""
        nearest = np.full((self.dy.size, self.dx.size), FAR)
        second = nearest
        turn, *draws = self.draws(layer, 1 + 2 * count)
        for i, (far, size) in enumerate(zip(draws[::2], draws[1::2], strict=True)):
            angle, away = 2 * np.pi * (turn + i / count), spread * (0.6 + 0.4 * far)
            x, y = np.float32(away * np.cos(angle)), np.float32(away * np.sin(angle))
            disc = np.float32(radius * (0.75 + 0.5 * size)) - np.hypot(self.dx - x, self.dy - y)
            second = np.maximum(second, np.minimum(disc, nearest))
            nearest = np.maximum(nearest, disc)
        return np.minimum(nearest, (nearest - second) / 2 - np.float32(1.5))

    def fitted(self, shape: Floats, gap: float, fibre_reach: float) -> Floats:
        """Shape kept `gap` px away from existing structures; fibres within `fibre_reach` px are turned along it."""
        taken = np.maximum(self.parts.epithelium[self.window], self.parts.foam[self.window])
        below = self.dy * np.float32(np.cos(self.parts.tilt)) - self.dx * np.float32(np.sin(self.parts.tilt))
        shallow = np.maximum(np.float32(_MIN_DEPTH) - (self.parts.surface[self.window] - below), 0)
        shape = np.minimum(shape - 6 * shallow, -taken - np.float32(gap))  # too near the surface it vanishes
        down, across = np.gradient(shape)
        rotation = np.arctan2(-across, down) - self.parts.angle[self.window]
        rotation -= np.pi * np.round(rotation / np.pi)  # a fibre has no orientation, only a direction
        weight = np.clip(1 + shape / np.float32(fibre_reach), 0, 1)
        self.parts.angle[self.window] += weight * rotation
        return shape

    def add(self, field: Floats, shape: Floats) -> None:
        """Unite a shape with a field of the anatomy."""
        field[self.window] = np.maximum(field[self.window], shape)


def _follicle(place: _Place) -> None:
    """Hair follicle in cross-section: outer sheath, canal, hair."""
    size, flatness, angle = place.draws("follicle", 3)
    radius, ratio = 48 + 42 * size, 0.6 + 0.4 * flatness
    outline = place.ellipse(radius, ratio, np.pi * angle) + np.float32(2.5) * place.noise("wobble", 32)
    shape = place.fitted(outline, 12, 40)
    place.add(place.parts.epithelium, shape)
    canal = shape - np.float32(0.62 * radius * ratio**0.5)
    place.add(place.parts.lumen, canal)
    place.add(place.parts.keratin, canal - 3)


def _sebaceous(place: _Place) -> None:
    """Sebaceous gland: lobules of cells full of fat droplets."""
    count = 3 + int(3 * place.draws("sebaceous", 1)[0])
    lobules = place.lobes("lobule", count, 42, 58) + 3 * place.noise("wobble", 32)
    place.add(place.parts.foam, place.fitted(lobules, 10, 30))


def _eccrine(place: _Place) -> None:
    """Eccrine gland: a coil of sweat ducts in many cross-sections."""
    count = 4 + int(4 * place.draws("eccrine", 1)[0])
    outer, inner = place.lobes("coil", count, 19, 54), place.lobes("inner", 3, 18, 22)
    coil = np.minimum(np.maximum(outer, inner), np.abs(outer - inner) / 2 - np.float32(1.5))
    shape = place.fitted(coil + 2 * place.noise("wobble", 32), 12, 16)
    place.add(place.parts.epithelium, shape)
    place.add(place.parts.lumen, shape - 13)


def _vessel(place: _Place) -> None:
    """Small vessel, mostly with a cuff of lymphocytes."""
    size, flatness, angle, crowd = place.draws("vessel", 4)
    shape = place.fitted(place.ellipse(8 + 17 * size**2, 0.35 + 0.6 * flatness, np.pi * angle), 20, 24)
    place.add(place.parts.lumen, shape)
    place.add(place.parts.blood, shape - 2)
    reach = np.float32(25 + 65 * crowd**2) + 10 * place.noise("cuff", 24)
    density = np.float32(min(1.0, 0.3 + crowd)) * np.clip((shape + reach) / 24, 0, 1)
    place.add(place.parts.cuff, np.where(shape < -3, density, 0))


def _tumour(place: _Place) -> None:
    """Nests of basal cell carcinoma, with retraction clefts around them."""
    count = 2 + int(4 * place.draws("tumour", 1)[0])
    shape = place.fitted(place.lobes("nest", count, 42, 52) + 8 * place.noise("nest", 32), 14, 20)
    place.add(place.parts.epithelium, shape)
    place.add(place.parts.tumour, shape)
    cleft = np.float32(1.2) - np.abs(shape + np.float32(4.5)) + 3 * place.noise("retraction", 32)
    place.add(place.parts.lumen, np.minimum(cleft, -shape - 1))


def _nothing(place: _Place) -> None:
    """Empty place: plain dermis."""


_STRUCTURES: dict[str, Callable[[_Place], None]] = {
    "follicle": _follicle,
    "sebaceous": _sebaceous,
    "eccrine": _eccrine,
    "vessel": _vessel,
    "tumour": _tumour,
    "nothing": _nothing,
}


def _hairs(parts: Anatomy) -> None:
    """Add hair follicles in longitudinal section: tubes that slant down from the surface, with a hair in a canal."""
    canvas, depth = parts.canvas, parts.surface
    along = along_surface(canvas, parts.tilt)
    place = np.floor(along / _HAIR_PITCH).astype(np.int64)
    first = int(place.min())
    words = hashed(canvas.seed, "hair", np.arange(first, int(place.max()) + 1), np.arange(4))
    presence, slant, bow, reach = uniform(words)[:, place - first]
    middle = ((place + 0.44 + 0.12 * bow) * _HAIR_PITCH).astype(np.float32)
    lean, length = (slant - np.float32(0.5)) * np.float32(0.7), 180 + 420 * reach
    aside = (along - middle - lean * depth + 10 * np.sin(depth / 70 + 6 * bow)) * np.cos(lean)
    away = np.hypot(aside, np.maximum(depth - length, 0))
    away += np.where(presence < _HAIR_SHARE, np.float32(0), -FAR)
    mouth = 14 * np.exp(-np.maximum(depth, 0) / 30)
    bulb = 9 * np.exp(-np.square((depth - length) / 40))
    sheath = 31 + mouth + bulb + 6 * canvas.noise("hair/girth", 48, STEP) - away
    canal = 8 + 0.8 * mouth - 10 * np.clip((depth - length + 90) / 60, 0, 2) - away
    shaft = 5.5 - 5 * np.clip((depth - length + 60) / 60, 0, 2) - away
    open_above = depth + 6 - 8 * canvas.noise("hair/mouth", 24, STEP)
    parts.epithelium = np.maximum(parts.epithelium, np.minimum(sheath, depth))
    parts.lumen = np.maximum(parts.lumen, np.minimum(canal, open_above))
    parts.keratin = np.maximum(parts.keratin, np.minimum(shaft, (depth + 30 * slant) / 3))


def _fat(parts: Anatomy) -> None:
    """Add fat cells where there is nothing else: lobules below the dermis, a few within it."""
    cells = parts.canvas.mosaic("fat", _FAT_PITCH, STEP)
    column, row = (
        np.clip(((centre - start) / STEP).astype(np.int64), 0, parts.surface.shape[0] - 1)
        for centre, start in ((cells.x, parts.canvas.x), (cells.y, parts.canvas.y))
    )
    depth = parts.surface[row, column]
    lobule = parts.canvas.noise("fat/lobule", 128, STEP) + 0.5 * parts.canvas.noise("fat/single", 16, STEP)
    full = (lobule[row, column] > 2.3 - 2.6 * np.clip((depth - 900) / 2500, 0, 1)) & (depth > 250)
    wall = np.float32(1.5) * parts.canvas.noise("fat/wall", 24, STEP)
    inside = np.minimum(cells.inside, np.float32(0.48 * _FAT_PITCH) - cells.nearest + wall)
    shape = np.where(full.ravel()[cells.owner], inside, -np.abs(inside)) - np.float32(1.6)
    taken = np.maximum(np.maximum(parts.epithelium, parts.foam), parts.lumen)
    parts.fat = np.minimum(shape, np.minimum(-taken - 6, parts.margin))
