"""How near an image is to the truth."""

from __future__ import annotations

import math

import numpy as np

from confostain.arrays import Image, Rgb


def psnr(made: Image, truth: Image) -> float:
    """Peak signal-to-noise ratio in dB of two images of the same shape, data range 1; infinite if they are equal."""
    error = float(np.square(made.astype(np.float64) - truth).mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def ssim(made: Image, truth: Image) -> float:
    """Structural similarity of two images, data range 1, Gaussian window of sigma 1.5 (Wang 2004).

    Grey (h, w) or colour (h, w, 3): then the mean of the three colours' similarities.
    """
    from skimage.metrics import structural_similarity

    return float(
        structural_similarity(  # type: ignore[no-untyped-call]
            made,
            truth,
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            channel_axis=-1 if made.ndim == 3 else None,
        )
    )


def colour_difference(made: Rgb, truth: Rgb) -> float:
    """CIEDE2000 of pixels at the same place, their mean: 1 is about what an eye can just tell apart (sRGB, D65)."""
    from skimage.color import deltaE_ciede2000, rgb2lab

    return float(np.mean(deltaE_ciede2000(rgb2lab(made), rgb2lab(truth))))  # type: ignore[no-untyped-call]


def sharpness(made: Image, truth: Image) -> float:
    """Mean step between neighbouring pixels, as a share of the truth's: below 1 is blurred, above 1 is noisy."""
    made_steps, steps = (sum(float(np.abs(np.diff(i, axis=axis)).mean()) for axis in (0, 1)) for i in (made, truth))
    return made_steps / steps if steps else math.inf
