"""How near an image is to the truth."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]


def psnr(made: Image, truth: Image) -> float:
    """Peak signal-to-noise ratio in dB of two images of the same shape, data range 1; infinite if they are equal."""
    error = float(np.square(made.astype(np.float64) - truth).mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def ssim(made: Image, truth: Image) -> float:
    """Structural similarity of two grey images (h, w), data range 1, Gaussian window of sigma 1.5 (Wang 2004)."""
    from skimage.metrics import structural_similarity

    return float(
        structural_similarity(  # type: ignore[no-untyped-call]
            made, truth, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
    )


def sharpness(made: Image, truth: Image) -> float:
    """Mean step between neighbouring pixels, as a share of the truth's: below 1 is blurred, above 1 is noisy."""
    made_steps, steps = (sum(float(np.abs(np.diff(i, axis=axis)).mean()) for axis in (0, 1)) for i in (made, truth))
    return made_steps / steps if steps else math.inf
