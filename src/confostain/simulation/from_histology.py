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

from confostain.arrays import Image, Pair, Rgb
from confostain.errors import OptionError
from confostain.imaging.optical_density import optical_density
from confostain.imaging.stain_separation import separate_stains
from confostain.simulation.speckle import Speckle

Range = tuple[float, float]

PERCENTILES = (5, 25, 50, 75, 95)
SMALLEST = 64  # px, side of an image: a smaller one has no reliable statistics

REFLECTANCE_VARIATION = (0.03, 0.25)  # coefficient of variation of the noise; despeckled to heavily speckled
FLUORESCENCE_VARIATION = (0.03, 0.10)
MIDDLE_TARGET = 0.92  # of the wanted contrast at middle scale: noise and the last brightness map add the rest
COARSE_TARGET = 0.986  # of the wanted contrast at coarse scale, likewise


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


def simulate(rgb: Rgb, seed: int | np.random.Generator, domain_randomisation: float = 0.7) -> Pair:
    """Confocal reflectance and fluorescence simulated from an H&E image: a training pair with known truth.

        rgb = np.asarray(PIL.Image.open("section.png").convert("RGB"))  # at 0.75 um/px
        rf = confostain.simulate(rgb, seed=1)
        confostain.stain(rf)  # to be compared with rgb

    Args:
        rgb: H&E at 0.75 um/px, uint8 (h, w, 3) of at least 64 px a side. From 512 px on, the statistics of the
            channels come near those of real scans.
        seed: seed or generator of all that is random: dye, optics, tissue above and below, noise. The same seed gives
            the same pair.
        domain_randomisation: width of the range from which the statistics of the channels are drawn, as a share of
            the range measured on real scans: 0 for its middle, 1 for all of it.

    Returns:
        float32 (2, h, w) in [0, 1], R then F, as `Slide.read_region` gives them.

    Raises:
        OptionError: the image is too small, or no RGB image of 8 bits.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise OptionError(f"image of {rgb.dtype} {rgb.shape}: expected uint8 (h, w, 3); convert it to RGB of 8 bits")
    if min(rgb.shape[:2]) < SMALLEST:
        raise OptionError(
            f"image of {rgb.shape[1]} x {rgb.shape[0]} px: expected at least {SMALLEST} px a side; give a larger field"
        )
    rng = np.random.default_rng(seed)
    here = _TissueMaps.from_histology(rgb)
    elsewhere = here.shifted(rng)
    reflected = _match_statistics(
        _reflected_light(here, elsewhere, rng), here.share, REAL_SPREAD["reflectance"], domain_randomisation, rng
    )
    fluoresced = _match_statistics(
        _fluorescent_light(here, elsewhere, rng), here.share, REAL_SPREAD["fluorescence"], domain_randomisation, rng
    )
    return np.stack(
        [
            _add_noise(*reflected, REFLECTANCE_VARIATION, rng.uniform(0.3, 0.6), rng),
            _add_noise(*fluoresced, FLUORESCENCE_VARIATION, 0.0, rng),
        ]
    )


@dataclass(frozen=True)
class _TissueMaps:
    """Maps of the tissue components in an H&E image, float32 (h, w) each, in about [0, 1]."""

    nuclei: Image
    cytoplasm: Image
    collagen: Image
    share: Image  # of tissue, with soft edges: 0 on glass and in lumina

    @classmethod
    def from_histology(cls, rgb: Rgb) -> _TissueMaps:
        """Maps of an H&E image, uint8 (h, w, 3), by optical density and stain separation."""
        from scipy.ndimage import grey_closing

        density = optical_density(rgb)
        red, total = density[..., 0], density.sum(axis=-1)
        haematoxylin, eosin = separate_stains(rgb)
        share = smooth(np.clip((smooth(total, 1.0) - 0.12) / 0.15, 0, 1), 1.0)
        around = smooth(red * share, 12.0) / np.maximum(smooth(share, 12.0), 0.05)
        nuclei = np.clip((smooth(grey_closing(red, 3), 0.5) - around) / 0.45, 0, 1)  # filled, where hollow
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


def _fluorescent_light(here: _TissueMaps, elsewhere: _TissueMaps, rng: np.random.Generator) -> Image:
    """Fluorescence of unevenly taken up acridine orange, float32 (h, w), any scale: nuclei, cytoplasm, other layers."""
    shape = here.share.shape
    dye = random_field(shape, rng.uniform(25, 80), rng.uniform(0.15, 0.4), rng)
    each = random_field(shape, 5.0, rng.uniform(0.05, 0.2), rng)  # differences between nuclei
    focus = rng.uniform(0.8, 1.3)  # px
    nuclei = smooth(here.nuclei**1.1 * each, focus)  # the exponent suppresses faint fibres
    cytoplasm = smooth(here.cytoplasm * here.share, 1.5)
    haze = smooth(here.nuclei + 0.3 * here.cytoplasm, rng.uniform(3, 8))
    deeper = smooth(elsewhere.nuclei + 0.5 * elsewhere.cytoplasm, rng.uniform(8, 20))
    fibres = smooth(np.maximum(elsewhere.collagen - smooth(elsewhere.collagen, 4.0), 0) * here.share, focus)
    light = (
        rng.uniform(0.7, 1.0) * nuclei
        + rng.uniform(0.05, 0.15) * cytoplasm
        + rng.uniform(0.15, 0.45) * haze
        + rng.uniform(0.1, 0.3) * deeper
        + rng.uniform(0.0, 0.2) * fibres
        + rng.uniform(0.02, 0.12) * smooth(here.share, 3.0)
    )
    return np.asarray(light * dye)


def _reflected_light(here: _TissueMaps, elsewhere: _TissueMaps, rng: np.random.Generator) -> Image:
    """Light reflected by collagen and keratin, float32 (h, w), any scale, with a random texture."""
    shape = here.share.shape
    clouds = random_field(shape, rng.uniform(6, 11), 0.35, rng) * random_field(shape, rng.uniform(25, 60), 0.5, rng)
    grain = random_field(shape, 1.5, rng.uniform(0.05, 0.15), rng)
    mixed = rng.uniform(0.7, 1.0) * here.collagen + rng.uniform(0.0, 0.2) * elsewhere.collagen * here.share
    below = rng.uniform(0.1, 0.25) * smooth(elsewhere.collagen, 6.0)  # shows through lumina
    back = (smooth(mixed + 0.15 * here.share, rng.uniform(0.8, 1.3)) + below) * clouds * grain
    return np.asarray(back * (1 - rng.uniform(0.0, 0.4) * smooth(here.nuclei, 1.2)))


def _match_statistics(
    light: Image, share: Image, spread: Spread, domain_randomisation: float, rng: np.random.Generator
) -> tuple[Image, float]:
    """Light scaled to statistics drawn from the spread, and the contrast at fine scale that is left to the noise."""
    inside = smooth(share, 20.0) > 0.6  # includes small lumina, as measured on real scans, but no glass
    if inside.mean() < 0.05:
        return np.asarray(0.02 * light / max(float(light.max()), 1e-6), np.float32), 0.0
    brightness, detail, steepness = 0.5 + domain_randomisation * (rng.random(3) - 0.5)
    knots = [_between(ends, brightness + rng.uniform(-0.15, 0.15)) for ends in spread.percentiles]
    knots[0] *= spread.dark_factor

    def slow_gain(slow: Image, target: float = 1.0) -> np.float32:
        wanted = target * _between(spread.slow, steepness)
        return np.float32(np.clip(wanted / max(float(slow[inside].std()), 1e-6), 0.5, 2))

    light = _match_percentiles(light * np.clip(4 * smooth(share, 20.0), 0, 1), inside, knots)
    for _ in range(2):
        slow = smooth(light, 10.0)
        rest = light - slow
        gain = (
            MIDDLE_TARGET
            * _between(spread.middle, detail)
            / max(float((smooth(rest, 1.0) - smooth(rest, 4.0))[inside].std()), 1e-6)
        )
        centre = slow[inside].mean()
        light = centre + slow_gain(slow) * (slow - centre) + np.float32(min(gain, 3)) * rest
        light = _match_percentiles(light, inside, knots)
    slow = smooth(light, 10.0)
    light = light + (slow_gain(slow, COARSE_TARGET) - 1) * (slow - slow[inside].mean())
    return np.clip(light, 0, 1), _between(spread.fine, detail)


def _between(ends: Range, place: float) -> float:
    """Linear interpolation: the lower end for place 0, the upper one for 1."""
    return ends[0] + (ends[1] - ends[0]) * place


def _match_percentiles(light: Image, inside: npt.NDArray[np.bool_], knots: list[float]) -> Image:
    """Light after the monotone map of brightness that moves the percentiles of the tissue to `knots`."""
    found = np.percentile(light[inside], (0.5, *PERCENTILES, 99.7))
    found = np.maximum.accumulate(found + np.arange(found.size) * 1e-6)
    wanted = np.maximum.accumulate([0.0, *knots, 1.0])
    return np.interp(light, found, wanted).astype(np.float32)


def _add_noise(light: Image, fine: float, variation: Range, grain: float, rng: np.random.Generator) -> Image:
    """Recording whose contrast at fine scale is `fine`, by multiplicative noise, as far as `variation` allows."""
    texture = light - smooth(light, 3.0)
    missing = max(fine**2 - float(texture.var()), 0.0)
    share = math.sqrt(missing / max(float(np.square(light).mean()), 1e-6))
    noise = Speckle(looks=1 / np.clip(share, *variation) ** 2, grain=grain, read_noise=rng.uniform(0.002, 0.008))
    return np.clip(noise.recorded(light, rng), 0, 1)


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
