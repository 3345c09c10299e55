"""What the phantom's tissue is made of, as signed distances on a coarse lattice.

The layout is that of an excision: a piece of skin with a cut margin, a surface with epidermis and keratin along
one side of it, papillary and reticular dermis below, and organs on a jittered lattice in the dermis: hair follicles,
sebaceous and eccrine glands, vessels with lymphocytes, fat, and in one place nests of basal cell carcinoma.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from confostain.geometry import Size
from confostain.imaging.lattice import Canvas, Floats, hashed, uniform

STEP = 4  # px between samples of the anatomy: the finest structure it holds, a duct's lumen, is 8 px wide
ORGAN_PITCH = 330  # px (250 um) between the lattice cells that may hold an organ
ORGAN_REACH = 150  # px: no organ is wider than this around its centre
FAR = np.float32(-1e4)  # signed distance of a structure that is nowhere near

GRANULAR_DEPTH = 24.0  # px below the surface at which the granular layer ends
CORNEUM_DEPTH = 9.0  # px below the surface at which compact keratin ends


@dataclass
class Anatomy:
    """Signed distances in px, positive inside, float32 (n, n) each, one sample every `STEP` px of a canvas."""

    canvas: Canvas
    surface: Floats  # depth below the skin surface
    margin: Floats  # distance inward from the cut margin
    epithelium: Floats  # epidermis, sheaths, ducts and tumour; small values are the basal layer
    tumour: Floats
    foam: Floats  # sebaceous lobules
    keratin: Floats  # hair shafts and horn
    lumen: Floats  # vessels, ducts, clefts: white in a section, black in the microscope
    fat: Floats
    cuff: Floats  # density of lymphocytes, 0 to 1
    angle: Floats  # direction of fibres, radians

    @property
    def tissue(self) -> Floats:
        """Signed distance to the outline of the whole piece."""
        return np.minimum(self.surface, self.margin)


def anatomy(canvas: Canvas, size: Size) -> Anatomy:
    """Lay out everything on `canvas` for a slide of `size`."""
    surface, margin, turn = _outline(canvas, size)
    blank = np.full_like(surface, FAR)
    epidermis = _junction(canvas, surface, turn)
    parts = Anatomy(
        canvas,
        surface,
        margin,
        epidermis,
        *(blank.copy() for _ in range(5)),
        cuff=np.zeros_like(surface),
        angle=_fibre_angle(canvas, surface, turn),
    )
    if parts.tissue.max() > 0:
        for organ in _organs(canvas):
            organ.paint(parts, size)
    return parts


def _draws(seed: int, layer: str, count: int) -> list[float]:
    """Return `count` numbers in [0, 1) that belong to the slide as a whole."""
    return [float(v) for v in uniform(hashed(seed, layer, np.arange(count), np.zeros(1, np.int64)))[0]]


def _outline(canvas: Canvas, size: Size) -> tuple[Floats, Floats, float]:
    """Return the depth below the skin surface, the distance from the cut margin, and the skin's tilt in radians."""
    x, y = canvas.coordinates(STEP)
    draw = _draws(canvas.seed, "outline", 12)
    small, turn = min(size.width, size.height), (draw[0] - 0.5) * 0.7
    dx, dy = x - np.float32(size.width / 2), y - np.float32(size.height / 2)
    ragged = min(1.0, small / 4000)

    polar = np.arctan2(dy / size.height, dx / size.width)
    bumps = sum(0.05 / k**0.5 * np.sin(k * polar + 6.28 * draw[k]) for k in (2, 3, 5, 7))
    half_x, half_y, power = 0.45 * size.width, 0.45 * size.height, 2.8
    reach = ((np.abs(dx) / half_x) ** power + (np.abs(dy) / half_y) ** power) ** (1 / power) + 1e-6
    margin = (1 - 0.06 - reach + bumps) * min(half_x, half_y)
    margin += ragged * (
        70 * canvas.noise("margin/coarse", 256, STEP) + 26 * canvas.noise("margin/fine", 64, STEP)
    )
    margin += 5 * canvas.noise("margin/ragged", 16, STEP)

    along = dx * np.cos(turn) + dy * np.sin(turn)
    across = dy * np.cos(turn) - dx * np.sin(turn)
    wave = sum(0.03 / k * np.sin(k * 3.1 * along / size.width + 6.28 * draw[8 + k]) for k in (1, 2, 3))
    surface = across + np.float32(0.29 * size.height) + wave * small
    surface += 5 * canvas.noise("surface/fold", 96, STEP) + ragged * 30 * canvas.noise(
        "surface/swell", 512, STEP
    )
    surface += 2 * canvas.noise("surface/ragged", 24, STEP)
    return surface.astype(np.float32), margin.astype(np.float32), turn


def _knotted(seed: int, layer: str, position: Floats) -> Floats:
    """Return smooth noise in [0, 1) of one coordinate, knots at the integers."""
    first = int(np.floor(position.min()))
    knots = uniform(
        hashed(seed, layer, np.arange(first, int(np.floor(position.max())) + 2), np.zeros(1, np.int64))
    )[0]
    whole = np.floor(position).astype(np.int64)
    part = position - whole
    part = part * part * (3 - 2 * part)
    result: Floats = knots[whole - first] * (1 - part) + knots[whole - first + 1] * part
    return result


def _junction(canvas: Canvas, surface: Floats, turn: float) -> Floats:
    """Return the signed distance to the dermal-epidermal junction, positive in the epidermis."""
    x, y = canvas.coordinates(STEP)
    along = x * np.cos(turn) + y * np.sin(turn)
    bent = along + 22 * canvas.noise("rete/bend", 64, STEP)
    pegs = _knotted(canvas.seed, "rete/peg", (bent / 52).astype(np.float32))
    pegs = pegs * pegs * (3 - 2 * pegs)
    depth = (
        58
        + 16 * canvas.noise("rete/base", 256, STEP)
        + (62 + 30 * canvas.noise("rete/height", 256, STEP)) * pegs
    )
    depth += 3 * canvas.noise("rete/edge", 16, STEP)
    gap = (depth - surface).astype(np.float32)
    slope_y, slope_x = np.gradient(gap, STEP)
    gap /= np.maximum(1.0, np.hypot(slope_x, slope_y))
    return np.minimum(gap, surface)


def _fibre_angle(canvas: Canvas, surface: Floats, turn: float) -> Floats:
    """Return the direction of collagen: fine and mixed near the epidermis, along the skin and wavy below."""
    slow, quick = canvas.noise("fibre/slow", 256, STEP), canvas.noise("fibre/quick", 64, STEP)
    return (turn + 0.65 * slow + 0.45 * quick).astype(np.float32)


@dataclass(frozen=True)
class _Organ:
    """One lattice cell's organ: its centre in level-0 px and its own random numbers."""

    x: float
    y: float
    seed: int
    column: int
    row: int

    def draws(self, layer: str, count: int) -> list[float]:
        return [
            float(
                uniform(
                    hashed(self.seed, f"organ/{layer}/{i}", np.array([self.column]), np.array([self.row]))
                )[0, 0]
            )
            for i in range(count)
        ]

    def paint(self, parts: Anatomy, size: Size) -> None:
        """Add the organ to the anatomy if the place suits it."""
        canvas = parts.canvas
        side = parts.surface.shape[0]
        low_x, high_x = (int((self.x - canvas.x + r) // STEP) for r in (-ORGAN_REACH, ORGAN_REACH))
        low_y, high_y = (int((self.y - canvas.y + r) // STEP) for r in (-ORGAN_REACH, ORGAN_REACH))
        window = (slice(max(low_y, 0), min(high_y, side)), slice(max(low_x, 0), min(high_x, side)))
        xs, ys = canvas.coordinates(STEP)
        dx, dy = xs[:, window[1]] - np.float32(self.x), ys[window[0]] - np.float32(self.y)
        if min(dx.size, dy.size) < 2:  # a slope needs two samples
            return
        _PAINTERS[self.kind(size)](self, parts, window, dx, dy)

    def kind(self, size: Size) -> str:
        """Return which organ grows here: tumour in one place of the slide, else by lot."""
        draw = _draws(self.seed, "tumour", 2)
        where = ((0.3 + 0.4 * draw[0]) * size.width, (0.42 + 0.1 * draw[1]) * size.height)
        if np.hypot(self.x - where[0], self.y - where[1]) < 0.12 * min(size.width, size.height) + 60:
            return "tumour"
        lot = self.draws("kind", 1)[0]
        for kind, share in _SHARES.items():
            if lot < share:
                return kind
            lot -= share
        return "nothing"


_SHARES = {"follicle": 0.16, "sebaceous": 0.14, "eccrine": 0.14, "vessel": 0.3}


def _organs(canvas: Canvas) -> list[_Organ]:
    """Return the organs that may reach into the canvas."""
    found = []
    for row in canvas.cells(canvas.y, ORGAN_PITCH, ORGAN_REACH):
        for column in canvas.cells(canvas.x, ORGAN_PITCH, ORGAN_REACH):
            cell = (np.array([column]), np.array([row]))
            jitter = [float(uniform(hashed(canvas.seed, f"organ/{a}", *cell))[0, 0]) for a in "xy"]
            x, y = (
                (index + 0.2 + 0.6 * j) * ORGAN_PITCH for index, j in zip((column, row), jitter, strict=True)
            )
            found.append(_Organ(x, y, canvas.seed, int(column), int(row)))
    return found


Window = tuple[slice, slice]


def _room(parts: Anatomy, window: Window, wanted: Floats, gap: float) -> Floats:
    """Cut a signed distance back so that it stays `gap` px below the epidermis and inside the tissue."""
    return np.minimum(wanted, np.minimum(-parts.epithelium[window] - gap, parts.margin[window] + gap))


def _raise(field: Floats, window: Window, value: Floats) -> None:
    field[window] = np.maximum(field[window], value)


def _wrap(parts: Anatomy, window: Window, inside: Floats, width: float) -> None:
    """Lead the fibres around a shape: within `width` px of it they follow its outline."""
    down, across = np.gradient(inside)
    outline = np.arctan2(-across, down)
    weight = np.clip(1 + inside / width, 0, 1) * (inside < 1e3)
    turned = outline - parts.angle[window]
    turned -= np.pi * np.round(turned / np.pi)
    parts.angle[window] += (weight * turned).astype(np.float32)


def _ellipse(dx: Floats, dy: Floats, radius: float, ratio: float, angle: float) -> Floats:
    """Return the signed distance (approximate) to an ellipse of long axis `radius`, positive inside."""
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    p, q = dx * c + dy * s, (dy * c - dx * s) / np.float32(ratio)
    return (np.float32(radius) - np.hypot(p, q)) * np.float32(ratio**0.5)


def _follicle(organ: _Organ, parts: Anatomy, window: Window, dx: Floats, dy: Floats) -> None:
    size, ratio, angle = organ.draws("follicle", 3)
    radius = 48 + 42 * size
    shape = _ellipse(dx, dy, radius, 0.6 + 0.4 * ratio, 3.14 * angle)
    shape += 2.5 * parts.canvas.noise("organ/wobble", 32, STEP)[window]
    shape = _room(parts, window, shape, 12)
    _wrap(parts, window, shape, 40)
    _raise(parts.epithelium, window, shape)
    core = shape - np.float32(0.62 * radius * (0.6 + 0.4 * ratio) ** 0.5)
    _raise(parts.lumen, window, core)
    _raise(parts.keratin, window, core - 3)


def _lobes(organ: _Organ, layer: str, dx: Floats, dy: Floats, how: tuple[int, float, float]) -> Floats:
    """Return the union of `how` = (number, radius, spread) discs around the centre."""
    count, radius, spread = how
    shape = np.full(np.broadcast_shapes(dx.shape, dy.shape), FAR)
    turn = organ.draws(layer, 1)[0] * 6.28
    for i in range(count):
        far, size = organ.draws(f"{layer}/{i}", 2)
        angle = turn + 6.28 * i / count
        x, y = (np.float32(spread * (0.6 + 0.4 * far) * f(angle)) for f in (np.cos, np.sin))
        shape = np.maximum(shape, np.float32(radius * (0.75 + 0.5 * size)) - np.hypot(dx - x, dy - y))
    return shape.astype(np.float32)


def _sebaceous(organ: _Organ, parts: Anatomy, window: Window, dx: Floats, dy: Floats) -> None:
    count = 3 + int(3 * organ.draws("sebaceous", 1)[0])
    shape = _lobes(organ, "lobule", dx, dy, (count, 42.0, 58.0))
    shape += 3 * parts.canvas.noise("organ/wobble", 32, STEP)[window]
    shape = _room(parts, window, shape, 10)
    _wrap(parts, window, shape, 30)
    _raise(parts.foam, window, shape)


def _eccrine(organ: _Organ, parts: Anatomy, window: Window, dx: Floats, dy: Floats) -> None:
    count = 5 + int(5 * organ.draws("eccrine", 1)[0])
    shape = _lobes(organ, "coil", dx, dy, (count, 17.0, 46.0))
    shape = np.maximum(shape, _lobes(organ, "inner", dx, dy, (3, 16.0, 14.0)))
    shape = _room(parts, window, shape, 12)
    _wrap(parts, window, shape, 16)
    _raise(parts.epithelium, window, shape)
    _raise(parts.lumen, window, shape - 12)


def _vessel(organ: _Organ, parts: Anatomy, window: Window, dx: Floats, dy: Floats) -> None:
    size, ratio, angle, crowd = organ.draws("vessel", 4)
    shape = _ellipse(dx, dy, 9 + 22 * size * size, 0.35 + 0.6 * ratio, 3.14 * angle)
    shape = _room(parts, window, shape, 20)
    _wrap(parts, window, shape, 24)
    _raise(parts.lumen, window, shape)
    reach = np.float32(25 + 90 * crowd * crowd)
    uneven = 14 * parts.canvas.noise("organ/cuff", 24, STEP)[window]
    density = np.clip((shape + reach + uneven) / 24, 0, 1) * (shape < -3) * np.float32(min(1.0, 0.3 + crowd))
    _raise(parts.cuff, window, density.astype(np.float32))


def _tumour(organ: _Organ, parts: Anatomy, window: Window, dx: Floats, dy: Floats) -> None:
    count = 2 + int(4 * organ.draws("tumour", 1)[0])
    shape = _lobes(organ, "nest", dx, dy, (count, 44.0, 56.0))
    shape += 9 * parts.canvas.noise("organ/nest", 32, STEP)[window]
    shape = _room(parts, window, shape, 14)
    _wrap(parts, window, shape, 40)
    _raise(parts.epithelium, window, shape)
    _raise(parts.tumour, window, shape)
    cleft = 3.2 - np.abs(shape + 4.5) + 3 * parts.canvas.noise("organ/retraction", 32, STEP)[window] - 2
    _raise(parts.lumen, window, np.minimum(cleft, -shape - 1).astype(np.float32))


def _nothing(organ: _Organ, parts: Anatomy, window: Window, dx: Floats, dy: Floats) -> None:
    """Leave the dermis as it is."""


_PAINTERS = {
    "follicle": _follicle,
    "sebaceous": _sebaceous,
    "eccrine": _eccrine,
    "vessel": _vessel,
    "tumour": _tumour,
    "nothing": _nothing,
}
