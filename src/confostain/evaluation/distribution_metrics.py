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
from confostain.evaluation.bootstrap import Interval, block_index, bootstrap_interval, number_of_blocks

Vectors = npt.NDArray[np.float32]  # (n, dimensions)

PATCH = 7  # px
SCALES = (1, 2, 4)  # downsampling factors, by means of blocks
PATCHES = 4096  # sampled at each scale
COLOURS = 8192  # pixels sampled for optical densities
DIRECTIONS = 128  # projections of the sliced Wasserstein distance
BINS = 256  # of the histograms of projections by which resamples are compared
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
class Sample:
    """Vectors sampled from a set of images, with the blocks of 128 px that they are from.

    Attributes:
        vectors: float32 (n, dimensions).
        block: number of the block, (n,).
        blocks: number of blocks of all images.
    """

    vectors: Vectors
    block: npt.NDArray[np.intp]
    blocks: int


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """Random sample of the patches and colours of a set of images, drawn with a fixed seed.

    Attributes:
        patches: for each of SCALES 4096 patches of 7 x 7 px of colour in [0, 1], as vectors (4096, 147).
        colours: 8192 optical densities (natural logarithm) of red, green and blue light, as vectors (8192, 3).
    """

    patches: tuple[Sample, ...]
    colours: Sample

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
        patches = tuple(_sample_patches(images, scale, rng) for scale in SCALES)
        return cls(patches, _sample_colours(images, rng))


def patch_distance(a: ImageFeatures, b: ImageFeatures) -> float:
    """Sliced Wasserstein distance of 7 x 7 px colour patches, in units of brightness; the mean over three scales."""
    pairs = zip(a.patches, b.patches, strict=True)
    return float(np.mean([sliced_wasserstein(p.vectors, q.vectors) for p, q in pairs]))


def colour_distance(a: ImageFeatures, b: ImageFeatures) -> float:
    """Sliced Wasserstein distance of the optical densities of single pixels."""
    return sliced_wasserstein(a.colours.vectors, b.colours.vectors)


def distance_ratio_interval(
    a: Sequence[Sample], divisor: Sequence[Sample], reference: Sequence[Sample]
) -> Interval | None:
    """95 % interval of the distance of `a` to the reference divided by that of `divisor`, over blocks of the image.

    Distances are summed over the samples of each. `a` and `divisor` are of two images of one size, so that their
    samples are from the same blocks; the reference is not resampled.
    """

    def distance(samples: Sequence[Sample], counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        parts = [_resampled_wasserstein(p, q.vectors, counts) for p, q in zip(samples, reference, strict=True)]
        return np.asarray(np.sum(parts, axis=0))

    return bootstrap_interval(lambda counts: distance(a, counts) / distance(divisor, counts), a[0].blocks)


def sliced_wasserstein(a: Vectors, b: Vectors) -> float:
    """Sliced Wasserstein-1 distance of two sets of n points, both float32 (n, dimensions).

    The mean over 128 random directions of the mean distance between the sorted projections. Source: Rabin et al. 2011,
    "Wasserstein barycenter and its application to texture mixing", SSVM.
    """
    directions = _directions(a.shape[1])
    return float(np.abs(np.sort(a @ directions, axis=0) - np.sort(b @ directions, axis=0)).mean(dtype=np.float64))


def _directions(dimensions: int) -> Vectors:
    """128 random unit vectors (dimensions, 128), drawn with a fixed seed."""
    directions = np.random.default_rng(SEED).standard_normal((dimensions, DIRECTIONS)).astype(np.float32)
    return np.asarray(directions / np.linalg.norm(directions, axis=0))


def _resampled_wasserstein(
    sample: Sample, reference: Vectors, counts: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Sliced Wasserstein distance of resamples of the blocks of a sample to a reference: float64 (resamples,).

    Args:
        sample: of an image.
        reference: float32 (n, dimensions).
        counts: how often each block is in each resample, (resamples, blocks).
    """
    shares = counts / (counts @ np.bincount(sample.block, minlength=sample.blocks))[:, np.newaxis]
    weights = shares.astype(np.float32)  # of one vector of each block
    directions, total = _directions(reference.shape[1]), np.zeros(len(counts))
    for x, y in zip((sample.vectors @ directions).T, (reference @ directions).T, strict=True):
        low, high = min(x.min(), y.min()), max(x.max(), y.max())
        bins, expected = (((one - low) / max(high - low, 1e-9) * (BINS - 1)).astype(np.intp) for one in (x, y))
        by_block = np.bincount(sample.block * BINS + bins, minlength=sample.blocks * BINS).reshape(-1, BINS)
        difference = weights @ np.cumsum(by_block, axis=1, dtype=np.float32)
        difference -= (np.cumsum(np.bincount(expected, minlength=BINS)) / len(y)).astype(np.float32)
        total += np.abs(difference, out=difference).sum(axis=1) * (high - low) / (BINS - 1)
    return total / DIRECTIONS


def _downsampled(image: Rgb, scale: int) -> npt.NDArray[np.float32]:
    """Means of blocks, in [0, 1]; incomplete blocks are left out."""
    height, width = (length // scale for length in image.shape[:2])
    blocks = image[: height * scale, : width * scale].reshape(height, scale, width, scale, 3)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32) / np.float32(255))


def _sample_patches(images: Sequence[Rgb], scale: int, rng: np.random.Generator) -> Sample:
    small = [_downsampled(image, scale) for image in images]
    places = np.array([(len(image) - PATCH + 1) * (image.shape[1] - PATCH + 1) for image in small])
    numbers = rng.multinomial(PATCHES, places / places.sum())
    sample, block, blocks = [], [], 0
    for image, original, number in zip(small, images, numbers, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(image, (PATCH, PATCH), axis=(0, 1))
        rows, columns = rng.integers(windows.shape[0], size=number), rng.integers(windows.shape[1], size=number)
        sample.append(windows[rows, columns].reshape(number, -1))
        block.append(blocks + block_index(rows * scale, columns * scale, original.shape))
        blocks += number_of_blocks(original.shape)
    return Sample(np.concatenate(sample), np.concatenate(block), blocks)


def _sample_colours(images: Sequence[Rgb], rng: np.random.Generator) -> Sample:
    sizes = [image.shape[0] * image.shape[1] for image in images]
    chosen = rng.integers(sum(sizes), size=COLOURS)
    colours, block, start, blocks = np.empty((COLOURS, 3), np.float32), np.empty(COLOURS, np.intp), 0, 0
    for image, size in zip(images, sizes, strict=True):
        here = (chosen >= start) & (chosen < start + size)
        rows, columns = np.divmod(chosen[here] - start, image.shape[1])
        colours[here], block[here] = image[rows, columns], blocks + block_index(rows, columns, image.shape)
        start, blocks = start + size, blocks + number_of_blocks(image.shape)
    return Sample(np.log(255 / np.maximum(colours, 1)), block, blocks)
