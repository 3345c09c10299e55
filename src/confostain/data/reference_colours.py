"""Stain colours of a laboratory from a reference: fitted to its H&E, or read from a TOML file."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

import confostain
from confostain.arrays import REFERENCE_MPP, Rgb
from confostain.data.training_slides import PICTURES
from confostain.errors import ConfigError, SlideError
from confostain.geometry import Region
from confostain.imaging.histology_tissue import tissue_mask
from confostain.imaging.stain_colours import Colour, StainColours, fit_stain_colours, is_colour
from confostain.io.readers.histology import HistologySlide, open_histology
from confostain.io.writers.atomic import complete_or_absent

FIELD = 512  # px of 0.75 um, side of the fields that are fitted to
MOST_FIELDS = 24
LEAST_TISSUE = 0.5  # share of a field
OVERVIEW = 16  # px of a field for one of the overview


def read_stain_colours(path: str | os.PathLike[str], microns_per_pixel: float | None = None) -> StainColours:
    """Stain colours of a laboratory, from H&E of it or from a file that `prepare colours` wrote.

        colours = confostain.read_stain_colours("ours.svs")
        confostain.stain(rf, colours=colours)

    Args:
        path: an H&E slide or image, a folder of pictures of one slide, or a `.toml`.
        microns_per_pixel: pixel size of the H&E in um, where the file does not say it; by default 0.75. The colours
            hardly depend on it.

    Raises:
        SlideError: the H&E cannot be read, or no colours can be fitted to it.
        ConfigError: the TOML file is no such file.
        OptionError: a pixel size outside 0.05 to 20 um, or one that contradicts the file's.
    """
    path = Path(path)
    if path.suffix.lower() == ".toml":
        return _read_toml(path)
    return fit_stain_colours(reference_fields(path, microns_per_pixel), str(path))


def reference_fields(path: str | os.PathLike[str], microns_per_pixel: float | None = None) -> list[Rgb]:
    """Fields of H&E that hold tissue, evenly spread: uint8 (h, w, 3) each, at 0.75 um/px; see `read_stain_colours`."""
    path = Path(path)
    pictures = sorted(one for one in path.iterdir() if one.suffix.lower() in PICTURES) if path.is_dir() else []
    if not pictures:
        with open_histology(path, microns_per_pixel, assumed=REFERENCE_MPP) as slide:
            return _fields(slide, MOST_FIELDS)
    chosen = np.linspace(0, len(pictures) - 1, min(MOST_FIELDS, len(pictures))).round().astype(int)
    fields: list[Rgb] = []
    for index in chosen:
        with open_histology(pictures[index], microns_per_pixel, assumed=REFERENCE_MPP) as slide:
            fields += _fields(slide, 1)
    return fields


def write_stain_colours(colours: StainColours, path: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Write stain colours as TOML, complete or not at all.

    Raises:
        OutputError: the file exists and may not be replaced, or cannot be written.
    """
    lines = [
        f"# Stain colours of a laboratory, fitted to its H&E by confostain {confostain.__version__}: decadic optical",
        "# densities of red, green and blue of a typical nucleus and of typical stroma.",
        f"nucleus = {list(colours.nucleus)}",
        f"stroma = {list(colours.stroma)}",
    ]
    with complete_or_absent(Path(path), overwrite) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _read_toml(path: Path) -> StainColours:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); expected stain colours in TOML") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid TOML ({error}); expected stain colours") from error
    if table.keys() != {"nucleus", "stroma"}:
        raise ConfigError(f"{path}: has {', '.join(table) or 'no keys'}; expected nucleus and stroma, and nothing else")
    return StainColours(_colour(path, table, "nucleus"), _colour(path, table, "stroma"))


def _colour(path: Path, table: dict[str, Any], name: str) -> Colour:
    values = table[name]
    if not is_colour(values):
        raise ConfigError(
            f"{path}: {name} is {values!r}; expected optical densities of red, green and blue from 0 to 4,"
            " such as [0.47, 0.69, 0.4]"
        )
    red, green, blue = map(float, values)
    return red, green, blue


def _fields(slide: HistologySlide, most: int) -> list[Rgb]:
    """Fields of a slide at 0.75 um/px that hold tissue, evenly spread over it."""
    width, height = slide.size_at(REFERENCE_MPP)
    side = min(FIELD, width, height)
    coarse = REFERENCE_MPP * OVERVIEW
    overview = slide.read_region((0, 0), slide.size_at(coarse), coarse)
    tissue = tissue_mask(overview)
    corners = [(x, y) for y in range(0, height - side + 1, side) for x in range(0, width - side + 1, side)]
    shares = [_share(tissue, Region(x, y, side, side)) for x, y in corners]
    found = [corner for corner, share in zip(corners, shares, strict=True) if share >= LEAST_TISSUE]
    found = found or [corners[int(np.argmax(shares))]]  # of a small biopsy, the field with the most
    if max(shares) == 0:
        raise SlideError(f"{slide.path}: no tissue in it; expected H&E; give another image")
    chosen = np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int)
    return [slide.read_region(found[index], (side, side), REFERENCE_MPP) for index in chosen]


def _share(overview: Any, region: Region) -> float:
    rows, columns = (
        slice(start // OVERVIEW, max(start // OVERVIEW + 1, stop // OVERVIEW))
        for start, stop in ((region.y, region.bottom), (region.x, region.right))
    )
    return float(overview[rows, columns].mean())
