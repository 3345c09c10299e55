"""Nuclei of the phantom: positions, shapes, and their rendering as a chromatin map."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from confostain.geometry import Region
from confostain.simulation.phantom.anatomy import CORNEUM_DEPTH, GRANULAR_DEPTH, STEP, Anatomy
from confostain.simulation.phantom.lattice import Canvas, Floats, uniform

REACH = 15  # px: no part of a nucleus is farther from its centre
DENSE, LOOSE = 9, 15  # px between neighbours in crowded and in ordinary tissue
_BASAL_ROW = (2.5, 10.0)  # px above the basement membrane between which basal nuclei have their centres
_PALISADE = 9.0  # px from the rim of a nest within which tumour cells stand in line


class Cell(IntEnum):
    """Cell type of a nucleus."""

    BASAL = 0
    SPINOUS = 1
    GRANULAR = 2
    FIBROBLAST = 3
    LYMPHOCYTE = 4
    SEBOCYTE = 5
    TUMOUR = 6


class _Appearance(NamedTuple):
    """Size, shape and chromatin of the nuclei of one cell type."""

    long: float  # semi-axis, px
    short: float  # semi-axis, px
    variation: float  # range of both axes, share
    chromatin: float  # density of the darkest, 0 to 1
    fading: float  # share of it that the palest ones lack
    pallor: float  # share of it missing in the middle: vesicular nuclei
    deviation: float  # range of the long axis around its preferred direction, radians


_APPEARANCES = {
    Cell.BASAL: _Appearance(5.6, 3.4, 0.5, 0.95, 0.25, 0.2, 0.6),
    Cell.SPINOUS: _Appearance(5.9, 4.5, 0.5, 0.8, 0.3, 0.5, 3.1),
    Cell.GRANULAR: _Appearance(6.2, 2.5, 0.5, 0.8, 0.3, 0.1, 0.5),
    Cell.FIBROBLAST: _Appearance(8.5, 1.9, 0.95, 0.9, 0.5, 0.0, 0.7),
    Cell.LYMPHOCYTE: _Appearance(3.9, 3.5, 0.3, 1.0, 0.2, 0.05, 3.1),
    Cell.SEBOCYTE: _Appearance(3.3, 2.9, 0.4, 0.75, 0.3, 0.2, 3.1),
    Cell.TUMOUR: _Appearance(4.9, 3.1, 0.6, 1.0, 0.45, 0.25, 0.4),
}
_APPEARANCE_TABLE = np.array([_APPEARANCES[cell] for cell in Cell], np.float32)


@dataclass(frozen=True)
class Nuclei:
    """Nuclei in level-0 pixels: pixel (0, 0) covers [0, 1) x [0, 1)."""

    level0_xy: npt.NDArray[np.float64]  # (n, 2) centres
    semi_axes: Floats  # (n, 2) long, short, px
    angle: Floats  # (n,) direction of the long axis, radians, x towards y
    bend: Floats  # (n,) sideways shift of the tips, px
    egg: Floats  # (n,) how much wider one end is than the middle, share
    chromatin: Floats  # (n,) density, 0 to 1
    pallor: Floats  # (n,) share of the chromatin missing in the middle
    kind: npt.NDArray[np.uint8]  # (n,) `Cell`

    def __len__(self) -> int:
        """Return the number of nuclei."""
        return len(self.kind)

    def subset(self, chosen: npt.NDArray[np.bool_]) -> Nuclei:
        """Nuclei at which the mask (n,) is true."""
        return Nuclei(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def within(self, region: Region) -> Nuclei:
        """Nuclei whose centres lie in `region`, level-0 pixels."""
        x, y = self.level0_xy.T
        return self.subset((x >= region.x) & (x < region.right) & (y >= region.y) & (y < region.bottom))

    def outlines(self, points: int = 24) -> npt.NDArray[np.float64]:
        """Outline polygons in level-0 x, y: float64 (n, points, 2)."""
        turn = np.linspace(0, 2 * np.pi, points, endpoint=False)
        along = self.semi_axes[:, :1] * np.cos(turn)
        across = self.semi_axes[:, 1:] * np.sin(turn) * (1 + self.egg[:, None] * np.cos(turn))
        across += self.bend[:, None] * np.cos(turn) ** 2
        c, s = np.cos(self.angle)[:, None], np.sin(self.angle)[:, None]
        outline = np.stack([along * c - across * s, along * s + across * c], -1)
        return np.asarray(self.level0_xy[:, None, :] + outline, np.float64)


def joined(parts: list[Nuclei]) -> Nuclei:
    """Nuclei of several sets in one set."""
    return Nuclei(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Nuclei)))


def no_nuclei() -> Nuclei:
    """Empty set of nuclei."""
    none = np.zeros(0, np.float32)
    pairs = np.zeros((0, 2))
    return Nuclei(pairs, pairs.astype(np.float32), none, none, none, none, none, np.zeros(0, np.uint8))


def nuclei(parts: Anatomy, canvas: Canvas) -> Nuclei:
    """Nuclei whose centres lie within `REACH` px of `canvas`, which lies well within the anatomy."""
    return joined([_population(parts, canvas, pitch) for pitch in (DENSE, LOOSE)])


Sample = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


def _population(parts: Anatomy, canvas: Canvas, pitch: int) -> Nuclei:
    """Nuclei on one of the two jittered hexagonal lattices: that of dense tissue, or the other."""
    layer = f"nuclei/{pitch}"
    x, y = canvas.scattered(layer, pitch, REACH)
    last = parts.surface.shape[0] - 1
    row, column = (
        np.clip(np.rint((centre - start) / STEP).astype(np.int64), 0, last)
        for centre, start in ((y, parts.canvas.y), (x, parts.canvas.x))
    )
    kind, chance = _cell_types(parts, (row, column), pitch == DENSE)
    chosen = uniform(canvas.words(f"{layer}/presence", pitch, REACH)) < chance
    long, short, turn, bend, dark = (
        uniform(canvas.words(f"{layer}/{name}", pitch, REACH))[chosen]
        for name in ("long", "short", "turn", "bend", "dark")
    )
    at, kind = (row[chosen], column[chosen]), kind[chosen]
    typical = dict(zip(_Appearance._fields, _APPEARANCE_TABLE[kind].T, strict=True))
    axes = np.stack(
        [
            typical["long"] * (1 + typical["variation"] * (long - 0.5)),
            typical["short"] * (1 + typical["variation"] * (short - 0.5)),
        ],
        -1,
    )
    in_line = (kind != Cell.TUMOUR) | (parts.tumour[at] < _PALISADE)
    return Nuclei(
        level0_xy=np.stack([x[chosen], y[chosen]], -1),
        semi_axes=axes,
        angle=_preferred_angle(parts, at, kind)
        + (turn - np.float32(0.5)) * np.where(in_line, typical["deviation"], np.float32(np.pi)),
        bend=np.float32(0.35) * (bend - np.float32(0.5)) * axes[:, 0],
        egg=(long - np.float32(0.5)) * np.float32(0.5),
        chromatin=typical["chromatin"] * (1 - typical["fading"] * dark),
        pallor=np.asarray(typical["pallor"]),
        kind=kind.astype(np.uint8),
    )


def _cell_types(parts: Anatomy, at: Sample, dense: bool) -> tuple[npt.NDArray[np.int64], Floats]:
    """Cell type at each sample and the probability that a cell is there, for one of the two lattices."""
    height, depth, foam, cuff = parts.epithelium[at], parts.surface[at], parts.foam[at], parts.cuff[at]
    life = parts.canvas.noise("nuclei/life", 64, STEP)[at]
    papillary = np.exp(np.minimum(parts.epidermis[at], 0) / 100)
    fibroblasts: Floats = np.clip(0.10 + 0.05 * life + 0.2 * papillary, 0.03, 0.4)
    empty = np.maximum(np.maximum(parts.lumen[at] + 4, parts.keratin[at] + 3), parts.fat[at] + 1.5) > 0
    sure: Floats = np.ones_like(height)
    never: Floats = np.zeros_like(height)
    rules: list[tuple[npt.NDArray[np.bool_], Cell, Floats, Floats]] = [  # where, type, probability if dense, if loose
        (empty | (parts.tissue[at] < 3), Cell.FIBROBLAST, never, never),
        (foam > 6, Cell.SEBOCYTE, never, 0.55 * sure),
        (foam > 0, Cell.BASAL, 0.5 * sure, never),
        (parts.tumour[at] > 0, Cell.TUMOUR, 0.93 * sure, never),
        ((height > 0) & (depth < CORNEUM_DEPTH), Cell.GRANULAR, never, never),
        ((height > 0) & (depth < GRANULAR_DEPTH), Cell.GRANULAR, never, 0.75 * sure),
        (height >= _BASAL_ROW[1], Cell.SPINOUS, never, 0.95 * sure),
        (height > _BASAL_ROW[0], Cell.BASAL, 0.9 * sure, never),
        (height > 0, Cell.BASAL, never, never),
        (cuff > 0.05, Cell.LYMPHOCYTE, 0.9 * cuff, never),
        (sure > 0, Cell.FIBROBLAST, never, fibroblasts),
    ]
    where = [rule[0] for rule in rules]
    kind = np.select(where, [np.full(height.shape, int(rule[1])) for rule in rules])
    return kind, np.select(where, [rule[2] if dense else rule[3] for rule in rules])


def _preferred_angle(parts: Anatomy, at: Sample, kind: npt.NDArray[np.int64]) -> Floats:
    """Preferred direction of the long axis, radians: across the basement membrane, along the surface or the fibres."""
    down, across = _slope(np.where(parts.foam > -8, parts.foam, parts.epithelium), at)
    upright = np.arctan2(down, across)
    down, across = _slope(parts.surface, at)
    flat = np.arctan2(-across, down)
    stands = (kind == Cell.BASAL) | (kind == Cell.TUMOUR)
    return np.where(stands, upright, np.where(kind == Cell.GRANULAR, flat, parts.angle[at]))


def _slope(field: Floats, at: Sample) -> tuple[Floats, Floats]:
    """Slope of a field, down and across, at samples that are not on its border."""
    row, column = (np.clip(index, 1, field.shape[0] - 2) for index in at)
    return field[row + 1, column] - field[row - 1, column], field[row, column + 1] - field[row, column - 1]


def stamped(cells: Nuclei, canvas: Canvas) -> Floats:
    """Chromatin map, float32 (side, side) in [0, 1]; where nuclei overlap, the denser one is visible."""
    wide = canvas.grown(REACH + 1)
    picture = np.zeros(wide.side * wide.side, np.float32)
    extent = np.hypot(cells.semi_axes[:, 0], cells.bend) + 1
    smaller = 0
    for half in (5, 7, 10, REACH):  # squares no larger than needed: this takes most of the time
        group = cells.subset((extent > smaller) & (extent <= (np.inf if half == REACH else half)))
        if len(group):
            _stamp(group, half, wide, picture)
        smaller = half
    inner = slice(REACH + 1, -REACH - 1)
    return picture.reshape(wide.side, wide.side)[inner, inner]


def _stamp(cells: Nuclei, half: int, canvas: Canvas, picture: Floats) -> None:
    """Draw nuclei into the flattened `picture`, each in a square of 2 * half + 1 px."""
    home = np.floor(cells.level0_xy).astype(np.int64)
    place = home - (canvas.x, canvas.y)
    seen = np.all((place >= half) & (place < canvas.side - half), axis=1)
    cells, home, place = cells.subset(seen), home[seen], place[seen]
    offset = np.arange(-half, half + 1)
    part = (cells.level0_xy - home - 0.5).astype(np.float32)  # pixel centres lie at one half
    x = (offset - part[:, :1]).astype(np.float32)[:, None, :]
    y = (offset - part[:, 1:]).astype(np.float32)[:, :, None]
    value = _chromatin(cells, x, y)
    index = (place[:, 1, None, None] + offset[:, None]) * canvas.side + place[:, 0, None, None] + offset
    shown = value > 0
    np.maximum.at(picture, index[shown], value[shown])


def _chromatin(cells: Nuclei, x: Floats, y: Floats) -> Floats:
    """Chromatin (n, rows, columns) of each nucleus at offsets x (n, 1, columns), y (n, rows, 1) from its centre."""
    c, s = np.cos(cells.angle)[:, None, None], np.sin(cells.angle)[:, None, None]
    long, short = cells.semi_axes[:, 0, None, None], cells.semi_axes[:, 1, None, None]
    along = (x * c + y * s) / long
    across = (y * c - x * s - cells.bend[:, None, None] * along * along) / short
    across /= np.maximum(1 + cells.egg[:, None, None] * along, np.float32(0.3))
    radius = along * along + across * across
    density = cells.chromatin[:, None, None] * (1 - cells.pallor[:, None, None] * np.maximum(1 - radius, 0))
    edge = np.clip((1 - np.sqrt(radius)) * short * np.float32(0.9) + np.float32(0.5), 0, 1)  # one px wide
    return np.asarray(density * edge, np.float32)
