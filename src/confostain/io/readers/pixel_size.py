"""Pixel size of an image: lengths in any unit that files use, and what of these is believed."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

from confostain.errors import ConfostainWarning, OptionError

# Slides have 0.2 to 1 um/px, their thumbnails 10. A value outside this range is a print resolution (72 or 300 dpi is
# 353 or 85 um/px) or a placeholder, and not the pixel size of a microscope.
MICRONS_PER_PIXEL = (0.05, 20.0)
SQUARE = 0.01  # relative: by which width and height of a pixel may differ
SAME_PIXEL_SIZE = 0.02  # relative; the stated size may be rounded

_PREFIXES = {
    ("", ""): 0, ("k", "kilo"): 3, ("h", "hecto"): 2, ("da", "deca"): 1, ("d", "deci"): -1, ("c", "centi"): -2,
    ("m", "milli"): -3, ("u", "micro"): -6, ("µ", "µ"): -6, ("μ", "μ"): -6, ("n", "nano"): -9, ("p", "pico"): -12,
}  # fmt: skip
_MICRONS = {
    "micron": 1.0, "microns": 1.0, "u": 1.0, "µ": 1.0, "μ": 1.0, "angstrom": 1e-4, "angstroms": 1e-4, "å": 1e-4,
    "ångström": 1e-4, "ångstrom": 1e-4, "in": 25_400.0, "inch": 25_400.0, "inches": 25_400.0,
    "international_inch": 25_400.0, "thou": 25.4, "mil": 25.4, "ft": 304_800.0, "foot": 304_800.0, "feet": 304_800.0,
    "pt": 25_400 / 72,
}  # fmt: skip
for (_symbol, _name), _power in _PREFIXES.items():
    _MICRONS[f"{_symbol}m"] = 10.0 ** (6 + _power)
    for _metre in ("metre", "meter", "metres", "meters"):
        _MICRONS[f"{_name}{_metre}"] = 10.0 ** (6 + _power)


@dataclass(frozen=True)
class PixelSize:
    """Width and height of a square pixel.

    Attributes:
        microns: in um.
        source: where in the file it stands, in words.
    """

    microns: float
    source: str


def microns(value: float | None, unit: str | None) -> float | None:
    """Length in micrometres; None where it, or its unit, is missing or unknown.

    Units are those of OME, UDUNITS (OME-Zarr) and ImageJ: symbols, and names in British and American spelling.
    """
    text = (unit or "").strip().replace("\\u00B5", "u").replace("\\u00b5", "u").replace("\u212b", "å")
    scale = _MICRONS.get(text) or _MICRONS.get(text.lower())
    return None if scale is None or value is None else value * scale


def number(text: object) -> float | None:
    """Number in a text, with a decimal point or comma; None where there is none."""
    try:
        return float(str(text).strip().replace(",", "."))
    except ValueError:
        return None


def plausible_microns(value: float | None) -> float | None:
    """Pixel size in um if it can be a microscope's, else None.

    Rounded to six digits: further ones come from its storage as pixels per centimetre or per inch.
    """
    low, high = MICRONS_PER_PIXEL
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) and low <= value <= high else None


def believed(name: str, x: float | None, y: float | None, source: str) -> PixelSize | None:
    """Pixel size from a file, if plausible for a microscope and square; a warning tells where it is not square.

    Args:
        name: of the file.
        x: width of a pixel in um; None where the file does not say it.
        y: height of a pixel in um; None where the file does not say it: taken for the width.
        source: where in the file they stand, in words.
    """
    width, height = plausible_microns(x), plausible_microns(x if y is None else y)
    if width is None:
        return None
    if height is None or abs(height / width - 1) > SQUARE:
        warnings.warn(
            f"{name}: pixels are {x:g} x {y:g} um ({source}); expected square ones, so neither is used; resample the"
            " image, or give the pixel size with --mpp (microns_per_pixel)",
            ConfostainWarning,
            stacklevel=2,
        )
        return None
    return PixelSize(width, source)


def agreed(name: str, stated: float | None, given: float | None) -> float | None:
    """Pixel size in um of a file that states one or none, where a caller gives one or none.

    Raises:
        OptionError: the given one is outside 0.05 to 20 um, or contradicts the stated one by more than 2 %.
    """
    if given is not None and plausible_microns(given) is None:
        low, high = MICRONS_PER_PIXEL
        raise OptionError(f"pixel size {given:g} um: expected {low:g} to {high:g}; give um per pixel")
    if stated and given and abs(given / stated - 1) > SAME_PIXEL_SIZE:
        raise OptionError(
            f"pixel size {given:g} um given, but {name} states {stated:g}; expected the same; leave the given one out,"
            " or correct the file"
        )
    return stated or given
