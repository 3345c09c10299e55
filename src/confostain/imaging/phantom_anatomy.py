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

BEYOND = 40  # px outside the outline that flakes of horn may reach
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
    parts = Anatomy(
        canvas=canvas,
        surface=surface,
        margin=margin,
        epithelium=blank,
        tumour=blank.copy(),
        foam=blank.copy(),
        keratin=blank.copy(),
        lumen=blank.copy(),
        fat=blank.copy(),
        cuff=np.zeros_like(surface),
        angle=blank.copy(),
    )
    if parts.tissue.max() < -BEYOND:
        return parts
    parts.epithelium = _junction(canvas, surface, turn)
    parts.angle = _fibre_angle(canvas, turn)
    _shafts(parts, turn)
    for organ in _organs(canvas):
        organ.paint(parts, size)
    clear = np.minimum(-np.maximum(np.maximum(parts.epithelium, parts.foam), parts.lumen) - 6, parts.margin)
    parts.fat = np.minimum(_fat(canvas, surface), clear)
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
    bumps = sum(0.06 / k**0.5 * np.sin(k * polar + 6.28 * draw[k]) for k in (2, 3, 5, 7))
    half_x, half_y, power = 0.47 * size.width, 0.47 * size.height, 2.3
    reach = ((np.abs(dx) / half_x) ** power + (np.abs(dy) / half_y) ** power) ** (1 / power) + 1e-6
    margin = (1 - 0.06 - reach + bumps) * min(half_x, half_y)
    margin += ragged * (70 * canvas.noise("margin/coarse", 256, STEP) + 26 * canvas.noise("margin/fine", 64, STEP))
    margin += 5 * canvas.noise("margin/ragged", 16, STEP)

    along = dx * np.cos(turn) + dy * np.sin(turn)
    across = dy * np.cos(turn) - dx * np.sin(turn)
    wave = sum(0.03 / k * np.sin(k * 3.1 * along / size.width + 6.28 * draw[8 + k]) for k in (1, 2, 3))
    surface = across + np.float32(0.32 * size.height) + wave * small
    surface += 5 * canvas.noise("surface/fold", 96, STEP) + ragged * 30 * canvas.noise("surface/swell", 512, STEP)
    surface += 2 * canvas.noise("surface/ragged", 24, STEP)
    return surface.astype(np.float32), margin.astype(np.float32), turn


def _knotted(seed: int, layer: str, position: Floats) -> Floats:
    """Return smooth noise in [0, 1) of one coordinate, knots at the integers."""
    first = int(np.floor(position.min()))
    knots = uniform(hashed(seed, layer, np.arange(first, int(np.floor(position.max())) + 2), np.zeros(1, np.int64)))[0]
    whole = np.floor(position).astype(np.int64)
    part = position - whole
    part = part * part * (3 - 2 * part)
    result: Floats = knots[whole - first] * (1 - part) + knots[whole - first + 1] * part
    return result


def _along(canvas: Canvas, turn: float) -> Floats:
    """Return the coordinate that runs along the skin surface, px."""
    x, y = canvas.coordinates(STEP)
    return (x * np.cos(turn) + y * np.sin(turn)).astype(np.float32)


def _junction(canvas: Canvas, surface: Floats, turn: float) -> Floats:
    """Return the signed distance to the dermal-epidermal junction, positive in the epidermis."""
    bent = _along(canvas, turn) + 19 * canvas.noise("rete/bend", 64, STEP) + 6 * canvas.noise("rete/bow", 32, STEP)
    pegs = _knotted(canvas.seed, "rete/peg", (bent / 46).astype(np.float32))
    pegs = np.clip((pegs - 0.25) * 1.7, 0, 1)
    pegs = pegs * pegs * (3 - 2 * pegs)
    height = np.maximum(75 + 40 * canvas.noise("rete/height", 256, STEP), 10)
    depth = 52 + 12 * canvas.noise("rete/base", 256, STEP) + height * pegs
    depth += 2.5 * canvas.noise("rete/edge", 16, STEP)
    gap = (depth - surface).astype(np.float32)
    slope_y, slope_x = np.gradient(gap, STEP)
    gap /= np.maximum(1.0, np.hypot(slope_x, slope_y))
    return np.minimum(gap, surface)


_SHAFT_PITCH = 620  # px along the surface for every hair that may leave it


def _shafts(parts: Anatomy, turn: float) -> None:
    """Add hair follicles cut lengthwise: tubes that slant down from the surface, with a hair in a canal."""
    canvas, seed = parts.canvas, parts.canvas.seed
    along = _along(canvas, turn)
    index = np.floor(along / _SHAFT_PITCH).astype(np.int64)
    first = int(index.min())
    columns = np.arange(first, int(index.max()) + 1)
    draw = uniform(hashed(seed, "shaft", columns, np.arange(4)))[:, index - first]
    depth = parts.surface
    lean = (draw[1] - 0.5) * np.float32(0.7)
    middle = (index + 0.5 + 0.12 * (draw[2] - 0.5)) * _SHAFT_PITCH
    length = 180 + 420 * draw[3]
    aside = (along - middle).astype(np.float32) - lean * depth + 10 * np.sin(depth / 70 + 6 * draw[2])
    aside *= np.cos(lean)
    below = np.maximum(depth - length, 0)
    from_axis = np.hypot(aside, below)
    grows = np.where(draw[0] < 0.55, np.float32(0), FAR)
    bulb = 9 * np.exp(-(((depth - length) / 40) ** 2)) + 14 * np.exp(-np.maximum(depth, 0) / 30)
    tube = np.minimum(31 + 6 * canvas.noise("shaft/girth", 48, STEP) + bulb - from_axis + grows, depth)
    parts.epithelium = np.maximum(parts.epithelium, tube.astype(np.float32))
    canal = 8 + 0.8 * bulb - from_axis - 10 * np.clip((depth - length + 90) / 60, 0, 2) + grows
    parts.lumen = np.maximum(
        parts.lumen,
        np.minimum(canal, depth + 6 - 8 * canvas.noise("shaft/mouth", 24, STEP)).astype(np.float32),
    )
    hair = 5.5 - from_axis - 5 * np.clip((depth - length + 60) / 60, 0, 2) + grows
    parts.keratin = np.maximum(parts.keratin, np.minimum(hair, (depth + 30 * draw[1]) / 3).astype(np.float32))


def _fibre_angle(canvas: Canvas, turn: float) -> Floats:
    """Return the direction of collagen: mostly along the skin, in bundles that weave and ripple."""
    angle = turn + 0.55 * canvas.noise("fibre/slow", 256, STEP) + 0.33 * canvas.noise("fibre/weave", 64, STEP)
    return (angle + 0.22 * canvas.noise("fibre/ripple", 16, STEP)).astype(np.float32)


_FAT_PITCH = 58  # px between fat cells


def _fat(canvas: Canvas, surface: Floats) -> Floats:
    """Return the signed distance to fat cells: lobules in the depth, and here and there a few in the dermis."""
    cells = canvas.mosaic("fat", _FAT_PITCH, STEP)
    place = [
        np.clip(((axis - start) / STEP).astype(np.int64), 0, surface.shape[0] - 1)
        for axis, start in ((cells.y, canvas.y), (cells.x, canvas.x))
    ]
    depth = surface[place[0], place[1]]
    lobule = canvas.noise("fat/lobule", 128, STEP)[place[0], place[1]]
    full = lobule + 0.5 * canvas.noise("fat/single", 16, STEP)[place[0], place[1]]
    filled = (full > 2.3 - 2.6 * np.clip((depth - 900) / 2500, 0, 1)) & (depth > 250)
    inside = np.minimum(cells.inside, np.float32(1.15 * _FAT_PITCH / 2) - cells.nearest)
    return np.where(filled.ravel()[cells.owner], inside, -np.abs(inside)) - np.float32(1.6)


@dataclass(frozen=True)
class _Organ:
    """One lattice cell's organ: its centre in level-0 px and its own random numbers."""

    x: float
    y: float
    seed: int
    column: int
    row: int

    def draws(self, layer: str, count: int) -> list[float]:
        """Return `count` numbers in [0, 1) of this organ's own."""
        columns = np.int64(count) * self.column + np.arange(count)
        return uniform(hashed(self.seed, f"organ/{layer}/{count}", columns, np.array([self.row])))[0].tolist()

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
    columns = canvas.cells(canvas.x, ORGAN_PITCH, ORGAN_REACH)
    rows = canvas.cells(canvas.y, ORGAN_PITCH, ORGAN_REACH)
    jitter_x, jitter_y = (uniform(hashed(canvas.seed, f"organ/{axis}", columns, rows)) for axis in "xy")
    return [
        _Organ(
            (int(column) + 0.2 + 0.6 * float(jitter_x[j, i])) * ORGAN_PITCH,
            (int(row) + 0.2 + 0.6 * float(jitter_y[j, i])) * ORGAN_PITCH,
            canvas.seed,
            int(column),
            int(row),
        )
        for j, row in enumerate(rows)
        for i, column in enumerate(columns)
    ]


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
    """Return `how` = (number, radius, spread) discs around the centre, with thin septa where they touch."""
    count, radius, spread = how
    shape = np.full(np.broadcast_shapes(dx.shape, dy.shape), FAR)
    second = shape.copy()
    turn, *draws = organ.draws(layer, 1 + 2 * count)
    for i, (far, size) in enumerate(zip(draws[::2], draws[1::2], strict=True)):
        angle = 6.28 * (turn + i / count)
        x, y = (np.float32(spread * (0.6 + 0.4 * far) * f(angle)) for f in (np.cos, np.sin))
        disc = np.float32(radius * (0.75 + 0.5 * size)) - np.hypot(dx - x, dy - y)
        second = np.maximum(second, np.minimum(disc, shape))
        shape = np.maximum(shape, disc)
    return np.minimum(shape, (shape - second) / 2 - 1.5).astype(np.float32)


def _sebaceous(organ: _Organ, parts: Anatomy, window: Window, dx: Floats, dy: Floats) -> None:
    count = 3 + int(3 * organ.draws("sebaceous", 1)[0])
    shape = _lobes(organ, "lobule", dx, dy, (count, 42.0, 58.0))
    shape += 3 * parts.canvas.noise("organ/wobble", 32, STEP)[window]
    shape = _room(parts, window, shape, 10)
    _wrap(parts, window, shape, 30)
    _raise(parts.foam, window, shape)


def _eccrine(organ: _Organ, parts: Anatomy, window: Window, dx: Floats, dy: Floats) -> None:
    count = 5 + int(5 * organ.draws("eccrine", 1)[0])
    shape = _lobes(organ, "coil", dx, dy, (count, 19.0, 50.0))
    shape = np.maximum(shape, _lobes(organ, "inner", dx, dy, (3, 18.0, 16.0)))
    shape += 2 * parts.canvas.noise("organ/wobble", 32, STEP)[window]
    shape = _room(parts, window, shape, 12)
    _wrap(parts, window, shape, 16)
    _raise(parts.epithelium, window, shape)
    _raise(parts.lumen, window, shape - 13)


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
