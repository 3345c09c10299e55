"""Closed-form stains: reflectance and fluorescence to H&E-like RGB by formula, pixel by pixel.

Both process an image in blocks of rows that fit into the processor's cache. Each pixel depends only on its own two
values, so the result does not depend on how a slide is tiled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from confostain.arrays import Pair, Rgb

Plane = npt.NDArray[np.float32]  # (h, w)
Weights = Sequence[tuple[float, float]]  # of R and of F, for each of red, green, blue

GAREAU_HAEMATOXYLIN = (0.30, 0.20, 1.00)  # RGB where F is 1 and R is 0
GAREAU_EOSIN = (1.00, 0.55, 0.88)  # RGB where R is 1 and F is 0

BEER_LAMBERT_STRENGTH = 2.5  # k: optical density of a channel at 1, per unit of beta
BEER_LAMBERT_HAEMATOXYLIN = (0.860, 1.000, 0.300)  # beta of F, the nuclear channel
BEER_LAMBERT_EOSIN = (0.050, 1.000, 0.544)  # beta of R, the counterstain

BLOCK_PIXELS = 1 << 15  # two planes and the colours of a block: under half a megabyte


def gareau(rf: Pair) -> Rgb:
    """Linear composite of Gareau: white minus the light that each dye absorbs, clipped at black.

    `rf` is float32 (2, h, w) in [0, 1], R then F; the result is uint8 (h, w, 3), rounded to nearest.
    `rgb = 1 - F * (1 - H) - R * (1 - E)`. Source: Gareau 2009, "Feasibility of digitally stained multimodal
    confocal mosaics to simulate histopathology", J. Biomed. Opt. 14(3), 034050.
    """
    absorbed = [
        (255 * (1 - eosin), 255 * (1 - haematoxylin))
        for eosin, haematoxylin in zip(GAREAU_EOSIN, GAREAU_HAEMATOXYLIN, strict=True)
    ]
    return _stain_in_blocks(rf, absorbed, _subtract_from_white)


def gareau_composite(rf: Pair) -> npt.NDArray[np.float32]:
    """Composite of `gareau` before rounding: float32 (2, h, w), R then F, to float32 (3, h, w) in [0, 1], 1 for white.

    Input of the generator in the published pipeline.
    """
    reflectance, fluorescence = rf
    composite = np.empty((3, *reflectance.shape), np.float32)
    for plane, haematoxylin, eosin in zip(composite, GAREAU_HAEMATOXYLIN, GAREAU_EOSIN, strict=True):
        np.multiply(fluorescence, np.float32(haematoxylin - 1), out=plane)
        plane += reflectance * np.float32(eosin - 1)
        plane += 1
        np.maximum(plane, 0, out=plane)
    return composite


def beer_lambert(rf: Pair) -> Rgb:
    """Beer-Lambert stain of Giacomelli: two dyes that absorb light one behind the other.

    `rf` is float32 (2, h, w) in [0, 1], R then F; the result is uint8 (h, w, 3), rounded to nearest.
    `c = exp(-k * bH_c * F) * exp(-k * bE_c * R)`. Source: Giacomelli et al. 2016, "Virtual hematoxylin and
    eosin transillumination microscopy using epi-fluorescence imaging", PLOS ONE 11(8), e0159337.
    """
    densities = [
        (BEER_LAMBERT_STRENGTH * eosin, BEER_LAMBERT_STRENGTH * haematoxylin)
        for eosin, haematoxylin in zip(BEER_LAMBERT_EOSIN, BEER_LAMBERT_HAEMATOXYLIN, strict=True)
    ]
    return _stain_in_blocks(rf, densities, _transmit)


def _subtract_from_white(absorbed: Plane) -> None:
    """Replace absorbed light, in grey levels, by the grey level that remains, in place."""
    np.subtract(np.float32(255), absorbed, out=absorbed)
    np.maximum(absorbed, np.float32(0), out=absorbed)


def _transmit(density: Plane) -> None:
    """Replace an optical density (natural logarithm) by the grey level of the transmitted light, in place."""
    np.negative(density, out=density)
    np.exp(density, out=density)
    np.multiply(density, np.float32(255), out=density)


def _stain_in_blocks(rf: Pair, weights: Weights, to_grey_level: Callable[[Plane], None]) -> Rgb:
    """Weighted sum of R and F for each colour, turned into grey levels in place and rounded to nearest: (h, w, 3)."""
    _, height, width = rf.shape
    rgb = np.empty((height, width, 3), np.uint8)
    rows = max(1, BLOCK_PIXELS // max(1, width))
    # All arithmetic runs in two contiguous planes, whatever the layout of rf: on strided memory exp runs other code,
    # whose last bits differ.
    scratch = np.empty((2, min(rows, height), width), np.float32)
    for top in range(0, height, rows):
        reflectance, fluorescence = rf[:, top : top + rows]
        level, other = scratch[:, : len(reflectance)]
        for colour, (of_reflectance, of_fluorescence) in enumerate(weights):
            np.multiply(reflectance, np.float32(of_reflectance), out=level)
            np.multiply(fluorescence, np.float32(of_fluorescence), out=other)
            np.add(level, other, out=level)
            to_grey_level(level)
            np.add(level, np.float32(0.5), out=level)  # the cast truncates, so this rounds to nearest
            np.copyto(rgb[top : top + rows, :, colour], level, casting="unsafe")
    return rgb
