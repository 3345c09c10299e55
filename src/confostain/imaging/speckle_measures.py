"""Measures of speckle: effective looks, ratio image, autocorrelation.

All rest on homogeneous windows: squares of 12 px, a plane taken off, and of those of like brightness the quieter
ones, since structure can only add to the variance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from confostain.arrays import Image
from confostain.errors import SlideError

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
        for members in brightness_bins(self.means):
            chosen[members] = self.variances[members] <= np.median(self.variances[members])
        return chosen


def brightness_bins(means: Values) -> list[npt.NDArray[np.intp]]:
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
    return autocorrelation_of(windows.residuals[windows.quiet() if chosen is None else chosen], reach)


def autocorrelation_of(residuals: Values, reach: int) -> Values:
    """Autocorrelation of window residuals (n, 12, 12) at 1 to `reach` px: float64 (reach,)."""
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
