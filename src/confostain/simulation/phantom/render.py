"""Rendering of the phantom's ground truth: reflectance, fluorescence and H&E."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from confostain.simulation.phantom.anatomy import STEP
from confostain.simulation.phantom.lattice import Canvas, Floats, enlarged, normal
from confostain.simulation.phantom.section import Section
from confostain.simulation.speckle import Speckle

# Measured on a raw reflectance image of ex vivo skin
MICROSCOPE = Speckle(looks=45.0, grain=0.5, pedestal=20 / 255, read_noise=1.2 / 255)
FLUORESCENCE_NOISE = 0.06  # coefficient of variation, white
FOCUS_BLUR = 0.9  # px, sigma of the fluorescence channel's point spread function

# Optical density (natural logarithm) per unit of dye, and the grey level of glass, measured on H&E sections of skin
# (Aperio, CMU-1)
_HAEMATOXYLIN = np.array([1.05, 1.12, 0.58], np.float32)
_EOSIN = np.array([0.14, 0.86, 0.55], np.float32)
_MELANIN = np.array([0.55, 0.85, 1.20], np.float32)
_GLASS = 243.0


def clean_reflectance(view: Section) -> Floats:
    """Reflectance without speckle, float32 (side, side): bright collagen, keratin and melanin, with uneven light."""
    cloud = _slow(view.canvas, ("r/cloud", 128, 0.45), ("r/patch", 32, 0.28), ("r/blotch", 16, 0.12))
    cloud *= 1 + np.float32(0.15) * view.canvas.noise("r/mottle", 8)
    light = np.square(view.collagen) * (np.float32(0.38) + np.float32(0.02) * view.fibre)
    light *= 1 - np.float32(0.8) * view.cleft
    light += view.epithelium * (np.float32(0.09) + np.float32(0.07) * view.seams)
    light += np.float32(0.1) * (view.foam + view.blood + view.granules)
    light *= cloud
    light += np.float32(0.5) * (view.keratin + view.melanin) + np.float32(0.015) * view.tissue
    light *= 1 - np.float32(0.65) * view.chromatin
    return np.clip(np.float32(MICROSCOPE.pedestal) + light, 0, 1)


def reflectance(view: Section) -> Floats:
    """Reflectance as recorded, float32 (side, side): speckle above the dark level, and read noise."""
    clean, canvas = clean_reflectance(view), view.canvas
    pedestal, read_noise = np.float32(MICROSCOPE.pedestal), np.float32(MICROSCOPE.read_noise)
    variance = np.float32(1 / (9 * MICROSCOPE.looks))
    grain = _correlated(normal(canvas.words("speckle")), MICROSCOPE.grain)
    factor = (1 - variance + grain * np.sqrt(variance)) ** 3  # Wilson-Hilferty: a cubed normal is about a gamma
    return np.clip(pedestal + (clean - pedestal) * factor + read_noise * normal(canvas.words("r/noise")), 0, 1)


def fluorescence(view: Section) -> Floats:
    """Fluorescence, float32 (side, side): nuclei over cytoplasm, fibres and haze, with uneven dye, blur and noise."""
    from scipy.ndimage import gaussian_filter

    canvas = view.canvas
    deep = np.maximum(canvas.noise("f/deep", 8), -1)  # nuclei of the layers below, out of focus
    light = np.float32(0.2) + np.float32(0.05) * canvas.noise("f/haze", 32) + np.float32(0.022) * deep
    light += np.float32(0.004) * view.fibre + np.float32(0.008) * canvas.noise("f/grain", 4)
    stroma = view.collagen * (np.float32(0.6) - np.float32(0.36) * view.cleft)
    light *= stroma + view.foam + view.epithelium + np.float32(0.2)
    light += np.float32(0.14) * view.crowd + np.float32(0.12) * view.keratin
    clumps = np.float32(0.05) * canvas.noise("f/chromatin", 3)
    light += (np.float32(0.43) + np.float32(0.06) * deep + clumps) * view.chromatin
    light *= _slow(canvas, ("f/dye", 256, 0.28), ("f/focus", 64, 0.15)) * view.tissue
    light = gaussian_filter(light, FOCUS_BLUR, truncate=2.5) + np.float32(0.015)
    light *= 1 + np.float32(FLUORESCENCE_NOISE) * normal(canvas.words("f/noise"))
    return np.clip(light, 0, 1)


def histology(view: Section) -> npt.NDArray[np.uint8]:
    """H&E section, uint8 (side, side, 3): the optical densities of the dyes add up."""
    canvas = view.canvas
    uneven = 1 + np.float32(0.08) * canvas.noise("he/stain", 128) + np.float32(0.06) * canvas.noise("he/grain", 4)
    clumps = np.float32(1.2) + np.float32(0.26) * canvas.noise("he/chromatin", 2)
    eosin = view.collagen * (1 - view.cleft) * (np.float32(1.05) + np.float32(0.07) * view.fibre)
    eosin += view.epithelium * (np.float32(0.68) - np.float32(0.15) * view.seams)
    eosin += np.float32(1.5) * view.keratin + np.float32(0.25) * view.foam + view.blood
    blue = view.epithelium * (np.float32(0.52) - np.float32(0.27) * view.seams)
    blue += np.float32(0.4) * view.keratin + np.float32(0.08) * view.foam + np.float32(0.9) * view.granules
    blue += view.chromatin * (clumps - blue)
    density = (eosin * uneven)[..., None] * _EOSIN + blue[..., None] * _HAEMATOXYLIN
    density += view.melanin[..., None] * _MELANIN
    return np.rint(np.clip(np.float32(_GLASS) * np.exp(-density), 0, 255)).astype(np.uint8)


def _slow(canvas: Canvas, *waves: tuple[str, int, float]) -> Floats:
    """Smooth random factor around 1: sum of noises of (layer, spacing in px, standard deviation of the logarithm)."""
    total = sum((np.float32(depth) * canvas.noise(layer, spacing, STEP) for layer, spacing, depth in waves), 0)
    return enlarged(np.exp(total), STEP)


def _correlated(field: Floats, sigma: float) -> Floats:
    """Field correlated as by a Gaussian of `sigma` px (below 0.6), with three taps; the standard deviation is kept."""
    beside = math.exp(-0.5 / sigma**2)
    taps = np.array([beside, 1, beside], np.float32) / np.float32(math.sqrt(1 + 2 * beside**2))
    for _ in range(2):  # along one axis, then the other
        result = taps[1] * field
        result[1:-1] += taps[0] * (field[:-2] + field[2:])
        field = result.T
    return field
