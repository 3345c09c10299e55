"""Stain colours of a laboratory: what its nuclei and its stroma absorb, and H&E as densities in units of the two.

Light passes the dyes one behind the other (Beer-Lambert), so that optical densities add: a pixel absorbs
`haematoxylin * nucleus + eosin * stroma + rest * normal`, where `nucleus` and `stroma` are the optical densities of
red, green and blue of the laboratory's typical nucleus and stroma, and `normal` is perpendicular to both. The three
densities of a pixel tell what is there, whoever stained it; with the colours of another laboratory they give its H&E.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from confostain.arrays import Image, Mask, Rgb
from confostain.errors import SlideError
from confostain.imaging.histology_tissue import TISSUE_DENSITY
from confostain.imaging.nuclei import nuclei_in_stain
from confostain.imaging.optical_density import optical_density

Colour = tuple[float, float, float]
Dye = Literal["haematoxylin", "eosin"]

DYES: tuple[Dye, ...] = ("haematoxylin", "eosin")  # as rows of a matrix and as channels of densities
Matrix = npt.NDArray[np.float32]  # (3, 3)

STROMA_SHARE = 0.3  # of the tissue: that with the least red among its optical density, which haematoxylin takes
DENSE = 0.5  # of the median density of the tissue: paler pixels say nothing of a colour
NUCLEUS = 1  # px around the centre of a nucleus that count as nucleus
TOP = 0.95  # quantile of the nuclei's contrast that counts as full
CLEAR = 0.5  # of the full contrast: paler spots are often none
FEWEST_NUCLEI = 20  # clear ones
SMALLEST_ANGLE = 3.0  # degrees between the two colours: below, a slide has one dye only
DARKEST_GLASS = 215  # grey level
GREYEST = 10  # largest difference between the colours of glass, in grey levels
LARGEST_DENSITY = 4.0  # that a colour can have
GLASS_SHARE = 0.02  # of the pixels that must be glass for its level to be read off


@dataclass(frozen=True)
class StainColours:
    """Colours of a laboratory's H&E.

    Attributes:
        nucleus: decadic optical density of red, green and blue of a typical nucleus: haematoxylin of density 1.
        stroma: the same of typical stroma: eosin of density 1.
    """

    nucleus: Colour
    stroma: Colour

    @cached_property
    def matrix(self) -> Matrix:
        """Optical densities (red, green, blue) of density 1 of haematoxylin, eosin and rest: a row for each."""
        normal = np.cross(self.stroma, self.nucleus)
        return np.array([self.nucleus, self.stroma, normal / np.linalg.norm(normal)], np.float32)

    @cached_property
    def angle(self) -> float:
        """Angle between the two colours in degrees."""
        a, b = np.array(self.nucleus), np.array(self.stroma)
        return math.degrees(math.acos(min(1.0, float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))))))

    def densities(self, rgb: Rgb, white: Sequence[float] = (255.0, 255.0, 255.0)) -> Image:
        """Densities of haematoxylin, eosin and rest, float32 (3, h, w), of H&E, uint8 (h, w, 3).

        Signed: a pixel that is pinker than the typical stroma has less than no haematoxylin.

        Args:
            rgb: H&E of this laboratory.
            white: grey level of its glass in red, green and blue.
        """
        return np.ascontiguousarray(np.moveaxis(_density(rgb, white) @ np.linalg.inv(self.matrix), -1, 0))

    def picture(self, densities: Image) -> Rgb:
        """H&E in these colours, uint8 (h, w, 3), of densities (3, h, w)."""
        absorbed = np.moveaxis(densities, 0, -1) @ self.matrix
        light = np.exp(np.float32(-math.log(10)) * absorbed)
        return np.rint(np.clip(light, 0, 1) * np.float32(255)).astype(np.uint8)


# Fitted to skin_section1 and skin_section3 (CMU-1 of OpenSlide, CC0): well stained, neutral.
NEUTRAL = StainColours(nucleus=(0.5428, 0.787, 0.437), stroma=(0.0846, 0.3233, 0.1953))


def is_colour(value: object) -> bool:
    """Whether a value is a list of three optical densities from 0 to 4, not all of them 0."""
    if not isinstance(value, list) or len(value) != 3:
        return False
    return all(type(one) in (int, float) and 0 <= one <= LARGEST_DENSITY for one in value) and any(value)


def fit_stain_colours(images: Sequence[Rgb], where: str = "the H&E") -> StainColours:
    """Stain colours of the H&E of one laboratory.

    The nucleus is the median of the optical densities at the centres of nuclei of high contrast. Stroma is the median
    of the 30 % of the tissue with the least red among their optical density. Both count from the images' own glass.

    Args:
        images: uint8 (h, w, 3) each, at about 0.75 um/px.
        where: it is from; begins the message.

    Raises:
        SlideError: too few nuclei, no tissue, or one colour only.
    """
    white = glass_level(images)
    densities = [_density(rgb, white) for rgb in images]
    nuclei = [_at_nuclei(rgb, density) for rgb, density in zip(images, densities, strict=True)]
    contrast, at_nuclei = (np.concatenate(parts) for parts in zip(*nuclei, strict=True))
    in_tissue = np.concatenate([density[_is_tissue(density)][::4] for density in densities])
    if len(contrast):
        at_nuclei = at_nuclei[contrast >= CLEAR * np.quantile(contrast, TOP)]
    if len(at_nuclei) < FEWEST_NUCLEI or not len(in_tissue):
        raise SlideError(
            f"{where}: {len(at_nuclei)} clear nuclei in it; expected H&E with at least {FEWEST_NUCLEI} at about 0.75"
            " um/px; give a larger or another image"
        )
    total = in_tissue.sum(axis=1)
    dense = in_tissue[total >= DENSE * np.median(total)]
    red = dense[:, 0] / dense.sum(axis=1)
    stroma = dense[red <= np.quantile(red, STROMA_SHARE)]
    colours = StainColours(_median(at_nuclei), _median(stroma))
    if colours.angle < SMALLEST_ANGLE:
        raise SlideError(
            f"{where}: nuclei and stroma differ by {colours.angle:.0f} degrees of colour only; expected H&E, with blue"
            " nuclei and pink stroma; give another image"
        )
    return colours


def glass_level(images: Sequence[Rgb]) -> Colour:
    """Grey level of glass in red, green and blue: the median of what is bright and nearly grey.

    Where next to nothing is, the level that 0.2 % of the pixels exceed in their brightest colour, for all three.
    """
    sample = np.concatenate([image[::2, ::2].reshape(-1, 3) for image in images])
    darkest = sample.min(axis=1)
    glass = sample[(darkest >= DARKEST_GLASS) & (sample.max(axis=1) - darkest <= GREYEST)]
    if len(glass) >= GLASS_SHARE * len(sample):
        levels = np.median(glass, axis=0)
    else:
        levels = np.full(3, np.quantile(sample.max(axis=1), 1 - GLASS_SHARE / 10))
    red, green, blue = (float(max(level, DARKEST_GLASS)) for level in levels)
    return red, green, blue


def _density(rgb: Rgb, white: Sequence[float]) -> Image:
    """Decadic optical density, float32 (h, w, 3)."""
    return np.stack([optical_density(rgb[..., colour], white[colour]) for colour in range(3)], axis=-1)


def _is_tissue(density: Image) -> Mask:
    return np.asarray(density.sum(axis=-1) > TISSUE_DENSITY)


def _at_nuclei(rgb: Rgb, density: Image) -> tuple[Image, Image]:
    """Contrasts of nuclei (n,), and the mean optical densities of their middles, float32 (n, 3)."""
    found = nuclei_in_stain(rgb)
    inner = (found.yx >= NUCLEUS).all(axis=1) & (found.yx < np.array(density.shape[:2]) - NUCLEUS).all(axis=1)
    yx = found.yx[inner].astype(np.intp)
    reach = range(-NUCLEUS, NUCLEUS + 1)
    middles = [density[yx[:, 0] + y, yx[:, 1] + x] for y in reach for x in reach]
    return found.contrast[inner], np.mean(middles, axis=0, dtype=np.float32)


def _median(densities: Image) -> Colour:
    red, green, blue = (round(float(value), 4) for value in np.median(densities, axis=0))
    return red, green, blue
