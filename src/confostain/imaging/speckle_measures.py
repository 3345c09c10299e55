"""Measures of speckle, and the noise model of one real image.

All rest on homogeneous windows: squares of 12 px, a plane taken off, and of those of like brightness the quieter
ones, since structure can only add to the variance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from confostain.errors import SlideError
from confostain.imaging.speckle import Image, Speckle, gaussian_kernel

Values = npt.NDArray[np.float64]

WINDOW = 12  # px: several grains wide, and still smaller than most structure
BRIGHTNESS_BINS = 12
QUIET = 0.25  # the quantile of the variances that stands for speckle alone


@dataclass(frozen=True)
class Windows:
    """The windows of an image, row by row, without those at the right and bottom that are not whole.

    Attributes:
        means: brightness of each, (n,).
        variances: around its plane, (n,), unbiased for white noise.
        residuals: what is left without the plane, (n, 12, 12).
    """

    means: Values
    variances: Values
    residuals: Values

    @classmethod
    def of(cls, image: Image) -> Windows:
        """Cut an image (h, w) of at least 10 x 10 windows; SlideError for a smaller one."""
        rows, columns = image.shape[0] // WINDOW, image.shape[1] // WINDOW
        if min(rows, columns) < 10:
            raise SlideError(
                f"image of {image.shape[1]} x {image.shape[0]} px: too small to measure speckle in; "
                f"expected at least {10 * WINDOW} x {10 * WINDOW}"
            )
        whole = image[: rows * WINDOW, : columns * WINDOW].astype(np.float64)
        cut = whole.reshape(rows, WINDOW, columns, WINDOW).swapaxes(1, 2).reshape(-1, WINDOW, WINDOW)
        ramp = np.arange(WINDOW) - (WINDOW - 1) / 2
        ramp /= np.sqrt(WINDOW * np.square(ramp).sum())
        means = cut.mean(axis=(1, 2))
        residuals = cut - means[:, None, None]
        for plane in (ramp[:, None], ramp[None, :]):
            residuals -= (residuals * plane).sum(axis=(1, 2))[:, None, None] * plane
        return cls(means, np.square(residuals).sum(axis=(1, 2)) / (WINDOW**2 - 3), residuals)

    def quiet(self) -> npt.NDArray[np.bool_]:
        """Which are homogeneous: (n,), the quieter half among those of like brightness."""
        chosen = np.zeros(self.means.size, np.bool_)
        for members in _brightness_bins(self.means):
            chosen[members] = self.variances[members] <= np.median(self.variances[members])
        return chosen


def _brightness_bins(means: Values) -> list[npt.NDArray[np.intp]]:
    """Indices of the windows, darkest first, in groups of equal size."""
    return np.array_split(np.argsort(means, kind="stable"), BRIGHTNESS_BINS)


def effective_looks(image: Image, pedestal: float, chosen: npt.NDArray[np.bool_] | None = None) -> float:
    """Mean^2 / variance above the pedestal: the median over homogeneous windows.

    Args:
        image: (h, w), any range.
        pedestal: dark level, in the unit of the image.
        chosen: which windows count, from `Windows.quiet`, so that two images are measured in the same places.
    """
    windows = Windows.of(image)
    chosen = windows.quiet() if chosen is None else chosen
    above = np.maximum(windows.means[chosen] - pedestal, 0)
    return float(np.median(np.square(above) / np.maximum(windows.variances[chosen], 1e-12)))


def ratio_image(noisy: Image, clean: Image, pedestal: float) -> Image:
    """Noisy / clean above the pedestal: the speckle factor, if the despeckling is right. float32 (h, w)."""
    floor = np.float32(0.02)  # below it read noise rules, not speckle
    above = np.maximum(clean - np.float32(pedestal), floor)
    return 1 + (noisy - clean) / above


def autocorrelation(image: Image, chosen: npt.NDArray[np.bool_] | None = None, reach: int = 3) -> Values:
    """Correlation of an image (h, w) with itself at 1 to `reach` px, along rows and columns, in homogeneous windows."""
    windows = Windows.of(image)
    return _autocorrelation(windows.residuals[windows.quiet() if chosen is None else chosen], reach)


def _autocorrelation(residuals: Values, reach: int) -> Values:
    power = np.square(residuals).mean()
    if power == 0:
        return np.zeros(reach)
    lags = range(1, reach + 1)
    down = [(residuals[:, lag:] * residuals[:, :-lag]).mean() for lag in lags]
    across = [(residuals[:, :, lag:] * residuals[:, :, :-lag]).mean() for lag in lags]
    return (np.array(down) + np.array(across)) / (2 * power)


def structure_in_ratio(noisy: Image, clean: Image, pedestal: float) -> tuple[float, float]:
    """Correlation of the ratio image, and of the size of its swings, with the clean image's gradient magnitude.

    Both are near 0 where nothing but speckle was taken; the second one notices eaten edges of either sign.
    """
    from scipy.ndimage import gaussian_gradient_magnitude

    gradient = gaussian_gradient_magnitude(clean.astype(np.float64), 1.0)
    ratio = ratio_image(noisy, clean, pedestal).astype(np.float64)
    if ratio.std() == 0 or gradient.std() == 0:
        return 0.0, 0.0
    signed, swings = (np.corrcoef(image.ravel(), gradient.ravel())[0, 1] for image in (ratio, np.abs(ratio - 1)))
    return float(signed), float(swings)


def estimate_speckle(image: Image) -> Speckle:
    """The noise model of one real image: looks, grain, pedestal and read noise.

    In homogeneous windows  variance = (mean - pedestal)^2 / looks + read_noise^2  is fitted over brightness;
    the grain follows from the correlation between neighbouring pixels.

    Args:
        image: (h, w), reflectance as recorded, in [0, 1].

    Raises:
        SlideError: the image is too small, or has no brightness to measure noise over (constant, black).
    """
    from scipy.optimize import least_squares

    windows = Windows.of(image)
    grain = _grain(float(_autocorrelation(windows.residuals[windows.quiet()], 1)[0]))
    share = _quiet_share(grain)
    bins = _brightness_bins(windows.means)
    means = np.array([windows.means[members].mean() for members in bins])
    variances = np.array([np.quantile(windows.variances[members], QUIET) for members in bins]) / share
    if variances.max() <= 1e-12 or np.ptp(means) < 1e-3:
        raise SlideError(
            f"image with brightness from {image.min():g} to {image.max():g}: no speckle to measure; expected tissue"
        )

    def mismatch(model: Values) -> Values:
        pedestal, inverse_root_looks, read_noise = model
        predicted = np.square((means - pedestal) * inverse_root_looks) + read_noise**2
        return np.asarray(np.log(predicted + 1e-9) - np.log(variances + 1e-9))

    darkest = float(means[0])
    upper = (max(darkest, 1e-6), 10.0, float(np.sqrt(variances.max())) + 1e-6)
    begin = (darkest / 2, np.sqrt(variances[-1]) / means[-1], upper[2] / 100)
    fit = least_squares(mismatch, begin, bounds=((0, 1e-4, 0), upper), loss="soft_l1", f_scale=0.1)
    pedestal, inverse_root_looks, read_noise = map(float, fit.x)
    return Speckle(inverse_root_looks**-2, grain, pedestal, read_noise=read_noise)


def _quiet_share(grain: float) -> float:
    """The `QUIET` quantile of a window's variance, as a share of the true variance, for pure speckle."""
    from scipy.stats import chi2

    # correlated pixels count for fewer: the sum of the squared correlations says how many are worth one
    freedom = (WINDOW**2 - 3) * float(np.square(_correlations(grain)).sum()) ** -2
    unbiased = (1 - _taken_by_plane(grain)) / (1 - _taken_by_plane(0))
    return float(chi2.ppf(QUIET, freedom) / freedom) * unbiased


def _grain(correlation: float) -> float:
    """The sigma in px of the Gaussian that gives this correlation between neighbours in windows without their plane."""
    sigmas = np.linspace(0.25, 2.0, 71)
    taken = np.array([_taken_by_plane(sigma) for sigma in sigmas])
    neighbours = np.array([_correlations(sigma)[math.ceil(4 * sigma) * 2 + 1] for sigma in sigmas])
    return float(np.interp(correlation, [0.0, *(neighbours - taken) / (1 - taken)], [0.0, *sigmas]))


def _correlations(grain: float) -> Values:
    """Correlation of speckle along a row, from far left over 1 at the centre to far right."""
    kernel = gaussian_kernel(grain)
    return np.convolve(kernel, kernel) / np.square(kernel).sum()


def _taken_by_plane(grain: float) -> float:
    """The share of the speckle's power that goes with a window's plane: three of its slowest waves."""
    return 3 * float(_correlations(grain).sum()) ** 2 / WINDOW**2
