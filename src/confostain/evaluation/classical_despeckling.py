"""Classical despeckling methods without a network: median, Lee, total variation, non-local means, wavelets, BM3D.

Each method knows the noise level and has a strength, which is 1 where the theory is followed; the comparison of
despecklers takes the best of a few strengths.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt

from confostain.arrays import Image
from confostain.simulation.speckle import Speckle

MIN_INTENSITY = 1e-3  # lower values are raised to it before the logarithm, which dead pixels would dominate
SHIFTS = 8  # px: shifts of the wavelet transform along each axis

LogImage = npt.NDArray[np.float64]  # (h, w), natural logarithm of the intensity


@dataclass(frozen=True)
class ClassicalMethod:
    """Despeckling method with its strengths.

    Attributes:
        name: in tables.
        run: from noisy image (h, w) in [0, 1], noise and strength to the clean image (h, w).
        strengths: to choose from.
        module: name of an optional module that it needs.
    """

    name: str
    run: Callable[[Image, Speckle, float], Image]
    strengths: tuple[float, ...] = (1.0,)
    module: str | None = None

    @property
    def is_installed(self) -> bool:
        """Whether the module is installed; bm3dornl is not before Python 3.12 and on some systems."""
        return self.module is None or find_spec(self.module) is not None


def median(noisy: Image, noise: Speckle, strength: float) -> Image:
    """Median filter of 3 x 3 px; it has no strength."""
    from scipy.ndimage import median_filter

    return np.asarray(median_filter(noisy, 3, mode="mirror"))


def lee(noisy: Image, noise: Speckle, strength: float) -> Image:
    """Filter of Lee (1980) for multiplicative noise, windows of 7 x 7 px."""
    from scipy.ndimage import uniform_filter

    mean = uniform_filter(noisy, 7, mode="mirror")
    variance = np.maximum(uniform_filter(np.square(noisy), 7, mode="mirror") - np.square(mean), 1e-8)
    relative = strength / noise.looks
    of_signal = np.maximum(variance - relative * np.square(mean - np.float32(noise.pedestal)), 0) / (1 + relative)
    return np.asarray(mean + of_signal / variance * (noisy - mean), np.float32)


def total_variation(noisy: Image, noise: Speckle, strength: float) -> Image:
    """Total variation denoising (Chambolle 2004) of the logarithm."""
    from skimage.restoration import denoise_tv_chambolle

    def denoise(image: LogImage, sigma: float) -> LogImage:
        return np.asarray(denoise_tv_chambolle(image, strength * sigma))  # type: ignore[no-untyped-call]

    return _in_log_domain(noisy, noise, denoise)


def non_local_means(noisy: Image, noise: Speckle, strength: float) -> Image:
    """Non-local means (Buades et al. 2005) of the logarithm, patches of 5 x 5 px within 9 px."""
    from skimage.restoration import denoise_nl_means

    def denoise(image: LogImage, sigma: float) -> LogImage:
        return np.asarray(denoise_nl_means(image, 5, 9, h=0.6 * strength * sigma, sigma=sigma, fast_mode=True))

    return _in_log_domain(noisy, noise, denoise)


def wavelets(noisy: Image, noise: Speckle, strength: float) -> Image:
    """Translation-invariant Haar wavelet shrinkage of the logarithm.

    The threshold of each subband is BayesShrink's (Chang et al. 2000), soft; the mean over 8 x 8 shifts is taken
    (cycle spinning, Coifman and Donoho 1995). Shifts are circular, so the image is first extended by reflection.
    """
    from skimage.restoration import cycle_spin, denoise_wavelet

    def denoise(image: LogImage, sigma: float) -> LogImage:
        padded = np.pad(image, SHIFTS, mode="reflect")
        options = {"sigma": strength * sigma, "wavelet": "haar", "method": "BayesShrink", "mode": "soft"}
        mean = cycle_spin(padded, denoise_wavelet, max_shifts=SHIFTS - 1, workers=1, func_kw=options)
        return np.asarray(mean)[SHIFTS:-SHIFTS, SHIFTS:-SHIFTS]

    return _in_log_domain(noisy, noise, denoise)


def bm3d(noisy: Image, noise: Speckle, strength: float) -> Image:
    """BM3D (Dabov et al. 2007) of the logarithm, by the library bm3dornl.

    Blocks of 8 x 8 px at every third pixel, up to 32 similar ones within 39 px, as in the "normal" profile of the
    authors.
    """
    from bm3dornl import bm3d_ring_artifact_removal  # type: ignore[import-not-found, unused-ignore]

    def denoise(image: LogImage, sigma: float) -> LogImage:
        span = float(np.ptp(image)) or 1.0  # the library scales images to [0, 1], but not sigma
        options = {"mode": "generic", "step_size": 3, "search_window": 39, "max_matches": 32}  # "generic": white noise
        clean = bm3d_ring_artifact_removal(image.astype(np.float32), sigma_random=strength * sigma / span, **options)
        return np.asarray(clean, np.float64)

    return _in_log_domain(noisy, noise, denoise)


def _in_log_domain(noisy: Image, noise: Speckle, denoise: Callable[[LogImage, float], LogImage]) -> Image:
    """Denoising of the logarithm, in which speckle is additive.

    `denoise` gets the logarithm and the standard deviation of its noise. The mean of the logarithm of gamma speckle is
    not 0 but known; it is subtracted.
    """
    from scipy.special import digamma, polygamma

    bias = float(digamma(noise.looks)) - float(np.log(noise.looks))
    sigma = float(np.sqrt(polygamma(1, noise.looks)))
    logarithm = np.log(np.maximum(noisy.astype(np.float64) - noise.pedestal, MIN_INTENSITY))
    return np.asarray(np.exp(denoise(logarithm, sigma) - bias) + noise.pedestal, np.float32)


CLASSICAL_METHODS = (
    ClassicalMethod("median 3 x 3", median),
    ClassicalMethod("Lee", lee, (0.7, 1.0, 1.4)),
    ClassicalMethod("total variation", total_variation, (0.5, 0.8, 1.2, 1.8)),
    ClassicalMethod("non-local means", non_local_means, (0.7, 1.0, 1.4)),
    ClassicalMethod("wavelets", wavelets, (1.0, 1.2, 1.45, 1.7)),
    ClassicalMethod("BM3D", bm3d, (0.85, 1.0, 1.2), module="bm3dornl"),
)
