"""Registration of reflectance and fluorescence: whether one lies displaced against the other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

Image = npt.NDArray[np.float32]  # (h, w) in [0, 1]

SIGMA = 1.5  # px: below nuclei and fibres, above speckle
WHITENING = 0.8  # exponent of the cross-power spectrum: 0 is correlation, 1 phase correlation, which speckle disturbs
SMALLEST = 128  # px, side of a field; in smaller ones every displacement is a chance

# Measured with displacements of 0 to 100 px. Prostate (light sheet), phantom and the plain case: peak 18 to 56 standard
# deviations high, 2.8 to 20 times the next, always at the true place. Two skin pairs at any displacement, and all five
# with one channel mirrored or turned: 4 to 11 and 1.0 to 1.7, at a place by chance.
MIN_PEAK = 15.0  # standard deviations
MIN_RATIO = 2.0  # over the next highest peak
PEAK_RADIUS = 12  # px


def displacement(reflectance: Image, fluorescence: Image) -> tuple[int, int] | None:
    """Displacement (x, y) in pixels of the fluorescence against the reflectance; None where there is no clear answer.

    A point at (x, y) in R lies at (x + dx, y + dy) in F. Edges of both channels are compared, since nuclei are dark in
    one and bright in the other: whitened cross-correlation of gradient magnitudes (Kuglin and Hines 1975, "The phase
    correlation image alignment method", Proc. IEEE Conf. Cybernetics and Society, 163-165). Up to a quarter of the
    side of the field is found.
    """
    height, width = reflectance.shape
    if min(height, width) < SMALLEST:
        return None
    spectra = [fft.rfft2(_edges(image)) for image in (reflectance, fluorescence)]
    cross = np.conj(spectra[0]) * spectra[1]
    cross /= np.abs(cross) ** WHITENING + np.finfo(np.float32).eps
    surface = np.abs(ndimage.gaussian_filter(fft.fftshift(fft.irfft2(cross, (height, width))), 2))
    top, left = height // 4, width // 4
    surface = surface[top : height - top, left : width - left]
    y, x = np.unravel_index(int(surface.argmax()), surface.shape)
    peak, spread = float(surface[y, x]), float(surface.std())
    others = surface.copy()
    others[max(0, y - PEAK_RADIUS) : y + PEAK_RADIUS + 1, max(0, x - PEAK_RADIUS) : x + PEAK_RADIUS + 1] = 0
    if spread == 0 or peak - surface.mean() < MIN_PEAK * spread or peak < MIN_RATIO * others.max():
        return None
    return int(x + left - width // 2), int(y + top - height // 2)


def _edges(image: Image) -> npt.NDArray[np.float32]:
    """Gradient magnitude of an image without its mean, fading to 0 at the borders."""
    smooth = ndimage.gaussian_filter(image, SIGMA)
    edges = ndimage.gaussian_gradient_magnitude(smooth, 1)
    window = np.outer(*(np.hanning(side).astype(np.float32) for side in image.shape))
    return np.asarray((edges - edges.mean()) * window, np.float32)
