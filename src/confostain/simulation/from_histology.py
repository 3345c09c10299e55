"""Simulation of confocal reflectance and fluorescence from H&E: training pairs with known truth.

Nuclei fluoresce in acridine orange, cytoplasm and layers out of focus more faintly; collagen and keratin reflect. All
that differs between two scans is drawn at random, and the statistics of both channels are then matched to the ranges
of real ex vivo skin (`REAL_SPREAD`), since a network trained on cleaner images fails on real ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from confostain.arrays import REFERENCE_MPP, Image, Pair, Rgb
from confostain.errors import OptionError
from confostain.imaging.optical_density import optical_density
from confostain.imaging.stain_separation import separate_stains
from confostain.simulation.random_fields import random_field, smooth
from confostain.simulation.scan_faults import bleached_mosaic, elastic_fibres, haze_patches
from confostain.simulation.speckle import Speckle

Range = tuple[float, float]

PERCENTILES = (5, 25, 50, 75, 95)
SMALLEST = 64  # px, side of an image: a smaller one has no reliable statistics
PIXEL_SIZES = 0.2, 2.0  # um: all lengths below are in pixels of 0.75 um, and scaled by the zoom

REFLECTANCE_VARIATION = (0.03, 0.25)  # coefficient of variation of the noise; despeckled to heavily speckled
FLUORESCENCE_VARIATION = (0.03, 0.10)
MIDDLE_TARGET = 0.92  # of the wanted contrast at middle scale: noise and the last brightness map add the rest
COARSE_TARGET = 0.986  # of the wanted contrast at coarse scale, likewise

OTHER_DYES = 0.25  # share of the scans whose dye takes to cytoplasm, too
CLOUDS = ((6, 11), 0.35), ((25, 60), 0.5)  # px and strength of the two textures of reflecting tissue


@dataclass(frozen=True)
class Spread:
    """Ranges of the statistics of one channel, after percentiles 0.5 and 99.7 are scaled to 0 and 1.

    Attributes:
        percentiles: brightness at PERCENTILES.
        slow: standard deviation of the image after a Gaussian of 10 px.
        middle: standard deviation of the difference between Gaussians of 1 px and 4 px.
        fine: standard deviation of the image less its Gaussian of 3 px.
        dark_factor: factor on the lowest percentile before noise is added, which lowers it.
    """

    percentiles: tuple[Range, ...]
    slow: Range
    middle: Range
    fine: Range
    dark_factor: float = 1.0


# Measured on four real ex vivo skin scans (F) and two (R) at the reference pixel size.
REAL_SPREAD = {
    "fluorescence": Spread(
        ((0.05, 0.17), (0.13, 0.28), (0.23, 0.35), (0.36, 0.46), (0.62, 0.69)),
        slow=(0.113, 0.169),
        middle=(0.041, 0.056),
        fine=(0.043, 0.055),
    ),
    "reflectance": Spread(
        ((0.04, 0.07), (0.12, 0.22), (0.20, 0.32), (0.33, 0.44), (0.59, 0.65)),
        slow=(0.143, 0.147),
        middle=(0.033, 0.036),
        fine=(0.039, 0.056),
        dark_factor=1.25,
    ),
}


def simulate(
    rgb: Rgb,
    seed: int | np.random.Generator,
    domain_randomisation: float = 0.7,
    microns_per_pixel: float = REFERENCE_MPP,
) -> Pair:
    """Confocal reflectance and fluorescence simulated from an H&E image: a training pair with known truth.

        rgb = np.asarray(PIL.Image.open("section.png").convert("RGB"))  # at 0.75 um/px
        rf = confostain.simulate(rgb, seed=1)
        confostain.stain(rf)  # to be compared with rgb

    Args:
        rgb: H&E, uint8 (h, w, 3) of at least 64 px a side. From 512 px on, the statistics of the channels come near
            those of real scans.
        seed: seed or generator of all that is random: dye, optics, tissue above and below, noise. The same seed gives
            the same pair.
        domain_randomisation: width of the range from which the statistics of the channels are drawn, as a share of
            the range measured on real scans: 0 for its middle, 1 for all of it.
        microns_per_pixel: pixel size of the H&E in um, 0.2 to 2.

    Returns:
        float32 (2, h, w) in [0, 1], R then F, as `Slide.read_region` gives them.

    Raises:
        OptionError: the image is too small, or no RGB image of 8 bits, or the pixel size is outside 0.2 to 2 um.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise OptionError(f"image of {rgb.dtype} {rgb.shape}: expected uint8 (h, w, 3); convert it to RGB of 8 bits")
    if min(rgb.shape[:2]) < SMALLEST:
        raise OptionError(
            f"image of {rgb.shape[1]} x {rgb.shape[0]} px: expected at least {SMALLEST} px a side; give a larger field"
        )
    low, high = PIXEL_SIZES
    if not low <= microns_per_pixel <= high:
        raise OptionError(f"pixel size {microns_per_pixel:g} um: expected {low:g} to {high:g}; resample the image")
    rng = np.random.default_rng(seed)
    zoom = REFERENCE_MPP / microns_per_pixel
    here = _TissueMaps.from_histology(rgb, zoom)
    elsewhere = here.shifted(rng)
    reflected, fluoresced = (
        _Matching(here.share, REAL_SPREAD[channel], domain_randomisation, zoom).matched(
            light(here, elsewhere, zoom, rng), rng
        )
        for channel, light in (("reflectance", _reflected_light), ("fluorescence", _fluorescent_light))
    )
    pair = np.stack(
        [
            _add_noise(*reflected, REFLECTANCE_VARIATION, rng.uniform(0.3, 0.6), zoom, rng),
            _add_noise(*fluoresced, FLUORESCENCE_VARIATION, 0.0, zoom, rng),
        ]
    )
    return bleached_mosaic(pair, zoom, rng)


@dataclass(frozen=True)
class _TissueMaps:
    """Maps of the tissue components in an H&E image, float32 (h, w) each, in about [0, 1]."""

    nuclei: Image
    cytoplasm: Image
    collagen: Image
    share: Image  # of tissue, with soft edges: 0 on glass and in lumina

    @classmethod
    def from_histology(cls, rgb: Rgb, zoom: float) -> _TissueMaps:
        """Maps of an H&E image, uint8 (h, w, 3), by optical density and stain separation."""
        from scipy.ndimage import grey_closing

        density = optical_density(rgb)
        red, total = density[..., 0], density.sum(axis=-1)
        haematoxylin, eosin = separate_stains(rgb)
        share = smooth(np.clip((smooth(total, zoom) - 0.12) / 0.15, 0, 1), zoom)
        around = smooth(red * share, 12 * zoom) / np.maximum(smooth(share, 12 * zoom), 0.05)
        filled = grey_closing(red, 2 * round(zoom) + 1)  # where nuclei are hollow
        nuclei = np.clip((smooth(filled, 0.5 * zoom) - around) / 0.45, 0, 1)
        collagen = np.clip(eosin / 0.5, 0, 1.5) * (1 - nuclei)
        cytoplasm = np.clip(haematoxylin / 0.5, 0, 1.5)
        return cls(*(image.astype(np.float32) for image in (nuclei, cytoplasm, collagen, share)))

    def shifted(self, rng: np.random.Generator) -> _TissueMaps:
        """Maps flipped and shifted at random: stand for the tissue above and below the focal plane."""
        height, width = self.share.shape
        shift = (int(rng.integers(height // 4, 3 * height // 4)), int(rng.integers(width // 4, 3 * width // 4)))
        flips = tuple(slice(None, None, int(step)) for step in rng.choice((-1, 1), 2))

        def move(image: Image) -> Image:
            return np.roll(image[flips], shift, (0, 1))

        return _TissueMaps(move(self.nuclei), move(self.cytoplasm), move(self.collagen), move(self.share))


def _fluorescent_light(here: _TissueMaps, elsewhere: _TissueMaps, zoom: float, rng: np.random.Generator) -> Image:
    """Fluorescence of unevenly taken up acridine orange, float32 (h, w), any scale: nuclei, cytoplasm, other layers.

    Now and then fibres shine as bright as nuclei, or wide areas out of focus; in the H&E neither is blue.
    """
    shape = here.share.shape
    dye = random_field(shape, zoom * rng.uniform(25, 80), rng.uniform(0.15, 0.4), rng)
    each = random_field(shape, zoom * 5.0, rng.uniform(0.05, 0.2), rng)  # differences between nuclei
    focus = zoom * rng.uniform(0.8, 1.3)
    nuclei = smooth(here.nuclei**1.1 * each, focus)  # the exponent suppresses faint fibres
    cytoplasm = smooth(here.cytoplasm * here.share, zoom * 1.5)
    haze = smooth(here.nuclei + 0.3 * here.cytoplasm, zoom * rng.uniform(3, 8))
    deeper = smooth(elsewhere.nuclei + 0.5 * elsewhere.cytoplasm, zoom * rng.uniform(8, 20))
    fibres = smooth(np.maximum(elsewhere.collagen - smooth(elsewhere.collagen, 4 * zoom), 0) * here.share, focus)
    stains_cytoplasm = 3.0 if rng.random() < OTHER_DYES else 1.0
    light = (
        rng.uniform(0.7, 1.0) * nuclei
        + rng.uniform(0.05, 0.15) * stains_cytoplasm * cytoplasm
        + rng.uniform(0.15, 0.45) * haze
        + rng.uniform(0.1, 0.3) * deeper
        + rng.uniform(0.0, 0.2) * fibres
        + rng.uniform(0.02, 0.12) * smooth(here.share, 3 * zoom)
    )
    stroma = np.clip(here.collagen, 0, 1) * here.share * (1 - here.nuclei)
    light = light + elastic_fibres(shape, zoom, rng) * smooth(stroma, zoom)
    return np.asarray(light * dye + haze_patches(shape, zoom, rng) * smooth(here.share, 3 * zoom))


def _reflected_light(here: _TissueMaps, elsewhere: _TissueMaps, zoom: float, rng: np.random.Generator) -> Image:
    """Light reflected by collagen and keratin, float32 (h, w), any scale, with a random texture."""
    shape = here.share.shape
    fine, wide = (random_field(shape, zoom * rng.uniform(*size), strength, rng) for size, strength in CLOUDS)
    grain = random_field(shape, 1.5, rng.uniform(0.05, 0.15), rng)
    mixed = rng.uniform(0.7, 1.0) * here.collagen + rng.uniform(0.0, 0.2) * elsewhere.collagen * here.share
    below = rng.uniform(0.1, 0.25) * smooth(elsewhere.collagen, 6 * zoom)  # shows through lumina
    back = (smooth(mixed + 0.15 * here.share, zoom * rng.uniform(0.8, 1.3)) + below) * fine * wide * grain
    return np.asarray(back * (1 - rng.uniform(0.0, 0.4) * smooth(here.nuclei, zoom * 1.2)))


@dataclass(frozen=True, eq=False)
class _Matching:
    """Scaling of light to statistics drawn from a spread."""

    share: Image  # of tissue
    spread: Spread
    domain_randomisation: float
    zoom: float

    def matched(self, light: Image, rng: np.random.Generator) -> tuple[Image, float]:
        """Light scaled to statistics drawn from the spread, and the contrast at fine scale that is left to noise."""
        spread, wide = self.spread, smooth(self.share, 20 * self.zoom)
        inside = wide > 0.6  # includes small lumina, as measured on real scans, but no glass
        if inside.mean() < 0.05:
            return np.asarray(0.02 * light / max(float(light.max()), 1e-6), np.float32), 0.0
        brightness, detail, steepness = 0.5 + self.domain_randomisation * (rng.random(3) - 0.5)
        knots = [_between(ends, brightness + rng.uniform(-0.15, 0.15)) for ends in spread.percentiles]
        knots[0] *= spread.dark_factor
        slow_target, middle_target = _between(spread.slow, steepness), _between(spread.middle, detail)
        light = _match_percentiles(light * np.clip(4 * wide, 0, 1), inside, knots)
        for _ in range(2):
            slow = smooth(light, 10 * self.zoom)
            rest = light - slow
            middle = (smooth(rest, self.zoom) - smooth(rest, 4 * self.zoom))[inside].std()
            gain = MIDDLE_TARGET * middle_target / max(float(middle), 1e-6)
            centre = slow[inside].mean()
            light = centre + _gain(slow, inside, slow_target) * (slow - centre) + np.float32(min(gain, 3)) * rest
            light = _match_percentiles(light, inside, knots)
        slow = smooth(light, 10 * self.zoom)
        light = light + (_gain(slow, inside, COARSE_TARGET * slow_target) - 1) * (slow - slow[inside].mean())
        return np.clip(light, 0, 1), _between(spread.fine, detail)


def _gain(slow: Image, inside: npt.NDArray[np.bool_], wanted: float) -> np.float32:
    """Factor that gives the slow variation in the tissue the standard deviation wanted, within limits."""
    return np.float32(np.clip(wanted / max(float(slow[inside].std()), 1e-6), 0.5, 2))


def _between(ends: Range, place: float) -> float:
    """Linear interpolation: the lower end for place 0, the upper one for 1."""
    return ends[0] + (ends[1] - ends[0]) * place


def _match_percentiles(light: Image, inside: npt.NDArray[np.bool_], knots: list[float]) -> Image:
    """Light after the monotone map of brightness that moves the percentiles of the tissue to `knots`."""
    found = np.percentile(light[inside], (0.5, *PERCENTILES, 99.7))
    found = np.maximum.accumulate(found + np.arange(found.size) * 1e-6)
    wanted = np.maximum.accumulate([0.0, *knots, 1.0])
    return np.interp(light, found, wanted).astype(np.float32)


def _add_noise(
    light: Image, fine: float, variation: Range, grain: float, zoom: float, rng: np.random.Generator
) -> Image:
    """Recording whose contrast at fine scale is `fine`, by multiplicative noise, as far as `variation` allows."""
    texture = light - smooth(light, 3 * zoom)
    missing = max(fine**2 - float(texture.var()), 0.0)
    share = math.sqrt(missing / max(float(np.square(light).mean()), 1e-6))
    noise = Speckle(looks=1 / np.clip(share, *variation) ** 2, grain=grain, read_noise=rng.uniform(0.002, 0.008))
    return np.clip(noise.recorded(light, rng), 0, 1)
