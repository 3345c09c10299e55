"""How each modality sees the phantom: reflectance, fluorescence, and the H&E that would have been."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from confostain.geometry import Size
from confostain.imaging.lattice import Canvas, Floats, enlarged, normal
from confostain.imaging.phantom_anatomy import BEYOND, CORNEUM_DEPTH, STEP, Anatomy, anatomy
from confostain.imaging.phantom_nuclei import LOOSE, Nuclei, no_nuclei, nuclei, stamped

PIGMENT_DEPTH = 150.0  # px below the surface at which melanin ends: deeper epithelium is follicle or gland
HALO = 16  # px around a block that are painted too, for blurs and for nuclei that reach in
_FLOW = 48  # px further for the anatomy: as far as fibres are followed

# Optical density per unit of dye, measured on CC0 skin sections (Aperio, OpenSlide CMU-1)
_HAEMATOXYLIN = np.array([1.05, 1.12, 0.58], np.float32)
_EOSIN = np.array([0.14, 0.86, 0.55], np.float32)
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
    cleft: Floats  # gaps between bundles, which fixation tears open
    fibre: Floats  # fine structure of collagen, mean 0, deviation about 1
    melanin: Floats
    membrane: Floats
    chromatin: Floats
    crowd: Floats  # slow density of cells, for light from out of focus


def section(block: Canvas, size: Size) -> tuple[Section, Nuclei]:
    """Paint the truth on `block` and `HALO` px around it; the nuclei reach a little farther."""
    canvas = block.grown(HALO)
    parts = anatomy(canvas.grown(_FLOW), size)
    if parts.tissue.max() < -BEYOND:
        nothing = np.zeros((canvas.side, canvas.side), np.float32)
        return Section(canvas, *[nothing] * 11), no_nuclei()
    cells = nuclei(parts, canvas)
    inner = slice(_FLOW // STEP, -_FLOW // STEP)

    def wide(field: Floats, limit: float = 60.0) -> Floats:
        return enlarged(np.clip(field[inner, inner], -limit, limit), STEP)

    def soft(distance: Floats) -> Floats:
        return np.clip(distance + np.float32(0.5), 0, 1)

    depth, margin, epithelial = wide(parts.surface, PIGMENT_DEPTH), wide(parts.margin), wide(parts.epithelium)
    hair = soft(wide(parts.keratin))
    flakes, horn = _horn(canvas, depth, soft(margin))
    keratin = np.maximum(horn, hair)
    tissue = np.maximum(np.maximum(soft(np.minimum(depth, margin)), flakes), hair * soft(margin))
    hollow = np.maximum(soft(wide(np.maximum(parts.lumen, parts.fat))) * (1 - hair), 1 - tissue)
    closed = 1 - hollow
    epithelium, foam = soft(epithelial), soft(wide(parts.foam))
    fibre, bundle = _collagen(parts, canvas)
    papillary = enlarged(np.exp(np.minimum(parts.epithelium[inner, inner], 0) / np.float32(90)), STEP)
    looseness = np.float32(0.35) * canvas.noise("collagen/loose", 128) + np.float32(1.6)
    cleft = np.clip((-fibre - np.float32(0.75) * bundle - looseness - papillary) * np.float32(1.5), 0, 1)
    stroma = (1 - epithelium) * (1 - foam) * closed * (1 - keratin)
    collagen = np.clip(np.float32(0.72) + np.float32(0.12) * fibre + np.float32(0.1) * bundle, 0.2, 1.2) * stroma
    crowd = np.maximum(np.clip((epithelial + 10) * np.float32(0.04), 0, 0.8), wide(parts.cuff))
    membrane, vacuole = _walls(canvas, epithelial, foam)
    return (
        Section(
            canvas,
            tissue,
            epithelium * closed * (1 - keratin),
            keratin * tissue,
            foam * closed * (1 - vacuole),
            collagen,
            cleft * stroma,
            fibre,
            _pigment(canvas, epithelial, depth) * closed * (1 - keratin),
            membrane,
            stamped(cells, canvas) * closed,
            crowd * tissue,
        ),
        cells,
    )


def _walls(canvas: Canvas, epithelial: Floats, foam: Floats) -> tuple[Floats, Floats]:
    """Return the pale seams between epithelial cells, and the fat droplets in sebaceous ones, both 0 to 1."""
    if max(epithelial.max(), foam.max()) <= 0:
        return np.zeros_like(foam), np.zeros_like(foam)
    seam = enlarged(np.clip(1.3 - canvas.mosaic(f"nuclei/{LOOSE}", LOOSE, 2).inside, 0, 1).astype(np.float32), 2)
    droplet = np.clip(canvas.noise("foam/droplet", 4) * np.float32(0.8) + np.float32(0.35), 0, 0.85)
    return seam * np.clip((epithelial - 8) / 4, 0, 1), droplet * (1 - seam)


def _pigment(canvas: Canvas, epithelial: Floats, depth: Floats) -> Floats:
    """Return melanin: grains in the basal layer of the epidermis, in patches."""
    layer = np.clip(1 - np.abs(epithelial - 6) / np.float32(6), 0, 1) * (depth < PIGMENT_DEPTH)
    if not layer.any():
        return layer
    layer *= np.clip(canvas.noise("melanin/patch", 256) + np.float32(0.2), 0, 1)
    return layer * np.clip(canvas.noise("melanin/grain", 3) * np.float32(0.4) + np.float32(0.4), 0, 1)


def _horn(canvas: Canvas, depth: Floats, inside: Floats) -> tuple[Floats, Floats]:
    """Return (tissue outside the surface, keratin): compact horn, and flakes that lift off it."""
    if depth.min() > BEYOND:
        return np.zeros_like(depth), np.zeros_like(depth)
    wave = depth + 7 * canvas.noise("horn/wave", 64) + 4 * canvas.noise("horn/ripple", 20)
    sheet = np.cos(wave * np.float32(2 * np.pi / 8)) + np.float32(0.5) * canvas.noise("horn/torn", 24)
    strand = np.clip((sheet - np.float32(0.75)) * 3, 0, 1)
    reach = np.float32(7) + 12 * canvas.noise("horn/reach", 64)
    flakes = strand * np.clip((depth + np.clip(reach, -2, BEYOND - 6)) / 3, 0, 1) * (depth < 1) * inside
    compact = np.clip((np.float32(CORNEUM_DEPTH) - depth) / 2, 0, 1) * np.clip(depth + np.float32(0.5), 0, 1)
    return flakes, np.maximum(flakes, compact * (np.float32(0.75) + np.float32(0.25) * strand)) * inside


def _collagen(parts: Anatomy, canvas: Canvas) -> tuple[Floats, Floats]:
    """Return fine fibres and coarse bundles on `canvas`, mean 0, deviation about 1."""
    angle = np.ascontiguousarray(parts.angle[::2, ::2])
    fine = parts.canvas.strokes("collagen/fine", angle, 2 * STEP, (2, 3, 4))[
        _FLOW // 2 : -_FLOW // 2, _FLOW // 2 : -_FLOW // 2
    ]
    coarse = parts.canvas.strokes("collagen/coarse", angle, 2 * STEP, (4, 8, 3))[
        _FLOW // 4 : -_FLOW // 4, _FLOW // 4 : -_FLOW // 4
    ]
    return enlarged(fine, 2) * np.float32(2.6), enlarged(coarse, 4) * np.float32(2.0)


def clean_reflectance(view: Section) -> Floats:
    """Return what a speckle-free microscope would record: collagen, keratin and melanin bright."""
    canvas = view.canvas
    cloud = np.float32(0.5) * canvas.noise("r/cloud", 128, STEP) + np.float32(0.35) * canvas.noise("r/patch", 32, STEP)
    cloud = enlarged(np.exp(cloud), STEP) * (1 + np.float32(0.15) * canvas.noise("r/mottle", 8))
    light = view.collagen * (np.float32(0.30) + np.float32(0.035) * view.fibre)
    light *= 1 - np.float32(0.5) * view.cleft
    light += view.epithelium * (np.float32(0.09) + np.float32(0.07) * view.membrane)
    light += view.foam * np.float32(0.10)
    light = light * cloud + view.keratin * np.float32(0.5) + view.melanin * np.float32(0.5)
    light += view.tissue * np.float32(0.015)
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
    dye = np.float32(0.28) * canvas.noise("f/dye", 256, STEP) + np.float32(0.15) * canvas.noise("f/focus", 64, STEP)
    dye = enlarged(np.exp(dye), STEP)
    deep = np.maximum(canvas.noise("f/deep", 8), -1)  # nuclei of the layers below, out of focus
    light = np.float32(0.15) + np.float32(0.05) * canvas.noise("f/haze", 32) + np.float32(0.022) * deep
    light += np.float32(0.018) * view.fibre + np.float32(0.02) * canvas.noise("f/grain", 4)
    light *= view.collagen + view.foam + view.epithelium + np.float32(0.25)
    light += np.float32(0.14) * view.crowd + np.float32(0.12) * view.keratin
    light += (np.float32(0.45) + np.float32(0.06) * deep) * view.chromatin
    light *= view.tissue
    light = gaussian_filter(np.maximum(light * dye, 0) + np.float32(0.015), 0.8, truncate=2.5)
    light *= 1 + np.float32(0.06) * normal(canvas.words("f/noise"))
    return np.clip(light, 0, 1)


def histology(view: Section) -> npt.NDArray[np.uint8]:
    """Return H&E (side, side, 3) of the same section: dyes mix as optical densities."""
    canvas = view.canvas
    uneven = np.float32(1) + np.float32(0.08) * canvas.noise("he/stain", 128)
    grain = np.float32(1) + np.float32(0.06) * canvas.noise("he/grain", 4)
    clumps = np.float32(1) + np.float32(0.22) * canvas.noise("he/chromatin", 2)
    eosin = view.collagen * (1 - view.cleft) * (np.float32(1.15) + np.float32(0.12) * view.fibre)
    eosin += view.epithelium * (np.float32(0.68) - np.float32(0.15) * view.membrane)
    eosin += view.keratin * np.float32(1.5) + view.foam * np.float32(0.25)
    haematoxylin = view.epithelium * (np.float32(0.52) - np.float32(0.27) * view.membrane)
    haematoxylin += view.keratin * np.float32(0.4) + view.foam * np.float32(0.08)
    haematoxylin = haematoxylin * (1 - view.chromatin) + np.float32(1.2) * view.chromatin * clumps
    density = (eosin * uneven * grain)[..., None] * _EOSIN + haematoxylin[..., None] * _HAEMATOXYLIN
    density += view.melanin[..., None] * _MELANIN
    return np.clip(np.float32(_GLASS) * np.exp(-density) + np.float32(0.5), 0, 255).astype(np.uint8)
