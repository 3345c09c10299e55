"""Anatomy of the phantom: outline, layers and fibre directions, as signed distances on a coarse lattice.

The layout is that of an excision: a piece of skin with a cut margin, glass around it, epidermis with rete ridges
along its surface, and below it the dermis, to which `organs.py` adds appendages, vessels, fat and tumour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from confostain.geometry import Size
from confostain.simulation.phantom.lattice import Canvas, Floats, hashed, uniform

STEP = 4  # px between samples of the anatomy; its finest structure, the lumen of a duct, is 10 px wide
FAR = np.float32(-1e4)  # signed distance to an absent structure

HORN_REACH = 40.0  # px outside the surface that flakes of the stratum corneum may reach
CORNEUM_DEPTH = 9.0  # px below the surface at which the compact stratum corneum ends
GRANULAR_DEPTH = 24.0  # px below the surface at which the granular layer ends
EPIDERMIS = 52.0  # px between the surface and the tops of the papillae
PEG_PITCH = 88.0  # px along the surface from one rete ridge to the next
PEG_HEIGHT = 85.0  # px that rete ridges reach deeper than the tops of the papillae


@dataclass
class Anatomy:
    """Signed distances to the structures on a canvas: float32 (n, n) each, one sample every `STEP` px.

    In level-0 px, positive inside; `cuff` and `angle` are no distances.
    """

    canvas: Canvas
    tilt: float  # direction of the skin surface, radians, x towards y
    surface: Floats  # depth below the skin surface
    margin: Floats  # distance inward from the cut
    epidermis: Floats  # without appendages
    epithelium: Floats  # epidermis, sheaths, ducts and tumour; small values are the basal layer
    tumour: Floats
    foam: Floats  # sebaceous lobules
    keratin: Floats  # hairs
    lumen: Floats  # canals, ducts, vessels, clefts: empty
    blood: Floats  # the part of the lumen where red cells may be
    fat: Floats
    cuff: Floats  # density of lymphocytes, 0 to 1
    angle: Floats  # direction of fibres, radians

    @property
    def tissue(self) -> Floats:
        """Signed distance to the outline of the whole piece."""
        return np.minimum(self.surface, self.margin)

    @property
    def is_glass(self) -> bool:
        """Whether no tissue comes near the canvas."""
        return bool(self.tissue.max() < -HORN_REACH)


def skin(canvas: Canvas, size: Size) -> Anatomy:
    """Anatomy of the skin on a slide of `size`, as far as it lies on `canvas`, without appendages."""
    tilt = 0.5 * (slide_draws(canvas.seed, "tilt", 1)[0] - 0.5)
    surface, margin = _surface(canvas, size, tilt), _margin(canvas, size)
    absent = [np.full_like(surface, FAR) for _ in range(8)]
    unset = [np.zeros_like(surface) for _ in range(2)]
    parts = Anatomy(canvas, tilt, surface, margin, *absent, *unset)
    if not parts.is_glass:
        parts.epidermis = _epidermis(canvas, surface, tilt)
        parts.epithelium = parts.epidermis.copy()
        parts.angle = _fibre_angle(canvas, tilt)
    return parts


def slide_draws(seed: int, layer: str, count: int) -> list[float]:
    """Random numbers in [0, 1) that hold for the slide as a whole: `count` of them."""
    draws: list[float] = uniform(hashed(seed, layer, np.arange(count), np.zeros(1, np.int64)))[0].tolist()
    return draws


def along_surface(canvas: Canvas, tilt: float) -> Floats:
    """Coordinate along the skin surface in px."""
    x, y = canvas.coordinates(STEP)
    return np.float32(np.cos(tilt)) * x + np.float32(np.sin(tilt)) * y


def _raggedness(size: Size) -> float:
    """Factor in [0, 1] on coarse irregularities: smaller on small slides."""
    return min(1.0, min(size.width, size.height) / 4000)


def _margin(canvas: Canvas, size: Size) -> Floats:
    """Distance inward from the cut margin: an oval that fills the slide, with irregularities at several scales."""
    x, y = canvas.coordinates(STEP)
    dx, dy = x / np.float32(size.width) - np.float32(0.5), y / np.float32(size.height) - np.float32(0.5)
    radius = ((np.abs(dx) / 0.47) ** 2.3 + (np.abs(dy) / 0.47) ** 2.3) ** (1 / 2.3)  # 1 near the slide's border
    turn, phase = np.arctan2(dy, dx), slide_draws(canvas.seed, "margin", 8)
    bumps = sum(0.06 / k**0.5 * np.sin(k * turn + 2 * np.pi * phase[k]) for k in (2, 3, 5, 7))
    inward = (0.94 + bumps - radius) * 0.47 * min(size.width, size.height)
    coarse = 70 * canvas.noise("margin/coarse", 256, STEP) + 26 * canvas.noise("margin/fine", 64, STEP)
    ragged = _raggedness(size) * coarse + 5 * canvas.noise("margin/ragged", 16, STEP)
    return (inward + ragged).astype(np.float32)


def _surface(canvas: Canvas, size: Size, tilt: float) -> Floats:
    """Depth below the skin surface, which crosses the upper third of the slide in slight waves."""
    x, y = canvas.coordinates(STEP)
    dx, dy = x - np.float32(size.width / 2), y - np.float32(size.height / 2)
    along, across = dx * np.cos(tilt) + dy * np.sin(tilt), dy * np.cos(tilt) - dx * np.sin(tilt)
    phase = slide_draws(canvas.seed, "surface", 4)
    wave = sum(0.03 / k * np.sin(k * 3.1 * along / size.width + 2 * np.pi * phase[k]) for k in (1, 2, 3))
    depth = across + 0.32 * size.height + wave * min(size.width, size.height)
    depth += 30 * _raggedness(size) * canvas.noise("surface/swell", 512, STEP)
    depth += 5 * canvas.noise("surface/fold", 96, STEP) + 2 * canvas.noise("surface/ragged", 24, STEP)
    return depth.astype(np.float32)


def _epidermis(canvas: Canvas, surface: Floats, tilt: float) -> Floats:
    """Signed distance to the epidermis, between the surface and the outline of the rete ridges."""
    bent = along_surface(canvas, tilt) + 19 * canvas.noise("rete/bend", 64, STEP)
    bent += 6 * canvas.noise("rete/bow", 32, STEP)
    pegs = _pegs(canvas.seed, bent / np.float32(PEG_PITCH))
    height = np.maximum(PEG_HEIGHT + 40 * canvas.noise("rete/height", 256, STEP), 10)
    junction = EPIDERMIS + 12 * canvas.noise("rete/base", 256, STEP) + height * pegs
    gap = junction + 2.5 * canvas.noise("rete/edge", 16, STEP) + 7 * canvas.noise("rete/knob", 32, STEP) - surface
    down, across = np.gradient(gap, STEP)
    gap /= np.maximum(1.0, np.hypot(down, across))  # a height above a steep flank is no distance to it
    return np.minimum(gap, surface).astype(np.float32)


def _pegs(seed: int, position: Floats) -> Floats:
    """Relative depth of the rete ridges, 0 to 1: a long or short one around every integer position."""
    half = np.floor(2 * position).astype(np.int64)
    first = int(half.min())
    knot = np.arange(first, int(half.max()) + 2)
    height = uniform(hashed(seed, "rete/peg", knot, np.zeros(1, np.int64)))[0]
    height = np.where(knot % 2, np.float32(0.25) * height, np.float32(0.3) + np.float32(0.7) * height)
    part = 2 * position - half.astype(np.float32)
    left, right = height[half - first], height[half - first + 1]
    return left + part * part * (3 - 2 * part) * (right - left)


def _fibre_angle(canvas: Canvas, tilt: float) -> Floats:
    """Direction of collagen bundles in radians: mostly along the skin; neighbouring bundles cross one another."""
    weave = np.tanh(np.float32(1.5) * canvas.noise("fibre/weave", 64, STEP))
    angle = tilt + 0.45 * canvas.noise("fibre/slow", 256, STEP) + 0.6 * weave
    return (angle + 0.15 * canvas.noise("fibre/ripple", 24, STEP)).astype(np.float32)
