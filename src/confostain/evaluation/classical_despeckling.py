"""The despeckling methods without a network, from the libraries that have them.

Each is told the noise level and takes a strength, 1 being what theory says; the comparison gives it the best of a few.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from confostain.arrays import Image
from confostain.simulation.speckle import Speckle

DARKEST = 1e-3  # below it the logarithm would turn dead pixels into craters
SHIFTS = 8  # px: shifts of the wavelet transform along each axis


@dataclass(frozen=True)
class Classical:
    """A method: noisy image (h, w), noise and strength to clean image (h, w)."""

    name: str
    run: Callable[[Image, Speckle, float], Image]
    strengths: tuple[float, ...] = (1.0,)


def median(noisy: Image, noise: Speckle, strength: float) -> Image:
    """The median of 3 x 3 pixels."""
    from scipy.ndimage import median_filter

    return np.asarray(median_filter(noisy, 3, mode="mirror"))


def lee(noisy: Image, noise: Speckle, strength: float) -> Image:
    """The filter of Lee (1980) for multiplicative noise, windows of 7 x 7."""
    from scipy.ndimage import uniform_filter

    mean = uniform_filter(noisy, 7, mode="mirror")
    variance = np.maximum(uniform_filter(np.square(noisy), 7, mode="mirror") - np.square(mean), 1e-8)
    relative = strength / noise.looks
    of_signal = np.maximum(variance - relative * np.square(mean - np.float32(noise.pedestal)), 0) / (1 + relative)
    return np.asarray(mean + of_signal / variance * (noisy - mean), np.float32)


def total_variation(noisy: Image, noise: Speckle, strength: float) -> Image:
    """Total variation (Chambolle 2004) of the logarithm."""
    from skimage.restoration import denoise_tv_chambolle

    return _in_logarithm(
        noisy,
        noise,
        lambda image, sigma: np.asarray(
            denoise_tv_chambolle(image, strength * sigma)  # type: ignore[no-untyped-call]
        ),
    )


def non_local_means(noisy: Image, noise: Speckle, strength: float) -> Image:
    """Non-local means (Buades 2005) of the logarithm, patches of 5 x 5 looked for within 9 px."""
    from skimage.restoration import denoise_nl_means

    def means(image: npt.NDArray[np.float64], sigma: float) -> npt.NDArray[np.float64]:
        return np.asarray(denoise_nl_means(image, 5, 9, h=0.6 * strength * sigma, sigma=sigma, fast_mode=True))

    return _in_logarithm(noisy, noise, means)


def wavelets(noisy: Image, noise: Speckle, strength: float) -> Image:
    """Translation-invariant Haar wavelet shrinkage of the logarithm.

    The threshold of each subband is BayesShrink's (Chang et al. 2000), soft; the mean over 8 x 8 shifts is taken
    (cycle spinning, Coifman and Donoho 1995). Shifts are circular, so the image is first continued by reflection.
    """
    from skimage.restoration import cycle_spin, denoise_wavelet

    def shrink(image: npt.NDArray[np.float64], sigma: float) -> npt.NDArray[np.float64]:
        padded = np.pad(image, SHIFTS, mode="reflect")
        options = {"sigma": strength * sigma, "wavelet": "haar", "method": "BayesShrink", "mode": "soft"}
        denoised = cycle_spin(padded, denoise_wavelet, max_shifts=SHIFTS - 1, workers=1, func_kw=options)
        return np.asarray(denoised)[SHIFTS:-SHIFTS, SHIFTS:-SHIFTS]

    return _in_logarithm(noisy, noise, shrink)


def _in_logarithm(
    noisy: Image, noise: Speckle, clean: Callable[[npt.NDArray[np.float64], float], npt.NDArray[np.float64]]
) -> Image:
    """Make speckle additive, clean, and undo it; the logarithm of gamma speckle has a known mean and variance."""
    from scipy.special import digamma, polygamma

    bias = float(digamma(noise.looks)) - float(np.log(noise.looks))
    sigma = float(np.sqrt(polygamma(1, noise.looks)))
    logarithm = np.log(np.maximum(noisy.astype(np.float64) - noise.pedestal, DARKEST))
    return np.asarray(np.exp(clean(logarithm, sigma) - bias) + noise.pedestal, np.float32)


CLASSICAL = (
    Classical("median 3 x 3", median),
    Classical("Lee", lee, (0.7, 1.0, 1.4)),
    Classical("total variation", total_variation, (0.5, 0.8, 1.2, 1.8)),
    Classical("non-local means", non_local_means, (0.7, 1.0, 1.4)),
    Classical("wavelets", wavelets, (1.0, 1.2, 1.45, 1.7)),
)
