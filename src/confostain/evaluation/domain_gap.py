"""Domain gap between simulated and real pairs: intensity statistics, power spectra, and a mixed panel of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from confostain.arrays import Image, Pair
from confostain.errors import SlideError
from confostain.simulation.from_histology import PERCENTILES, REAL_SPREAD, Spread
from confostain.simulation.random_fields import smooth

Spectrum = npt.NDArray[np.float64]

CHANNELS = ("reflectance", "fluorescence")
MEASURES = (*(f"p{percent}" for percent in PERCENTILES), "slow", "middle", "fine")
WINDOW = 256  # px, of the spectra
FREQUENCIES = 32  # bins up to the Nyquist frequency of 0.5 cycles per px
PANELS_OF_EACH_KIND = 4


@dataclass(frozen=True)
class MeasureRange:
    """Quartiles of one measure over the simulated pairs, and its range over real scans."""

    low: float
    median: float
    high: float
    real: tuple[float, float]


@dataclass(frozen=True)
class ChannelGap:
    """Domain gap of one channel.

    Attributes:
        measures: for each of MEASURES; see `statistics`.
        spectrum: median power spectrum of the simulated images less the mean of the real ones, in dB, at rising
            frequency up to 0.25 cycles per px (half the Nyquist frequency).
    """

    measures: dict[str, MeasureRange]
    spectrum: tuple[float, ...]

    @property
    def largest_difference(self) -> float:
        """Largest absolute difference of the spectra in dB."""
        return max(map(abs, self.spectrum))


def domain_gap(simulated: Sequence[Pair], real: Sequence[Pair]) -> dict[str, ChannelGap]:
    """Domain gap of each channel between simulated and real pairs, all float32 (2, h, w) of at least 256 x 256 px.

    The range of the statistics of real scans is the published one (`REAL_SPREAD`), which is of more scans than are
    given here.

    Raises:
        SlideError: there is no pair of one kind, or one is too small.
    """
    if not (len(simulated) and len(real)) or min(min(pair.shape[1:]) for pair in (*simulated, *real)) < WINDOW:
        raise SlideError(f"pairs to compare: expected simulated and real ones of at least {WINDOW} x {WINDOW} px")
    return {
        name: _channel_gap([pair[index] for pair in simulated], [pair[index] for pair in real], REAL_SPREAD[name])
        for index, name in enumerate(CHANNELS)
    }


def _channel_gap(simulated: Sequence[Image], real: Sequence[Image], spread: Spread) -> ChannelGap:
    lows, medians, highs = np.percentile([statistics(image) for image in simulated], (25, 50, 75), axis=0)
    real_ranges = (*spread.percentiles, spread.slow, spread.middle, spread.fine)
    measures = {
        name: MeasureRange(float(low), float(median), float(high), real_range)
        for name, low, median, high, real_range in zip(MEASURES, lows, medians, highs, real_ranges, strict=True)
    }
    of_simulated = np.median([power_spectrum(image) for image in simulated], axis=0)
    of_real = np.mean([power_spectrum(image) for image in real], axis=0)
    return ChannelGap(measures, tuple(float(value) for value in (of_simulated - of_real)[: FREQUENCIES // 2]))


def statistics(image: Image) -> npt.NDArray[np.float64]:
    """MEASURES of one channel (h, w): percentiles and contrasts after stretching; see `simulation.from_histology`."""
    stretched = _stretched(image)
    contrasts = (
        smooth(stretched, 10.0).std(),
        (smooth(stretched, 1.0) - smooth(stretched, 4.0)).std(),
        (stretched - smooth(stretched, 3.0)).std(),
    )
    return np.array([*np.percentile(stretched, PERCENTILES), *contrasts], np.float64)


def power_spectrum(image: Image) -> Spectrum:
    """Radially averaged power spectrum in dB: (32,), frequencies up to 0.5 cycles per px.

    The mean over Hann windows of 256 x 256 px that overlap by half.
    """
    stretched = _stretched(image)
    taper = np.outer(np.hanning(WINDOW), np.hanning(WINDOW))
    power = np.zeros((WINDOW, WINDOW // 2 + 1))
    windows = 0
    for y in range(0, image.shape[0] - WINDOW + 1, WINDOW // 2):
        for x in range(0, image.shape[1] - WINDOW + 1, WINDOW // 2):
            window = stretched[y : y + WINDOW, x : x + WINDOW]
            power += np.abs(np.fft.rfft2((window - window.mean()) * taper)) ** 2
            windows += 1
    power /= windows * np.square(taper).sum()
    frequency = np.hypot(np.fft.fftfreq(WINDOW)[:, np.newaxis], np.fft.rfftfreq(WINDOW))
    bins = (frequency * 2 * FREQUENCIES).astype(np.intp).clip(max=FREQUENCIES)
    sums = np.bincount(bins.ravel(), power.ravel())[:FREQUENCIES]
    return np.asarray(10 * np.log10(np.maximum(sums / np.bincount(bins.ravel())[:FREQUENCIES], 1e-12)))


def _stretched(image: Image) -> Image:
    """Contrast stretch of an image: its 0.5th and 99.7th percentile become 0 and 1."""
    low, high = np.percentile(image, (0.5, 99.7))
    return np.clip((image - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)


def mixed_panel(
    simulated: Sequence[Pair], real: Sequence[Pair], seed: int = 2019, side: int = WINDOW
) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """Panel for a visual Turing test: four crops of real and four of simulated pairs in random order.

    Returns:
        A grey picture, uint8 (2 * side, 8 * side), reflectance above fluorescence; and the kind of each column, "real"
        or "simulated".
    """
    rng = np.random.default_rng(seed)
    crops = [
        (kind, _random_crop(pairs[index % len(pairs)], side, rng))
        for kind, pairs in (("real", real), ("simulated", simulated))
        for index in range(PANELS_OF_EACH_KIND)
    ]
    order = rng.permutation(len(crops))
    columns = [np.vstack([_stretched(channel) for channel in crops[place][1]]) for place in order]
    return np.rint(np.hstack(columns) * 255).astype(np.uint8), [crops[place][0] for place in order]


def _random_crop(pair: Pair, side: int, rng: np.random.Generator) -> Pair:
    y, x = (int(rng.integers(length - side + 1)) for length in pair.shape[1:])
    return pair[:, y : y + side, x : x + side]
