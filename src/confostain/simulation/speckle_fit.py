"""The speckle model of one real image, fitted to its homogeneous windows."""

from __future__ import annotations

import math

import numpy as np

from confostain.arrays import Image
from confostain.errors import SlideError
from confostain.imaging.speckle_measures import QUIET, WINDOW, Values, Windows, autocorrelation_of, brightness_bins
from confostain.simulation.speckle import Speckle, gaussian_kernel


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
    grain = _grain(float(autocorrelation_of(windows.residuals[windows.quiet()], 1)[0]))
    share = _quiet_share(grain)
    bins = brightness_bins(windows.means)
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
