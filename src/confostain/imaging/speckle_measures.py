"""Speckle measures of an image: effective number of looks, ratio image, autocorrelation.

All are measured in homogeneous windows: squares of 12 px, each less its fitted plane, of which the half with the lower
variance is taken among those of similar brightness, since structure can only add to the variance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from confostain.arrays import Image
from confostain.errors import SlideError

Values = npt.NDArray[np.float64]
Chosen = npt.NDArray[np.bool_]  # (n,)

WINDOW = 12  # px: several speckle grains wide, and still smaller than most structure
MIN_WINDOWS = 10  # along either side of an image
BRIGHTNESS_BINS = 12
SPECKLE_QUANTILE = 0.25  # of the variances at one brightness: that of windows with speckle alone
MIN_SIGNAL = 0.02  # brightness above the dark level; below it there is more read noise than speckle


@dataclass(frozen=True)
class WindowStatistics:
    """Statistics of the windows of an image, row by row; incomplete ones at the right and lower edge are left out.

    Attributes:
        means: brightness of each window, (n,).
        variances: around the fitted plane, (n,), unbiased for white noise.
        residuals: pixels less the fitted plane, (n, 12, 12).
    """

    means: Values
    variances: Values
    residuals: Values

    def homogeneous(self) -> Chosen:
        """Mask of the homogeneous windows, bool (n,): the half with the lower variance in each brightness bin."""
        chosen = np.zeros(self.means.size, np.bool_)
        for members in brightness_bins(self.means):
            chosen[members] = self.variances[members] <= np.median(self.variances[members])
        return chosen


def window_statistics(image: Image) -> WindowStatistics:
    """Statistics of the windows of an image (h, w), any range.

    Raises:
        SlideError: the image has fewer than 10 x 10 windows.
    """
    rows, columns = image.shape[0] // WINDOW, image.shape[1] // WINDOW
    if min(rows, columns) < MIN_WINDOWS:
        raise SlideError(
            f"image of {image.shape[1]} x {image.shape[0]} px: too small to measure speckle in; "
            f"expected at least {MIN_WINDOWS * WINDOW} x {MIN_WINDOWS * WINDOW}; give a larger region"
        )
    whole = image[: rows * WINDOW, : columns * WINDOW].astype(np.float64)
    cut = whole.reshape(rows, WINDOW, columns, WINDOW).swapaxes(1, 2).reshape(-1, WINDOW, WINDOW)
    ramp = np.arange(WINDOW) - (WINDOW - 1) / 2
    ramp /= np.sqrt(WINDOW * np.square(ramp).sum())
    means = cut.mean(axis=(1, 2))
    residuals = cut - means[:, None, None]
    for plane in (ramp[:, None], ramp[None, :]):
        residuals -= (residuals * plane).sum(axis=(1, 2))[:, None, None] * plane
    return WindowStatistics(means, np.square(residuals).sum(axis=(1, 2)) / (WINDOW**2 - 3), residuals)


def brightness_bins(means: Values) -> list[npt.NDArray[np.intp]]:
    """Indices of windows in bins of equal size by brightness, darkest first; `means` is (n,)."""
    return np.array_split(np.argsort(means, kind="stable"), BRIGHTNESS_BINS)


def effective_looks(image: Image, pedestal: float, chosen: Chosen | None = None) -> float:
    """Effective number of looks, mean^2 / variance above the dark level: median over homogeneous windows.

    Args:
        image: (h, w), any range.
        pedestal: dark level, in the unit of the image.
        chosen: mask of the windows to use, from `WindowStatistics.homogeneous`, so that two images are measured in
            the same places; by default the image's own homogeneous windows.
    """
    windows = window_statistics(image)
    chosen = windows.homogeneous() if chosen is None else chosen
    above = np.maximum(windows.means[chosen] - pedestal, 0)
    return float(np.median(np.square(above) / np.maximum(windows.variances[chosen], 1e-12)))


def ratio_image(noisy: Image, clean: Image, pedestal: float) -> Image:
    """Ratio image, noisy / clean above the dark level, float32 (h, w): pure speckle after an ideal despeckling."""
    above = np.maximum(clean - np.float32(pedestal), np.float32(MIN_SIGNAL))
    return 1 + (noisy - clean) / above


def autocorrelation(image: Image, chosen: Chosen | None = None, reach: int = 3) -> Values:
    """Autocorrelation of an image (h, w) at lags of 1 to `reach` px, mean of rows and columns: float64 (reach,).

    Measured in the windows `chosen`, by default the homogeneous ones.
    """
    windows = window_statistics(image)
    return residual_autocorrelation(windows.residuals[windows.homogeneous() if chosen is None else chosen], reach)


def residual_autocorrelation(residuals: Values, reach: int) -> Values:
    """Autocorrelation of window residuals (n, 12, 12) at lags of 1 to `reach` px: float64 (reach,)."""
    power = np.square(residuals).mean()
    if power == 0:
        return np.zeros(reach)
    lags = range(1, reach + 1)
    down = [(residuals[:, lag:] * residuals[:, :-lag]).mean() for lag in lags]
    across = [(residuals[:, :, lag:] * residuals[:, :, :-lag]).mean() for lag in lags]
    return (np.array(down) + np.array(across)) / (2 * power)


def structure_in_ratio(noisy: Image, clean: Image, pedestal: float) -> tuple[float, float]:
    """Correlation of the ratio image with the clean image's gradient magnitude, signed and of absolute deviations.

    Both are near 0 where only speckle was removed. The second also detects edges that were lost with either sign.
    """
    from scipy.ndimage import gaussian_gradient_magnitude

    gradient = gaussian_gradient_magnitude(clean.astype(np.float64), 1.0)
    ratio = ratio_image(noisy, clean, pedestal).astype(np.float64)
    if ratio.std() == 0 or gradient.std() == 0:
        return 0.0, 0.0
    signed, absolute = (np.corrcoef(image.ravel(), gradient.ravel())[0, 1] for image in (ratio, np.abs(ratio - 1)))
    return float(signed), float(absolute)
