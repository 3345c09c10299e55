"""Do simulated pairs pass for real ones? The statistics and spectra of both, and a picture in which they are mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from confostain.arrays import Image
from confostain.errors import SlideError
from confostain.simulation.from_histology import PERCENTILES, REAL_SPREAD, Spread, smooth

Spectrum = npt.NDArray[np.float64]

CHANNELS = ("reflectance", "fluorescence")
MEASURES = (*(f"p{percent}" for percent in PERCENTILES), "slow", "middle", "fine")
WINDOW = 256  # px, of the spectra
RINGS = 32  # up to the Nyquist frequency of 0.5 per px; the first quarter of the plane is the first half of them
TOLERANCE = 2.0  # dB


@dataclass(frozen=True)
class Quartiles:
    """Where the middle half of the simulations lies in one measure, and where the real scans lie."""

    low: float
    median: float
    high: float
    real: tuple[float, float]

    @property
    def passes(self) -> bool:
        """Whether the middle half lies within the spread of the real scans."""
        return self.real[0] <= self.low and self.high <= self.real[1]


@dataclass(frozen=True)
class ChannelGap:
    """The gap in one channel.

    Attributes:
        measures: for each of MEASURES; see `statistics`.
        spectrum: median of the simulations in dB less the mean of the real ones, at rising frequency up to a quarter
            per px (half the Nyquist frequency).
    """

    measures: dict[str, Quartiles]
    spectrum: tuple[float, ...]

    @property
    def widest(self) -> float:
        """The largest difference of the spectra in dB, without sign."""
        return max(map(abs, self.spectrum))


def domain_gap(simulated: Sequence[Image], real: Sequence[Image]) -> dict[str, ChannelGap]:
    """Compare simulated pairs with real ones, both float32 (2, h, w), R then F, at least 256 px a side.

    The spread of the statistics is the published one of more real scans than may be given here (`REAL_SPREAD`).

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
    ends = (*spread.percentiles, spread.slow, spread.middle, spread.fine)
    measures = {
        name: Quartiles(float(low), float(median), float(high), end)
        for name, low, median, high, end in zip(MEASURES, lows, medians, highs, ends, strict=True)
    }
    made = np.median([power_spectrum(image) for image in simulated], axis=0)
    there = np.mean([power_spectrum(image) for image in real], axis=0)
    return ChannelGap(measures, tuple(float(value) for value in (made - there)[: RINGS // 2]))


def statistics(image: Image) -> npt.NDArray[np.float64]:
    """MEASURES of one channel (h, w): percentiles and contrasts after stretching; see `imaging.simulate.Spread`."""
    stretched = _stretched(image)
    contrasts = (
        smooth(stretched, 10.0).std(),
        (smooth(stretched, 1.0) - smooth(stretched, 4.0)).std(),
        (stretched - smooth(stretched, 3.0)).std(),
    )
    return np.array([*np.percentile(stretched, PERCENTILES), *contrasts], np.float64)


def power_spectrum(image: Image) -> Spectrum:
    """Mean power in dB in 32 rings of frequency up to 0.5 per px, over Hann windows of 256 px that overlap by half."""
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
    ring = (frequency * 2 * RINGS).astype(np.intp).clip(max=RINGS)
    sums = np.bincount(ring.ravel(), power.ravel())[:RINGS]
    return np.asarray(10 * np.log10(np.maximum(sums / np.bincount(ring.ravel())[:RINGS], 1e-12)))


def _stretched(image: Image) -> Image:
    low, high = np.percentile(image, (0.5, 99.7))
    return np.clip((image - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)


def line_up(
    simulated: Sequence[Image], real: Sequence[Image], seed: int = 2019, side: int = WINDOW
) -> tuple[npt.NDArray[np.uint8], list[str]]:
    """Eight fields, four of each kind where there are enough, in random order: who can tell them apart?

    Returns:
        A grey picture, uint8 (2 * side, 8 * side), R above F; and for each column "real" or "simulated".
    """
    rng = np.random.default_rng(seed)
    cuts = [("real", _cut(real[k % len(real)], side, rng)) for k in range(4)]
    cuts += [("simulated", _cut(simulated[k % len(simulated)], side, rng)) for k in range(4)]
    order = rng.permutation(len(cuts))
    columns = [np.vstack([_stretched(channel) for channel in cuts[place][1]]) for place in order]
    return np.rint(np.hstack(columns) * 255).astype(np.uint8), [cuts[place][0] for place in order]


def _cut(pair: Image, side: int, rng: np.random.Generator) -> Image:
    y, x = (int(rng.integers(length - side + 1)) for length in pair.shape[1:])
    return pair[:, y : y + side, x : x + side]


def table(gap: dict[str, ChannelGap]) -> str:
    """The gap as a table in Markdown."""
    lines = ["| channel | measure | simulated, middle half (median) | real scans | |", "|---|---|---|---|---|"]
    for name, channel in gap.items():
        for measure, found in channel.measures.items():
            middle = f"{found.low:.3f} to {found.high:.3f} ({found.median:.3f})"
            verdict = "within" if found.passes else "**not within**"
            lines.append(f"| {name} | {measure} | {middle} | {found.real[0]:g} to {found.real[1]:g} | {verdict} |")
        verdict = "within" if channel.widest <= TOLERANCE else "**not within**"
        lines.append(f"| {name} | spectrum | at most {channel.widest:.1f} dB off | {TOLERANCE:g} dB | {verdict} |")
    return "\n".join(lines) + "\n"
