"""Loss functions of the trainings: pixel errors, adversarial losses, structure, texture and nuclei of a stain.

Images are float32 (b, c, h, w) in about [0, 1]; a loss is a mean per pixel, to be made small, unless said otherwise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from confostain.data.colour_sample import DARKEST
from confostain.imaging.linear_stain import GAREAU_EOSIN, GAREAU_HAEMATOXYLIN

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, as grey pictures are made
NEIGHBOURHOOD = 13  # px
FLAT = 0.01  # standard deviations below this are noise
LEVEL = 1 / 255  # of grey
STEP = 2 / 255  # a difference between neighbours of this size counts nearly as a full one
SMALLEST_ERROR = 5e-5  # mean squared error, 43 dB


def squared_error(made: Tensor, clean: Tensor) -> Tensor:
    """Mean squared error, as published."""
    return functional.mse_loss(made, clean)


def decibel_error(made: Tensor, clean: Tensor) -> Tensor:
    """Mean of 10 log10(MSE) over the patches of a batch, in dB: the negative PSNR.

    Every patch counts alike, however noisy, so that the highest noise does not drown what the lowest teaches.
    The smallest error keeps nearly empty patches from taking over.
    """
    errors = functional.mse_loss(made, clean, reduction="none").mean(dim=(1, 2, 3))
    return 10 * torch.log10(errors + SMALLEST_ERROR).mean()


def total_variation(made: Tensor) -> Tensor:
    """Anisotropic total variation (ID-CNN, Wang et al. 2017): the mean step between neighbouring pixels."""
    return made.diff(dim=-1).abs().mean() + made.diff(dim=-2).abs().mean()


def residual_statistics(residual: Tensor, scale: Tensor, expected: Tensor) -> Tensor:
    """Mean difference of what was removed from an image to speckle, in power and in correlation between neighbours.

    What a network takes for texture is missing from the residual, the more so the more its pixels resemble their
    neighbours: it has too little power and correlation. Truth is not needed.

    Args:
        residual: image less result, (b, 1, h, w).
        scale: standard deviation that speckle would have, up to a factor, likewise.
        expected: moments of speckle divided by that scale, (b, 3), see `residual_moments`.
    """
    found = residual_moments(residual, scale)
    return ((found - expected).abs() / expected[:, :1].clamp(min=1e-9)).mean()


def residual_moments(residual: Tensor, scale: Tensor) -> Tensor:
    """Moments of residuals (b, 1, h, w) over their scale: mean square, mean products at lags of 1 and 2 px: (b, 3)."""
    z = residual / scale
    means = [z.square().mean(dim=(1, 2, 3))]
    for lag in (1, 2):
        down, across = z[..., lag:, :] * z[..., :-lag, :], z[..., lag:] * z[..., :-lag]
        means.append((down.mean(dim=(1, 2, 3)) + across.mean(dim=(1, 2, 3))) / 2)
    return torch.stack(means, dim=1)


def colour_distribution(made: Tensor, real: Tensor, generator: torch.Generator) -> Tensor:
    """Sliced Wasserstein-1 distance of the optical densities of RGB (b, 3, h, w), means over 2 px, to those of H&E.

    It compares how frequent colours are, not where they are. 16 random directions; as many random pixels as there are
    densities in `real`, (n, 3), natural logarithm. Source: Rabin et al. 2011, SSVM.
    """
    densities = -torch.log(functional.avg_pool2d(made, 2).clamp(min=DARKEST)).permute(0, 2, 3, 1).reshape(-1, 3)
    chosen = torch.randint(len(densities), (len(real),), generator=generator).to(made.device)
    directions = functional.normalize(torch.randn(3, 16, generator=generator), dim=0).to(made)
    a, b = ((points @ directions).sort(dim=0).values for points in (densities[chosen], real))
    return (a - b).abs().mean()


def generator_loss(scores_made: Tensor) -> Tensor:
    """Least-squares adversarial loss of a generator (Mao et al. 2017) from the discriminator's scores of its images."""
    return (scores_made - 1).square().mean()


def discriminator_loss(scores_real: Tensor, scores_made: Tensor) -> Tensor:
    """Least-squares loss of a discriminator from its scores of real and of generated images."""
    return ((scores_real - 1).square().mean() + scores_made.square().mean()) / 2


def gareau_composite(pair: Tensor) -> Tensor:
    """Gareau image (b, 3, h, w) of R and F (b, 2, h, w); see `confostain.imaging.linear_stain.gareau`."""
    eosin, haematoxylin = (pair.new_tensor(dye).view(1, 3, 1, 1) for dye in (GAREAU_EOSIN, GAREAU_HAEMATOXYLIN))
    return (1 - pair[:, :1] * (1 - eosin) - pair[:, 1:] * (1 - haematoxylin)).clamp(0, 1)


def luminance(rgb: Tensor) -> Tensor:
    """Luminance (b, 1, h, w) of RGB (b, 3, h, w), ITU-R BT.601."""
    return (rgb * rgb.new_tensor(LUMINANCE).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Mean structural similarity (SSIM, Wang 2004) of two images over their channels, Gaussian window of 1.5 px."""
    reach = torch.arange(-5, 6, dtype=a.dtype, device=a.device)
    kernel = torch.exp(-0.5 * (reach / 1.5) ** 2)
    kernel = kernel / kernel.sum()

    def smooth(image: Tensor) -> Tensor:
        channels = image.shape[1]
        rows = functional.conv2d(image, kernel.view(1, 1, 11, 1).expand(channels, 1, 11, 1), groups=channels)
        return functional.conv2d(rows, kernel.view(1, 1, 1, 11).expand(channels, 1, 1, 11), groups=channels)

    mean_a, mean_b, aa, bb, ab = smooth(torch.cat([a, b, a * a, b * b, a * b], dim=1)).chunk(5, dim=1)
    variances = aa - mean_a**2 + bb - mean_b**2
    covariance = ab - mean_a * mean_b
    scores = (2 * mean_a * mean_b + 1e-4) * (2 * covariance + 9e-4)
    return (scores / ((mean_a**2 + mean_b**2 + 1e-4) * (variances + 9e-4))).mean()


def structure(made: Tensor, reference: Tensor) -> Tensor:
    """One minus the structural similarity (SSIM) of the luminances of two RGB images."""
    return 1 - ssim(luminance(made), luminance(reference))


def gradient_order(made: Tensor, reference: Tensor) -> Tensor:
    """Mean squared difference of the signs of neighbouring-pixel gradients (soft local binary patterns) of two images.

    It ties fine texture to the scan: in each of four directions the signs of the differences between neighbours are
    compared, whatever their size.
    """
    a, b = luminance(made) / STEP, luminance(reference) / STEP
    height, width = a.shape[-2:]
    losses = []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        left = max(-right, 0)
        here = (..., slice(0, height - down), slice(left, width - max(right, 0)))
        there = (..., slice(down, height), slice(left + right, width - max(right, 0) + right))
        losses.append((torch.tanh(a[there] - a[here]) - torch.tanh(b[there] - b[here])).square().mean())
    return torch.stack(losses).mean()


def lbp_distance(made: Tensor, reference: Tensor) -> Tensor:
    """Chi-squared distance of the histograms of soft uniform local binary patterns (LBP) of two luminances.

    It compares how frequent the kinds of texture are, not where they are. 8 neighbours on a circle of radius 1,
    between pixels by interpolation; patterns after Ojala et al. 2002.
    """
    a, b = (_lbp_shares(luminance(image)) for image in (made, reference))
    return ((a - b).square() / (a + b + 1e-6)).sum()


def _lbp_shares(grey: Tensor) -> Tensor:
    """Shares of the nine uniform patterns, by how many neighbours are not darker, and of all others: (10,)."""
    height, width = grey.shape[-2:]

    def moved(down: int, right: int) -> Tensor:
        return grey[..., 1 + down : height - 1 + down, 1 + right : width - 1 + right]

    centre, a = moved(0, 0), math.sqrt(0.5)
    circle = []
    for down, right in ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)):
        neighbour = moved(down, right)
        if down and right:  # the circle passes inside the diagonal pixel
            sides = moved(down, 0) + moved(0, right)
            neighbour = (1 - a) ** 2 * centre + a * (1 - a) * sides + a**2 * neighbour
        circle.append(torch.sigmoid((neighbour - centre) / LEVEL + 0.5))
    signs = torch.stack(circle)
    changes = (signs - signs.roll(1, 0)).abs().sum(dim=0)
    uniform = torch.sigmoid(4 * (3 - changes))  # two changes around the circle or none
    ones = signs.sum(dim=0)
    shares = [(functional.relu(1 - (ones - number).abs()) * uniform).mean() for number in range(9)]
    return torch.stack([*shares, (1 - uniform).mean()])


def grid(made: Tensor, period: int) -> Tensor:
    """Mean square, in grey levels, of the pattern that repeats every `period` px of RGB (b, 3, h, w), locally.

    What is left after a box of 5 px is averaged over the pixels that have the same place in the grid on which a network
    shuffles its pixels, in squares of ten periods. Texture cancels out there; a grid does not.
    """
    detail = (made - functional.avg_pool2d(made, 5, stride=1, padding=2, count_include_pad=False)) / LEVEL
    phases = functional.pixel_unshuffle(detail, period)
    return functional.avg_pool2d(phases, 10, stride=5).square().mean()


def absorbed_red(rgb: Tensor) -> Tensor:
    """Optical density of red light (natural logarithm, up to 3) of RGB (b, 3, h, w): (b, 1, h, w)."""
    return -torch.log(rgb[:, :1].clamp(min=0.05))


def nuclei_correlation(made: Tensor, fluorescence: Tensor) -> Tensor:
    """One minus the local correlation of the absorbed red light of RGB (b, 3, h, w) with the fluorescence (b, 1, h, w).

    A nucleus in F is then a nucleus in haematoxylin, which absorbs red, and the other way round. The correlation is
    that in squares of 13 px, a little more than a nucleus, of both smoothed over 3 px, so that faint nuclei count as
    much; where both are flat it is 1.
    """
    a, b = (functional.avg_pool2d(image, 3, stride=1) for image in (absorbed_red(made), fluorescence))

    side = NEIGHBOURHOOD  # means of squares by convolutions, several times as fast as pooling
    row = a.new_full((5, 1, 1, side), 1 / side)
    images = torch.cat([a, b, a * a, b * b, a * b], dim=1)
    means = functional.conv2d(functional.conv2d(images, row, groups=5), row.transpose(2, 3), groups=5)
    mean_a, mean_b, aa, bb, ab = means.chunk(5, dim=1)
    variance_a, variance_b = (aa - mean_a**2).clamp(min=0), (bb - mean_b**2).clamp(min=0)
    covariance = ab - mean_a * mean_b
    return 1 - ((covariance + FLAT**2) / ((variance_a + FLAT**2) * (variance_b + FLAT**2)).sqrt()).mean()
