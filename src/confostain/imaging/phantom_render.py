"""How each modality sees the phantom: reflectance, fluorescence, and the H&E that would have been."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from confostain.geometry import Size
from confostain.imaging.lattice import Canvas, Floats, enlarged, normal
from confostain.imaging.phantom_anatomy import CORNEUM_DEPTH, STEP, Anatomy, anatomy
from confostain.imaging.phantom_nuclei import Nuclei, nuclei, stamped

HALO = 16  # px around a block that are painted too, for blurs and for nuclei that reach in
_FLOW = 48  # px further for the anatomy: as far as fibres are followed

# Optical density per unit of dye, measured on CC0 skin sections (Aperio, OpenSlide CMU-1)
_HAEMATOXYLIN = np.array([1.00, 1.12, 0.62], np.float32)
_EOSIN = np.array([0.22, 0.85, 0.53], np.float32)
_MELANIN = np.array([0.55, 0.85, 1.20], np.float32)
_GLASS = 243.0  # grey level of the empty slide in the same scanner


@dataclass(frozen=True)
class Section:
    """The truth at full resolution: what is in every pixel of a canvas, float32 (side, side), 0 to 1."""

    canvas: Canvas
    tissue: Floats
    epithelium: Floats
    keratin: Floats
    foam: Floats
    collagen: Floats
    fibre: Floats  # fine structure of collagen, mean 0, deviation about 1
    melanin: Floats
    membrane: Floats
    chromatin: Floats
    crowd: Floats  # slow density of cells, for light from out of focus


def section(block: Canvas, size: Size) -> tuple[Section, Nuclei]:
    """Paint the truth on `block` and `HALO` px around it; the nuclei reach a little farther."""
    canvas = block.grown(HALO)
    parts = anatomy(canvas.grown(_FLOW), size)
    cells = nuclei(parts, canvas)
    inner = slice(_FLOW // STEP, -_FLOW // STEP)

    def wide(field: Floats) -> Floats:
        return enlarged(np.ascontiguousarray(field[inner, inner], np.float32), STEP)

    def soft(distance: Floats, edge: float = 1.0) -> Floats:
        return np.clip(wide(np.clip(distance, -40, 40)) / np.float32(edge) + np.float32(0.5), 0, 1)

    depth = wide(np.clip(parts.surface, -60, 60))
    lumen = soft(parts.lumen)
    epithelium = soft(parts.epithelium)
    foam = soft(parts.foam)
    flakes, horn = _horn(canvas, depth, soft(parts.margin))
    tissue = np.maximum(soft(parts.tissue), flakes)
    keratin = np.maximum(horn, soft(parts.keratin))
    open_space = lumen * (1 - soft(parts.keratin))
    fibre, bundle = _collagen(parts, canvas)
    papillary = np.exp(-np.maximum(-wide(np.clip(parts.epithelium, -400, 0)), 0) / np.float32(90))
    cleft = np.clip((bundle + np.float32(1.15) + np.float32(1.1) * papillary) * np.float32(2.5), 0, 1)
    stroma = (1 - epithelium) * (1 - foam) * tissue * (1 - keratin) * (1 - open_space)
    collagen = stroma * cleft * np.clip(np.float32(0.72) + np.float32(0.16) * fibre, 0.2, 1)
    pigment = np.clip(1 - np.abs(wide(np.clip(parts.epithelium, -40, 40)) - 6) / np.float32(6), 0, 1)
    pigment *= np.clip(canvas.noise("melanin/patch", 256) + np.float32(0.2), 0, 1) * (depth < 300)
    pigment *= np.clip(canvas.noise("melanin/grain", 4) + np.float32(0.6), 0, 1.5)
    crowd = np.clip(wide(np.clip(parts.epithelium + 10, 0, 20)) / 20, 0, 1) * np.float32(0.8)
    crowd = np.maximum(crowd, wide(parts.cuff))
    closed = (1 - open_space) * tissue
    return (
        Section(
            canvas,
            tissue,
            epithelium * closed * (1 - keratin),
            keratin * tissue,
            foam * closed,
            collagen,
            fibre,
            pigment * epithelium * closed,
            np.zeros_like(tissue),
            stamped(cells, canvas) * closed,
            crowd * tissue,
        ),
        cells,
    )


def _horn(canvas: Canvas, depth: Floats, inside: Floats) -> tuple[Floats, Floats]:
    """Return (tissue outside the surface, keratin): compact horn, and flakes that lift off it."""
    wave = depth + 5 * canvas.noise("horn/wave", 64) + 2 * canvas.noise("horn/ripple", 24)
    strand = np.clip((np.cos(wave * np.float32(2 * np.pi / 6.5)) - np.float32(0.45)) * 3, 0, 1)
    reach = np.float32(16) + 14 * canvas.noise("horn/reach", 96)
    flakes = strand * np.clip((depth + reach) / 3, 0, 1) * (depth < 1) * inside
    flakes *= np.clip(canvas.noise("horn/torn", 32) * 2 + 1.5, 0, 1)
    compact = np.clip((np.float32(CORNEUM_DEPTH) - depth) / 2, 0, 1) * np.clip(depth + np.float32(0.5), 0, 1)
    return flakes, np.maximum(flakes, compact * (np.float32(0.75) + np.float32(0.25) * strand)) * inside


def _collagen(parts: Anatomy, canvas: Canvas) -> tuple[Floats, Floats]:
    """Return fine fibres and coarse bundles on `canvas`, mean 0, deviation about 1."""
    angle = np.ascontiguousarray(parts.angle[::2, ::2])
    fine = parts.canvas.strokes("collagen/fine", angle, 2 * STEP, (2, 4, 5))[
        _FLOW // 2 : -_FLOW // 2, _FLOW // 2 : -_FLOW // 2
    ]
    coarse = parts.canvas.strokes("collagen/coarse", angle, 2 * STEP, (4, 8, 4))[
        _FLOW // 4 : -_FLOW // 4, _FLOW // 4 : -_FLOW // 4
    ]
    return enlarged(fine, 2) * np.float32(2.6), enlarged(coarse, 4) * np.float32(2.0)


def clean_reflectance(view: Section) -> Floats:
    """Return what a speckle-free microscope would record: collagen, keratin and melanin bright."""
    canvas = view.canvas
    cloud = np.exp(
        np.float32(0.5) * canvas.noise("r/cloud", 128) + np.float32(0.3) * canvas.noise("r/patch", 32)
    )
    light = view.collagen * (np.float32(0.26) + np.float32(0.08) * view.fibre) * cloud
    light += view.epithelium * (np.float32(0.07) + np.float32(0.05) * view.membrane) * cloud
    light += view.keratin * np.float32(0.5) + view.melanin * np.float32(0.4) + view.foam * np.float32(0.12)
    light *= 1 - np.float32(0.5) * view.chromatin
    return np.clip(np.float32(PEDESTAL) + np.maximum(light, 0), 0, 1)


PEDESTAL = 20 / 255  # dark level of the reflectance detector (FIELD: cm/skin_b)
LOOKS = 45.0  # effective looks of its speckle
GRAIN = 0.135  # neighbour over centre of a Gaussian of 0.5 px: correlates neighbouring grains by 0.26
READ_NOISE = 1.2 / 255


def speckled(clean: Floats, canvas: Canvas) -> Floats:
    """Add multiplicative speckle above the pedestal, and read noise."""
    z = normal(canvas.words("speckle"))
    for axis in (0, 1):
        z = _three_taps(z, axis)
    looks = np.float32(1 / (9 * LOOKS))
    grain = (1 - looks + z * np.sqrt(looks)) ** 3  # Wilson and Hilferty: a cubed normal is a gamma
    noisy = np.float32(PEDESTAL) + (clean - np.float32(PEDESTAL)) * grain
    return np.clip(noisy + np.float32(READ_NOISE) * normal(canvas.words("read noise")), 0, 1)


def _three_taps(field: Floats, axis: int) -> Floats:
    """Correlate neighbours along an axis and keep the deviation at 1; the outermost samples are left as they are."""
    moved = np.moveaxis(field, axis, 0)
    result = moved.copy()
    result[1:-1] += np.float32(GRAIN) * (moved[:-2] + moved[2:])
    result[1:-1] *= np.float32((1 + 2 * GRAIN**2) ** -0.5)
    return np.moveaxis(result, 0, axis)


def fluorescence(view: Section) -> Floats:
    """Return acridine orange: nuclei over cytoplasm, fibres and haze, with uneven dye, blur and noise."""
    from scipy.ndimage import gaussian_filter

    canvas = view.canvas
    dye = np.exp(
        np.float32(0.25) * canvas.noise("f/dye", 256) + np.float32(0.15) * canvas.noise("f/focus", 64)
    )
    deep = np.float32(0.03) * canvas.noise("f/deep", 8) + np.float32(0.05) * canvas.noise("f/haze", 32)
    light = view.tissue * (np.float32(0.12) + deep) + np.float32(0.2) * view.crowd
    light += np.float32(0.10) * view.epithelium + np.float32(0.04) * view.collagen * view.fibre
    light += np.float32(0.05) * view.keratin + np.float32(0.6) * view.chromatin
    light = gaussian_filter(np.maximum(light * dye, 0) + np.float32(0.015), 0.8, truncate=2.5)
    light *= 1 + np.float32(0.06) * normal(canvas.words("f/noise"))
    return np.clip(light, 0, 1)


def histology(view: Section) -> npt.NDArray[np.uint8]:
    """Return H&E (side, side, 3) of the same section: dyes mix as optical densities."""
    canvas = view.canvas
    uneven = np.float32(1) + np.float32(0.08) * canvas.noise("he/stain", 128)
    grain = np.float32(1) + np.float32(0.06) * canvas.noise("he/grain", 4)
    eosin = view.collagen * (np.float32(1.1) + np.float32(0.12) * view.fibre) + view.keratin * np.float32(1.5)
    eosin += view.epithelium * (np.float32(0.85) - np.float32(0.35) * view.membrane) + view.foam * np.float32(
        0.2
    )
    haematoxylin = view.epithelium * (np.float32(0.35) - np.float32(0.1) * view.membrane)
    haematoxylin += view.keratin * np.float32(0.4) + view.foam * np.float32(0.05)
    haematoxylin = haematoxylin * (1 - view.chromatin) + np.float32(1.05) * view.chromatin
    density = (eosin * uneven * grain)[..., None] * _EOSIN + (haematoxylin * grain)[..., None] * _HAEMATOXYLIN
    density += view.melanin[..., None] * _MELANIN
    return np.clip(np.float32(_GLASS) * np.exp(-density) + np.float32(0.5), 0, 255).astype(np.uint8)
