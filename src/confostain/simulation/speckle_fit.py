"""Speckle model of a real image, fitted to its homogeneous windows."""

from __future__ import annotations

import math

import numpy as np

from confostain.arrays import Image
from confostain.errors import SlideError
from confostain.imaging.speckle_measures import (
    SPECKLE_QUANTILE,
    WINDOW,
    Values,
    brightness_bins,
    residual_autocorrelation,
    window_statistics,
)
from confostain.simulation.speckle import Speckle, grain_correlations


def estimate_speckle(image: Image) -> Speckle:
    """Speckle model of a real image: looks, grain, pedestal and read noise.

    In homogeneous windows  variance = (mean - pedestal)^2 / looks + read_noise^2  is fitted over brightness; the grain
    follows from the correlation between neighbouring pixels.

    Args:
        image: (h, w), reflectance as recorded, in [0, 1].

    Raises:
        SlideError: the image is too small, or has no range of brightness to fit over (constant, black).
    """
    from scipy.optimize import least_squares

    windows = window_statistics(image)
    grain = _grain(float(residual_autocorrelation(windows.residuals[windows.homogeneous()], 1)[0]))
    share = _quantile_of_variance(grain)
    bins = brightness_bins(windows.means)
    means = np.array([windows.means[members].mean() for members in bins])
    variances = np.array([np.quantile(windows.variances[members], SPECKLE_QUANTILE) for members in bins]) / share
    if variances.max() <= 1e-12 or np.ptp(means) < 1e-3:
        raise SlideError(
            f"image with brightness from {image.min():g} to {image.max():g}: no speckle to measure;"
            " expected tissue of different brightness; give another region"
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


def _quantile_of_variance(grain: float) -> float:
    """Quantile `SPECKLE_QUANTILE` of the variance measured in a window of pure speckle, over its true variance."""
    from scipy.stats import chi2

    # correlated pixels give fewer degrees of freedom, by the sum of the squared correlations
    freedom = (WINDOW**2 - 3) * float(np.square(grain_correlations(grain)).sum()) ** -2
    unbiased = (1 - _power_in_plane(grain)) / (1 - _power_in_plane(0))
    return float(chi2.ppf(SPECKLE_QUANTILE, freedom) / freedom) * unbiased


def _grain(correlation: float) -> float:
    """Sigma in px of the Gaussian that gives this correlation between neighbours, in windows less their plane."""
    sigmas = np.linspace(0.25, 2.0, 71)
    lost = np.array([_power_in_plane(sigma) for sigma in sigmas])
    neighbours = np.array([grain_correlations(sigma)[math.ceil(4 * sigma) * 2 + 1] for sigma in sigmas])
    return float(np.interp(correlation, [0.0, *(neighbours - lost) / (1 - lost)], [0.0, *sigmas]))


def _power_in_plane(grain: float) -> float:
    """Share of the speckle's power in the plane fitted to a window: its mean and its two slopes."""
    return 3 * float(grain_correlations(grain).sum()) ** 2 / WINDOW**2
