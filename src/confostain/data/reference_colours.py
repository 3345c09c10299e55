"""Stain colours of a laboratory from a reference: fitted to its H&E, or read from a TOML file."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import confostain
from confostain.arrays import REFERENCE_MPP, Rgb
from confostain.data.histology_fields import FIELD_SIDE, tissue_fields
from confostain.errors import ConfigError
from confostain.imaging.stain_colours import Colour, StainColours, fit_stain_colours, is_colour
from confostain.io.readers.histology import open_histology
from confostain.io.writers.atomic import complete_or_absent

MOST_FIELDS = 24
LEAST_TISSUE = 0.3  # share of a field: of a narrow biopsy there is no more


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
    path, side = Path(path), FIELD_SIDE
    if not path.is_dir():
        with open_histology(path, microns_per_pixel, assumed=REFERENCE_MPP) as slide:
            side = min(side, *slide.size_at(REFERENCE_MPP))
    return tissue_fields(path, MOST_FIELDS, side, microns_per_pixel or REFERENCE_MPP, LEAST_TISSUE)


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
