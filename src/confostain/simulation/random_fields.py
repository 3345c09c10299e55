"""Random fields and wide Gaussian filters of the simulator."""

from __future__ import annotations

import numpy as np

from confostain.arrays import Image


def random_field(shape: tuple[int, ...], scale: float, strength: float, rng: np.random.Generator) -> Image:
    """Log-normal random field with median 1, smooth over `scale` px: float32 of that `shape`."""
    step = max(1, int(scale / 4))
    coarse = rng.standard_normal((-(-shape[0] // step) + 1, -(-shape[1] // step) + 1), dtype=np.float32)
    soft = smooth(coarse, scale / step)
    soft /= max(float(soft.std()), 1e-6)
    return np.exp(np.float32(strength) * _interpolate(soft, step, shape))


def smooth(image: Image, sigma: float) -> Image:
    """Gaussian filter of an image (h, w), sigma in px; a wide one is computed on block means."""
    from scipy.ndimage import gaussian_filter

    step = int(sigma / 3)
    if step < 2:
        blurred: Image = gaussian_filter(image, sigma, mode="reflect", truncate=3.0)
        return blurred
    height, width = image.shape
    padded = np.pad(image, ((0, -height % step), (0, -width % step)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step).mean(axis=(1, 3))
    coarse = gaussian_filter(blocks, sigma / step, mode="reflect", truncate=3.0)
    return _interpolate(coarse, step, image.shape)


def _interpolate(coarse: Image, step: int, shape: tuple[int, ...]) -> Image:
    """Linear interpolation between the centres of blocks of `step` px, cropped to `shape`."""
    if step == 1:
        return coarse[: shape[0], : shape[1]]
    for axis in (0, 1):
        where = np.clip((np.arange(shape[axis]) + 0.5) / step - 0.5, 0, coarse.shape[axis] - 1)
        low = np.minimum(where.astype(np.intp), max(coarse.shape[axis] - 2, 0))
        weight = (where - low).astype(np.float32)
        weight = weight[:, np.newaxis] if axis == 0 else weight
        first, second = np.take(coarse, low, axis), np.take(coarse, np.minimum(low + 1, coarse.shape[axis] - 1), axis)
        coarse = first + (second - first) * weight
    return coarse
