"""The phantom's nuclei: where they are, what they look like, and how they are stamped into a picture."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from confostain.imaging.lattice import Canvas, Floats, uniform
from confostain.imaging.phantom_anatomy import CORNEUM_DEPTH, GRANULAR_DEPTH, STEP, Anatomy


class Cell(IntEnum):
    """What a nucleus belongs to."""

    BASAL = 0
    SPINOUS = 1
    GRANULAR = 2
    FIBROBLAST = 3
    LYMPHOCYTE = 4
    SEBOCYTE = 5
    TUMOUR = 6


# long semi-axis px, short semi-axis px, chromatin (0 to 1), share of the chromatin missing in the middle
_LOOKS = np.array(
    [
        (5.6, 3.4, 0.95, 0.20),
        (5.9, 4.5, 0.80, 0.50),
        (6.2, 2.5, 0.80, 0.10),
        (8.5, 1.9, 0.90, 0.00),
        (3.9, 3.5, 1.00, 0.05),
        (3.3, 2.9, 0.75, 0.20),
        (5.6, 3.6, 1.00, 0.20),
    ],
    np.float32,
)

REACH = 15  # px: no part of a nucleus is farther from its centre
DENSE, LOOSE = 9, 15  # px between neighbours in crowded and in ordinary tissue


@dataclass(frozen=True)
class Nuclei:
    """Nuclei in level-0 pixels: pixel (0, 0) covers [0, 1) x [0, 1)."""

    level0_xy: npt.NDArray[np.float64]  # (n, 2) centres
    semi_axes: Floats  # (n, 2) long, short, px
    angle: Floats  # (n,) direction of the long axis, radians, x towards y
    bend: Floats  # (n,) sideways shift of the tips, px
    egg: Floats  # (n,) how much wider one end is than the other, share
    chromatin: Floats  # (n,) density, 0 to 1
    pallor: Floats  # (n,) share of the chromatin missing in the middle
    kind: npt.NDArray[np.uint8]  # (n,) `Cell`

    def __len__(self) -> int:
        return len(self.kind)

    def subset(self, chosen: npt.NDArray[np.bool_]) -> Nuclei:
        """Return the nuclei at which the mask (n,) is true."""
        return Nuclei(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def outlines(self, points: int = 24) -> npt.NDArray[np.float64]:
        """Return (n, points, 2) outline polygons, level-0 x, y."""
        turn = np.linspace(0, 2 * np.pi, points, endpoint=False)
        along = self.semi_axes[:, :1] * np.cos(turn)
        across = self.semi_axes[:, 1:] * np.sin(turn) * (1 + self.egg[:, None] * np.cos(turn))
        across += self.bend[:, None] * np.cos(turn) ** 2
        c, s = np.cos(self.angle)[:, None], np.sin(self.angle)[:, None]
        return self.level0_xy[:, None, :] + np.stack([along * c - across * s, along * s + across * c], -1)


def joined(parts: list[Nuclei]) -> Nuclei:
    """Return all nuclei of several lists as one."""
    return Nuclei(*(np.concatenate([getattr(part, name) for part in parts]) for name in Nuclei.__dataclass_fields__))


def no_nuclei() -> Nuclei:
    """Return an empty list of nuclei."""
    none = np.zeros(0, np.float32)
    return Nuclei(np.zeros((0, 2)), np.zeros((0, 2), np.float32), none, none, none, none, none, np.zeros(0, np.uint8))


def nuclei(parts: Anatomy, canvas: Canvas) -> Nuclei:
    """Return the nuclei whose centres lie within `REACH` px of `canvas`, which lies well within the anatomy."""
    return joined([_population(parts, canvas, pitch) for pitch in (DENSE, LOOSE)])


def _population(parts: Anatomy, canvas: Canvas, pitch: int) -> Nuclei:
    """Return the nuclei of one jittered hexagonal lattice: the crowded tissues', or the others'."""
    layer = f"nuclei/{pitch}"
    x, y = canvas.scattered(layer, pitch, REACH)
    draw = [uniform(canvas.words(f"{layer}/{name}", pitch, REACH)) for name in _DRAWS]
    sample = (
        np.clip(((y - parts.canvas.y) / STEP + 0.5).astype(np.int64), 0, parts.surface.shape[0] - 1),
        np.clip(((x - parts.canvas.x) / STEP + 0.5).astype(np.int64), 0, parts.surface.shape[1] - 1),
    )
    kind, chance = _residents(parts, sample, pitch == DENSE)
    chosen = draw[0] < chance
    kind, (_, long, short, turn, bend, dark) = kind[chosen], [d[chosen] for d in draw]
    look = _LOOKS[kind]
    axes = look[:, :2] * (1 + (np.stack([long, short], -1) - 0.5) * _VARIETY[kind][:, None])
    angle = _angles(parts, (sample[0][chosen], sample[1][chosen]), kind) + (turn - 0.5) * _WANDER[kind]
    return Nuclei(
        np.stack([x[chosen], y[chosen]], -1),
        axes,
        angle.astype(np.float32),
        (bend - 0.5) * axes[:, 0] * np.float32(0.35),
        (long - 0.5) * np.float32(0.5),
        look[:, 2] * (1 - _FAINT[kind] * dark),
        look[:, 3],
        kind.astype(np.uint8),
    )


_DRAWS = ("presence", "length", "width", "turn", "bend", "chromatin")
_WANDER = np.array([0.7, 3.0, 0.5, 0.7, 3.1, 3.1, 1.2], np.float32)  # radians, by kind of cell

_VARIETY = np.array([0.5, 0.5, 0.5, 0.95, 0.3, 0.4, 0.6], np.float32)  # spread of the axes, share, by kind
_FAINT = np.array([0.25, 0.3, 0.3, 0.5, 0.2, 0.3, 0.3], np.float32)  # chromatin that the palest lack, by kind

Sample = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


def _residents(parts: Anatomy, at: Sample, dense: bool) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return the kind of cell at each sample and the chance that one is there, for one of the two lattices."""
    epithelium, depth, foam = parts.epithelium[at], parts.surface[at], parts.foam[at]
    basal, tumour = (epithelium < 10), parts.tumour[at] > 0
    cuff = parts.cuff[at]
    life = parts.canvas.noise("nuclei/life", 64, STEP)[at]
    fibroblasts = np.clip(0.10 + 0.05 * life + 0.2 * np.exp(-np.maximum(-epithelium, 0) / 100), 0.03, 0.4)
    closed = (
        (np.minimum(depth, parts.margin[at]) < 3)
        | (parts.lumen[at] > -4)
        | (parts.keratin[at] > -3)
        | (parts.fat[at] > -1.5)
    )
    rules = [  # condition, kind, chance on the dense lattice, chance on the loose lattice
        (closed, Cell.FIBROBLAST, 0.0, 0.0),
        (foam > 6, Cell.SEBOCYTE, 0.0, 0.55),
        (foam > 0, Cell.BASAL, 0.5, 0.0),
        (tumour, Cell.TUMOUR, 0.93, 0.0),
        ((epithelium > 0) & (depth < CORNEUM_DEPTH), Cell.GRANULAR, 0.0, 0.0),
        ((epithelium > 0) & (depth < GRANULAR_DEPTH), Cell.GRANULAR, 0.0, 0.75),
        ((epithelium > 2.5) & basal, Cell.BASAL, 0.9, 0.0),
        (epithelium >= 10, Cell.SPINOUS, 0.0, 0.95),
        (epithelium > 0, Cell.BASAL, 0.0, 0.0),
        (cuff > 0.05, Cell.LYMPHOCYTE, 0.9 * cuff, 0.0),
        (cuff <= 0.05, Cell.FIBROBLAST, 0.0, fibroblasts),
    ]
    conditions = [rule[0] for rule in rules]
    kind = np.select(conditions, [int(rule[1]) for rule in rules], 0)
    chance = np.select(conditions, [rule[2] if dense else rule[3] for rule in rules], 0.0)
    return kind, chance.astype(np.float32)


def _angles(parts: Anatomy, at: Sample, kind: npt.NDArray[np.int64]) -> Floats:
    """Return the long axis: across the basement membrane, along the surface, or along the fibres."""
    down, across = np.gradient(np.where(parts.foam > -8, parts.foam, parts.epithelium))
    outward = np.arctan2(down[at], across[at])
    down, across = np.gradient(parts.surface)
    along = np.arctan2(-across[at], down[at])
    upright = (kind == Cell.BASAL) | (kind == Cell.TUMOUR)
    return np.where(upright, outward, np.where(kind == Cell.GRANULAR, along, parts.angle[at])).astype(np.float32)


def stamped(cells: Nuclei, canvas: Canvas) -> Floats:
    """Return chromatin (side, side) in 0 to 1; where nuclei overlap, the denser one shows."""
    wide = canvas.grown(REACH + 1)
    picture = np.zeros(wide.side * wide.side, np.float32)
    extent = np.hypot(cells.semi_axes[:, 0], np.abs(cells.bend)) + 1
    for low, half in ((0, 5), (5, 7), (7, 10), (10, REACH)):
        group = cells.subset((extent > low) & (extent <= half if half < REACH else extent > low))
        if len(group):
            _stamp(group, half, wide, picture)
    inner = slice(REACH + 1, -REACH - 1)
    return picture.reshape(wide.side, wide.side)[inner, inner]


def _stamp(cells: Nuclei, half: int, canvas: Canvas, picture: Floats) -> None:
    """Stamp nuclei, each in a square of 2 * half + 1 px."""
    left_top = np.floor(cells.level0_xy).astype(np.int64) - (canvas.x, canvas.y)
    keep = np.all((left_top >= half) & (left_top < canvas.side - half), axis=1)
    cells, left_top = cells.subset(keep), left_top[keep]
    offset = np.arange(-half, half + 1)
    part = (cells.level0_xy - np.floor(cells.level0_xy) - 0.5).astype(np.float32)
    x = (offset[None, :] - part[:, :1])[:, None, :]
    y = (offset[None, :] - part[:, 1:])[:, :, None]
    c, s = np.cos(cells.angle)[:, None, None], np.sin(cells.angle)[:, None, None]
    long, short = cells.semi_axes[:, 0, None, None], cells.semi_axes[:, 1, None, None]
    along = (x * c + y * s) / long
    across = (y * c - x * s - cells.bend[:, None, None] * along * along) / short
    across /= np.maximum(1 + cells.egg[:, None, None] * along, np.float32(0.3))
    radius = along * along + across * across
    value = 1 - cells.pallor[:, None, None] * np.maximum(1 - radius, 0)
    value *= cells.chromatin[:, None, None]
    value *= np.clip((1 - np.sqrt(radius)) * short * np.float32(0.9) + np.float32(0.5), 0, 1)
    index = (left_top[:, 1, None, None] + offset[None, :, None]) * canvas.side
    index = index + left_top[:, 0, None, None] + offset[None, None, :]
    shown = value > 0
    np.maximum.at(picture, index[shown], value[shown])
