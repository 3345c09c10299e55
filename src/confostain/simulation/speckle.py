"""Speckle model of the reflectance channel: multiplicative noise of coherent light, detector offset and read noise.

A recorded pixel is  I = pedestal + gain * X * n + e  (measured on real ex vivo scans): X is the reflected light, n the
speckle factor with mean 1 and variance 1 / looks, correlated over about a pixel, and e the white read noise. All
brightness is in units of the range [0, 1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from confostain.arrays import Image
from confostain.errors import OptionError

Law = Literal["gamma", "rayleigh", "uniform"]

_RAYLEIGH_VARIANCE = 4.0 / math.pi - 1.0  # of a Rayleigh variable with mean 1
_MIN_LOOKS = {"gamma": 0.0, "rayleigh": 1.0 / _RAYLEIGH_VARIANCE, "uniform": 3.0}  # with fewer, factors get negative


@dataclass(frozen=True, slots=True)
class Speckle:
    """Parameters of a speckle model; the defaults are the published training noise, white gamma speckle alone.

    Attributes:
        looks: mean^2 / variance of the speckle factor; 8 gives the paper's 16.2 dB on inverted H&E.
        grain: sigma in px of the Gaussian that correlates the factor; on real scans 0.5.
        pedestal: dark level of the detector; on real scans 0.08.
        gain: recorded brightness per unit of reflected light.
        read_noise: standard deviation of the additive white noise; on real scans 0.005.
        law: distribution of the factor; other papers simulate "uniform" and "rayleigh".
    """

    looks: float = 8.0
    grain: float = 0.0
    pedestal: float = 0.0
    gain: float = 1.0
    read_noise: float = 0.0
    law: Law = "gamma"

    def __post_init__(self) -> None:
        if self.law not in _MIN_LOOKS:
            raise OptionError(f"speckle law {self.law!r}: expected gamma, rayleigh or uniform; give one of these")
        if min(self.grain, self.pedestal, self.read_noise) < 0 or self.gain <= 0:
            raise OptionError(
                f"{self}: expected a grain, a pedestal and a read noise of at least 0 and a gain above 0; correct them"
            )
        fewest = _MIN_LOOKS[self.law] / (self.white_looks / self.looks) if self.looks > 0 else 0.0
        if not self.looks > 0.999 * fewest:
            raise OptionError(
                f"{self.looks:g} looks of {self.law} speckle with grain {self.grain:g}: expected more than "
                f"{fewest:.2f}, since fewer give negative brightness; use gamma speckle"
            )

    @property
    def white_looks(self) -> float:
        """Looks of the white factor before the grain filter, which reduces the variance by sum(k^2)."""
        return self.looks * float(np.square(gaussian_kernel(self.grain)).sum()) ** 2

    def correlation(self, reach: int) -> list[float]:
        """Correlation of the speckle factor of pixels 1 to `reach` px apart in a row."""
        beside = grain_correlations(self.grain)
        centre = len(beside) // 2
        return [*map(float, beside[centre + 1 :]), *[0.0] * reach][:reach]

    def expected(self, reflected: Image) -> Image:
        """Recording without noise, float32 (h, w): reflected light (h, w) with gain and pedestal."""
        return np.float32(self.pedestal) + np.float32(self.gain) * reflected

    def factor(self, shape: tuple[int, int], rng: np.random.Generator) -> Image:
        """Speckle factor n, float32 `shape`: mean 1, variance 1 / looks, correlated over the grain."""
        margin = math.ceil(4 * self.grain)
        kernel = gaussian_kernel(self.grain)
        white = _white_factor(self.law, self.white_looks, (shape[0] + 2 * margin, shape[1] + 2 * margin), rng)
        return _filtered(white, kernel)[margin : margin + shape[0], margin : margin + shape[1]]

    def recorded(self, reflected: Image, seed: int | np.random.Generator) -> Image:
        """Noisy recording of reflected light (h, w), float32 (h, w), not clipped to [0, 1]."""
        rng = np.random.default_rng(seed)
        shape = (reflected.shape[0], reflected.shape[1])
        image = self.expected(reflected * self.factor(shape, rng))
        if self.read_noise > 0:
            image += np.float32(self.read_noise) * rng.standard_normal(shape, dtype=np.float32)
        return image


def gaussian_kernel(sigma: float) -> npt.NDArray[np.float64]:
    """One-dimensional Gaussian kernel, sigma in px, sum 1, truncated at 4 sigma; a single 1 for sigma 0."""
    reach = math.ceil(4 * sigma)
    if reach == 0:
        return np.ones(1)
    kernel = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / sigma))
    return kernel / kernel.sum()


def grain_correlations(grain: float) -> npt.NDArray[np.float64]:
    """Autocorrelation of the speckle factor along a row, symmetric, 1 at the centre; `grain` in px."""
    kernel = gaussian_kernel(grain)
    return np.convolve(kernel, kernel) / np.square(kernel).sum()


def _filtered(image: Image, kernel: npt.NDArray[np.float64]) -> Image:
    from scipy.ndimage import correlate1d

    if kernel.size == 1:
        return image
    rows = correlate1d(image, kernel, axis=0, mode="mirror")
    filtered: Image = correlate1d(rows, kernel, axis=1, mode="mirror")
    return filtered


def _white_factor(law: Law, looks: float, shape: tuple[int, int], rng: np.random.Generator) -> Image:
    if law == "gamma":
        return rng.standard_gamma(looks, shape, dtype=np.float32) / np.float32(looks)
    if law == "uniform":
        return np.float32(1) + np.float32(math.sqrt(3 / looks)) * (2 * rng.random(shape, np.float32) - 1)
    mean_1 = np.sqrt(-2 * np.log1p(-rng.random(shape, np.float32))) / np.float32(math.sqrt(math.pi / 2))
    return np.float32(1) + np.float32(math.sqrt(1 / (looks * _RAYLEIGH_VARIANCE))) * (mean_1 - 1)
