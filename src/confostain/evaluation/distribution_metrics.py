"""Distribution metrics between unpaired images: LBP histograms, sliced Wasserstein distances of patches and colours.

None of them compares pixels at the same place, so a good image of other tissue gets good values; the nuclei audit
compares places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from confostain.arrays import Grey, Rgb
from confostain.errors import OptionError

Vectors = npt.NDArray[np.float32]  # (n, dimensions)

PATCH = 7  # px
SCALES = (1, 2, 4)  # downsampling factors, by means of blocks
PATCHES = 4096  # sampled at each scale
COLOURS = 8192  # pixels sampled for optical densities
DIRECTIONS = 128  # projections of the sliced Wasserstein distance
SEED = 2019

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as most programs turn RGB into grey
NEIGHBOURS, RADIUS = 8, 1  # of local binary patterns


def grey(rgb: Rgb) -> Grey:
    """Luma (ITU-R BT.601) of an image: uint8 (h, w), rounded to the nearest level."""
    return np.rint(rgb @ np.array(LUMA)).astype(np.uint8)


def lbp_distance(a: Rgb, b: Rgb) -> float:
    """Chi-squared distance of the histograms of uniform local binary patterns (LBP) of two images, 0 to 2.

    8 neighbours, radius 1, on 8-bit grey; the ten bins of each image add up to 1. `sum((a - b)^2 / (a + b))`, without
    the factor 1/2 that some authors add: their values are half of these.
    Source of the patterns: Ojala et al. 2002, IEEE Trans. Pattern Anal. Mach. Intell. 24(7), 971.
    """
    p, q = lbp_histogram(grey(a)), lbp_histogram(grey(b))
    total = p + q
    return float(np.sum(np.square(p - q)[total > 0] / total[total > 0]))


def lbp_histogram(image: Grey) -> npt.NDArray[np.float64]:
    """Normalised histogram of uniform local binary patterns: (10,), the last bin all patterns that are not uniform."""
    from skimage.feature import local_binary_pattern

    codes = local_binary_pattern(image, NEIGHBOURS, RADIUS, "uniform").astype(np.intp)  # type: ignore[no-untyped-call]
    return np.bincount(codes.ravel(), minlength=NEIGHBOURS + 2) / codes.size


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """Random sample of the patches and colours of a set of images, drawn with a fixed seed.

    Attributes:
        patches: for each of SCALES float32 (4096, 147): 7 x 7 px of colour in [0, 1].
        colours: float32 (8192, 3): optical density (natural logarithm) of red, green and blue light.
    """

    patches: tuple[Vectors, ...]
    colours: Vectors

    @classmethod
    def of(cls, images: Sequence[Rgb]) -> ImageFeatures:
        """Sample of images of at least 28 x 28 px, each in proportion to its size.

        Raises:
            OptionError: there is no image, or one is smaller.
        """
        least = PATCH * SCALES[-1]
        if not images or min(min(image.shape[:2]) for image in images) < least:
            sizes = ", ".join(f"{image.shape[1]} x {image.shape[0]}" for image in images) or "none"
            raise OptionError(
                f"images of {sizes} px: expected at least one, and {least} x {least} px; give larger ones"
            )
        rng = np.random.default_rng(SEED)
        patches = tuple(_sample_patches([_downsampled(image, scale) for image in images], rng) for scale in SCALES)
        pixels = np.concatenate([image.reshape(-1, 3) for image in images])
        sample = pixels[rng.integers(len(pixels), size=COLOURS)].astype(np.float32)
        return cls(patches, np.log(255 / np.maximum(sample, 1)))


def patch_distance(a: ImageFeatures, b: ImageFeatures) -> float:
    """Sliced Wasserstein distance of 7 x 7 px colour patches, in units of brightness; the mean over three scales."""
    return float(np.mean([sliced_wasserstein(p, q) for p, q in zip(a.patches, b.patches, strict=True)]))


def colour_distance(a: ImageFeatures, b: ImageFeatures) -> float:
    """Sliced Wasserstein distance of the optical densities of single pixels."""
    return sliced_wasserstein(a.colours, b.colours)


def sliced_wasserstein(a: Vectors, b: Vectors) -> float:
    """Sliced Wasserstein-1 distance of two sets of n points, both float32 (n, dimensions).

    The mean over 128 random directions of the mean distance between the sorted projections. Source: Rabin et al. 2011,
    "Wasserstein barycenter and its application to texture mixing", SSVM.
    """
    rng = np.random.default_rng(SEED)
    directions = rng.standard_normal((a.shape[1], DIRECTIONS)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=0)
    return float(np.abs(np.sort(a @ directions, axis=0) - np.sort(b @ directions, axis=0)).mean(dtype=np.float64))


def _downsampled(image: Rgb, scale: int) -> npt.NDArray[np.float32]:
    """Means of blocks, in [0, 1]; incomplete blocks are left out."""
    height, width = (length // scale for length in image.shape[:2])
    blocks = image[: height * scale, : width * scale].reshape(height, scale, width, scale, 3)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32) / np.float32(255))


def _sample_patches(images: Sequence[npt.NDArray[np.float32]], rng: np.random.Generator) -> Vectors:
    places = np.array([(len(image) - PATCH + 1) * (image.shape[1] - PATCH + 1) for image in images])
    numbers = rng.multinomial(PATCHES, places / places.sum())
    sample = []
    for image, number in zip(images, numbers, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(image, (PATCH, PATCH), axis=(0, 1))
        rows, columns = rng.integers(windows.shape[0], size=number), rng.integers(windows.shape[1], size=number)
        sample.append(windows[rows, columns].reshape(number, -1))
    return np.concatenate(sample)
