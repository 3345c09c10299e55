"""Full-reference image metrics: PSNR, SSIM, CIEDE2000 and gradient sharpness."""

from __future__ import annotations

import math

import numpy as np

from confostain.arrays import Image, Rgb

SSIM_BORDER = 5  # px, half a window: similarity is not known there


def psnr(image: Image, reference: Image) -> float:
    """Peak signal-to-noise ratio in dB of two images of the same shape, data range 1; infinite if they are equal."""
    error = float(np.square(image.astype(np.float64) - reference).mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def ssim(image: Image, reference: Image) -> float:
    """Structural similarity (Wang et al. 2004), data range 1, Gaussian window of sigma 1.5 px and 11 x 11 px.

    The mean over the image without a border of 5 px. Grey (h, w) or colour (h, w, 3), then the mean of the three
    channels.
    """
    return float(ssim_map(image, reference).mean(dtype=np.float64))


def ssim_map(image: Image, reference: Image) -> Image:
    """Structural similarity at each pixel but those of a border of 5 px: (h - 10, w - 10), or (h - 10, w - 10, 3)."""
    from skimage.metrics import structural_similarity

    _, similarity = structural_similarity(  # type: ignore[no-untyped-call]
        image,
        reference,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=-1 if image.ndim == 3 else None,
        full=True,
    )
    return np.asarray(similarity)[SSIM_BORDER:-SSIM_BORDER, SSIM_BORDER:-SSIM_BORDER]


def colour_difference(image: Rgb, reference: Rgb) -> float:
    """Mean CIEDE2000 of pixels at the same place (sRGB, D65); 1 is about the smallest difference that is visible."""
    from skimage.color import deltaE_ciede2000, rgb2lab

    return float(np.mean(deltaE_ciede2000(rgb2lab(image), rgb2lab(reference))))  # type: ignore[no-untyped-call]


def sharpness(image: Image, reference: Image) -> float:
    """Ratio of the mean absolute gradients of an image and its reference: below 1 is blurred, above 1 is noisy."""
    gradient, expected = (_mean_gradient(one) for one in (image, reference))
    return gradient / expected if expected else math.inf


def _mean_gradient(image: Image) -> float:
    return sum(float(np.abs(np.diff(image, axis=axis)).mean()) for axis in (0, 1))
