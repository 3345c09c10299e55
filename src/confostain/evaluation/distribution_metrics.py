"""How alike images look whose pixels have no partner: grey texture, patches of colour, colours of dyes.

None of these looks at what is where: a beautiful picture of other tissue would pass. The audit of nuclei is for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from confostain.arrays import Grey, Rgb
from confostain.errors import OptionError

Values = npt.NDArray[np.float32]  # (n, dimensions)

PATCH = 7  # px
SCALES = (1, 2, 4)  # each pixel the mean of so many by so many
PATCHES = 4096  # drawn for each scale
COLOURS = 8192  # pixels drawn for the colours of dyes
DIRECTIONS = 128
SEED = 2019

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as most programs turn RGB into grey
NEIGHBOURS, RADIUS = 8, 1


def grey(rgb: Rgb) -> Grey:
    """An image in 256 grey levels, uint8 (h, w), rounded to nearest."""
    return np.rint(rgb @ np.array(LUMA)).astype(np.uint8)


def texture_distance(a: Rgb, b: Rgb) -> float:
    """Chi-squared distance of two images' histograms of uniform local binary patterns, 0 to 2.

    8 neighbours, radius 1, on 8-bit grey; the ten shares of each image add up to 1. `sum((a - b)^2 / (a + b))`,
    without the factor 1/2 that some add: theirs is half of this, so a limit stated with it is met all the more.
    Source of the patterns: Ojala et al. 2002, IEEE Trans. Pattern Anal. Mach. Intell. 24(7), 971.
    """
    p, q = pattern_shares(grey(a)), pattern_shares(grey(b))
    both = p + q
    return float(np.sum(np.square(p - q)[both > 0] / both[both > 0]))


def pattern_shares(image: Grey) -> npt.NDArray[np.float64]:
    """How often each uniform local binary pattern occurs, as shares: (10,), the last one all that are not uniform."""
    from skimage.feature import local_binary_pattern

    codes = local_binary_pattern(image, NEIGHBOURS, RADIUS, "uniform").astype(np.intp)  # type: ignore[no-untyped-call]
    return np.bincount(codes.ravel(), minlength=NEIGHBOURS + 2) / codes.size


@dataclass(frozen=True, eq=False)
class Looks:
    """What a set of images looks like: patches and colours drawn at random, by a fixed seed.

    Attributes:
        patches: for each of SCALES float32 (4096, 147): 7 x 7 px of colour in [0, 1].
        colours: float32 (8192, 3): optical density (natural logarithm) of red, green and blue light.
    """

    patches: tuple[Values, ...]
    colours: Values

    @classmethod
    def of(cls, images: Sequence[Rgb]) -> Looks:
        """Draw from images of at least 28 x 28 px, from each by its size; OptionError for smaller ones, or none."""
        least = PATCH * SCALES[-1]
        if not images or min(min(image.shape[:2]) for image in images) < least:
            sizes = ", ".join(f"{image.shape[1]} x {image.shape[0]}" for image in images) or "none"
            raise OptionError(
                f"images of {sizes} px: expected at least one, and {least} x {least} px; give larger ones"
            )
        rng = np.random.default_rng(SEED)
        patches = tuple(_patches([_reduced(image, scale) for image in images], rng) for scale in SCALES)
        pixels = np.concatenate([image.reshape(-1, 3) for image in images])
        drawn = pixels[rng.integers(len(pixels), size=COLOURS)].astype(np.float32)
        return cls(patches, np.log(255 / np.maximum(drawn, 1)))


def patch_distance(a: Looks, b: Looks) -> float:
    """Sliced Wasserstein distance of 7 x 7 colour patches, in the unit of brightness; the mean over three scales."""
    return float(np.mean([sliced_wasserstein(p, q) for p, q in zip(a.patches, b.patches, strict=True)]))


def colour_distance(a: Looks, b: Looks) -> float:
    """Sliced Wasserstein distance of pixels' optical densities."""
    return sliced_wasserstein(a.colours, b.colours)


def sliced_wasserstein(a: Values, b: Values) -> float:
    """How far a cloud of points has to be moved to become another of as many, seen along random directions.

    Both float32 (n, dimensions). For each of 128 directions, the mean distance between the sorted projections
    (Wasserstein-1); their mean. Source: Rabin et al. 2011, "Wasserstein barycenter and its application to texture
    mixing", SSVM.
    """
    rng = np.random.default_rng(SEED)
    directions = rng.standard_normal((a.shape[1], DIRECTIONS)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=0)
    return float(np.abs(np.sort(a @ directions, axis=0) - np.sort(b @ directions, axis=0)).mean(dtype=np.float64))


def _reduced(image: Rgb, scale: int) -> npt.NDArray[np.float32]:
    """Means of blocks, in [0, 1]; what is no whole block is left out."""
    height, width = (length // scale for length in image.shape[:2])
    blocks = image[: height * scale, : width * scale].reshape(height, scale, width, scale, 3)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32) / np.float32(255))


def _patches(images: Sequence[npt.NDArray[np.float32]], rng: np.random.Generator) -> Values:
    places = np.array([(len(image) - PATCH + 1) * (image.shape[1] - PATCH + 1) for image in images])
    numbers = rng.multinomial(PATCHES, places / places.sum())
    drawn = []
    for image, number in zip(images, numbers, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(image, (PATCH, PATCH), axis=(0, 1))
        rows, columns = rng.integers(windows.shape[0], size=number), rng.integers(windows.shape[1], size=number)
        drawn.append(windows[rows, columns].reshape(number, -1))
    return np.concatenate(drawn)
