"""Feature distances between sets of images: kernel and Frechet distance of features of a network for natural images.

Crops of 224 px are described by the pooled features of EfficientNet-lite0 (`networks.features`). Two sets of crops are
compared by the kernel distance, as in the Kernel Inception Distance (Binkowski et al. 2018, "Demystifying MMD GANs",
ICLR), or by the Frechet distance (Heusel et al. 2017, NeurIPS). Neither compares places. The network never saw tissue:
it judges how a texture looks, not what it means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from confostain.arrays import Rgb
from confostain.evaluation.bootstrap import Floats, Indices, Interval, bootstrap_interval

if TYPE_CHECKING:
    from confostain.networks.features import NaturalImageFeatures

CROP = 224  # px, as in the training of the network
CROPS = 120
BATCH = 30  # crops
SEED = 2019
DIRECTIONS = 16  # principal components of the Frechet distance: 120 crops give no covariance of 1280 features


@dataclass(frozen=True, eq=False)
class CropFeatures:
    """Pooled features of crops of a set of images.

    Attributes:
        vectors: float64 (120, 1280).
        image: index of the image that each crop is from, (120,).
        block: number of the block, an image's square of 224 px that holds the centre of the crop, (120,); blocks are
            what the bootstrap resamples, because crops that overlap are no independent samples.
    """

    vectors: Floats
    image: Indices
    block: Indices

    @classmethod
    def of(cls, images: Sequence[Rgb]) -> CropFeatures | None:
        """Features of 120 crops at random positions, drawn with a fixed seed, images in proportion to their size.

        None where there is no image, or one is smaller than a crop.
        """
        if not images or min(min(image.shape[:2]) for image in images) < CROP:
            return None
        rng = np.random.default_rng(SEED)
        areas = np.array([image.shape[0] * image.shape[1] for image in images], np.float64)
        chosen = np.sort(rng.choice(len(images), CROPS, p=areas / areas.sum()))
        corners = rng.integers(np.array([images[index].shape[:2] for index in chosen]) - CROP + 1)
        crops = [images[i][y : y + CROP, x : x + CROP] for i, (y, x) in zip(chosen, corners, strict=True)]
        squares = np.column_stack([chosen, (corners + CROP // 2) // CROP])
        return cls(_pooled(crops), chosen, _renumbered(squares))

    def of_images(self, first: int, last: int) -> CropFeatures:
        """Crops of the images from `first` up to, but without, `last`."""
        chosen = (self.image >= first) & (self.image < last)
        return CropFeatures(self.vectors[chosen], self.image[chosen], _renumbered(self.block[chosen]))

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return int(self.block.max(initial=-1)) + 1


@dataclass(frozen=True)
class FeatureDistance:
    """Distances of two sets of crops, with intervals; each None where a set has fewer than two blocks, or no crop.

    Attributes:
        kernel: squared maximum mean discrepancy, unbiased, so it can be slightly below 0.
        frechet: Frechet distance in the plane of the leading principal components of the reference; biased upwards,
            the more so the fewer crops there are: compare it with that of the reference's halves.
    """

    kernel: float | None
    kernel_interval: Interval | None
    frechet: float | None
    frechet_interval: Interval | None

    @classmethod
    def between(cls, crops: CropFeatures | None, reference: CropFeatures | None) -> FeatureDistance:
        """Distances of crops to those of the reference."""
        if crops is None or reference is None or min(crops.blocks, reference.blocks) < 2:
            return cls(None, None, None, None)
        return cls(*kernel_distance(crops, reference), *frechet_distance(crops, reference))


def kernel_distance(a: CropFeatures, b: CropFeatures) -> tuple[float, Interval | None]:
    """Squared maximum mean discrepancy with the kernel (x.y / 1280 + 1)^3, unbiased; and its 95 % interval.

    The mean of the kernel over pairs of different crops of one set, added for both sets, minus twice its mean over
    pairs of both. In a resample, pairs within one block count as often as the block is drawn, not as its square:
    otherwise each crop would be compared with its own copies.
    """
    within_a, within_b, across = _block_sums(a, a), _block_sums(b, b), _block_sums(a, b)

    def figure(of_a: Floats, of_b: Floats) -> Floats:
        kernel, pairs = (np.einsum("ri,ij,rj->r", of_a, sums, of_b) for sums in across)
        return _mean_within(of_a, within_a) + _mean_within(of_b, within_b) - 2 * kernel / pairs

    blocks = (a.blocks, b.blocks)
    observed = figure(*(np.ones((1, number)) for number in blocks))
    return float(observed[0]), bootstrap_interval(figure, *blocks)


def frechet_distance(a: CropFeatures, b: CropFeatures) -> tuple[float, Interval | None]:
    """Frechet distance of two normal distributions fitted to crops of `a` and of `b`, and its 95 % interval.

    The features are first projected on the 16 leading principal components of `b`, because the covariance of 1280
    features of so few crops is singular. Resamples, which have fewer different crops, are biased further upwards; the
    interval is moved back by that.
    """
    centre = b.vectors.mean(axis=0)
    axes = np.linalg.svd(b.vectors - centre, full_matrices=False)[2][:DIRECTIONS].T
    x, y = (one.vectors @ axes for one in (a, b))

    def figure(of_a: Floats, of_b: Floats) -> Floats:
        (mean_a, cov_a), (mean_b, cov_b) = (_moments(x, of_a[:, a.block]), _moments(y, of_b[:, b.block]))
        roots = np.sqrt(np.linalg.eigvals(cov_a @ cov_b).real.clip(min=0)).sum(axis=-1)
        traces = np.trace(cov_a, axis1=1, axis2=2) + np.trace(cov_b, axis1=1, axis2=2)
        return np.asarray(np.square(mean_a - mean_b).sum(axis=1) + traces - 2 * roots)

    blocks = (a.blocks, b.blocks)
    observed = figure(*(np.ones((1, number)) for number in blocks))
    return float(observed[0]), bootstrap_interval(figure, *blocks, centre=float(observed[0]))


def _renumbered(labels: Indices) -> Indices:
    """Labels, one for each row, as numbers from 0 without gaps."""
    return np.unique(labels, axis=0, return_inverse=True)[1].ravel()


def _block_sums(a: CropFeatures, b: CropFeatures) -> Floats:
    """Kernel and number of pairs, summed over pairs of blocks: (2, blocks of a, blocks of b); no crop with itself."""
    kernel = (a.vectors @ b.vectors.T / a.vectors.shape[1] + 1) ** 3
    counted = np.ones_like(kernel)
    if a is b:
        np.fill_diagonal(kernel, 0)
        np.fill_diagonal(counted, 0)
    of_a, of_b = (np.eye(one.blocks)[one.block] for one in (a, b))
    return np.stack([of_a.T @ values @ of_b for values in (kernel, counted)])


def _mean_within(counts: Floats, sums: Floats) -> Floats:
    """Mean kernel over pairs of different crops of one set, (resamples,)."""
    own = np.diagonal(sums, axis1=1, axis2=2)
    across = sums * (1 - np.eye(sums.shape[1]))
    kernel, pairs = (np.einsum("ri,ij,rj->r", counts, across[i], counts) + counts @ own[i] for i in (0, 1))
    return np.asarray(kernel / pairs)


def _moments(vectors: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Weighted means (resamples, d) and covariances (resamples, d, d) of vectors (n, d)."""
    shares = weights / weights.sum(axis=1, keepdims=True)
    means = shares @ vectors
    squares = np.einsum("rn,ni,nj->rij", shares, vectors, vectors, optimize=True)
    return means, squares - means[:, :, np.newaxis] * means[:, np.newaxis, :]


@lru_cache(maxsize=1)
def _network() -> NaturalImageFeatures:
    from confostain.networks.features import NaturalImageFeatures

    return NaturalImageFeatures()


def _pooled(crops: Sequence[Rgb]) -> Floats:
    """Pooled features of crops, uint8 (224, 224, 3) each: float64 (n, 1280)."""
    import torch

    network, found = _network(), []
    with torch.inference_mode():
        for start in range(0, len(crops), BATCH):
            batch = torch.from_numpy(np.stack(crops[start : start + BATCH])).permute(
                0, 3, 1, 2
            )  # channels last: faster
            found.append(network.pooled(batch.float() / 255).double().numpy())
    return np.concatenate(found)
