"""Fields of real H&E, mostly tissue, at 0.75 um/px: of a slide, or of a folder of pictures of one slide."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from confostain.arrays import REFERENCE_MPP, Rgb
from confostain.errors import SlideError
from confostain.geometry import Region
from confostain.imaging.histology_tissue import tissue_mask
from confostain.io.readers.histology import PICTURES, TIFFS, HistologySlide, open_histology
from confostain.io.readers.zarr import is_zarr

FIELD_SIDE = 512  # px, of a field
MIN_TISSUE_SHARE = 0.7  # of a field
OVERVIEW_SCALE = 16  # px of a field per px of the overview on which tissue is found


def tissue_fields(
    path: str | Path,
    number: int,
    side: int = FIELD_SIDE,
    assumed: float = REFERENCE_MPP,
    least_tissue: float = MIN_TISSUE_SHARE,
) -> list[Rgb]:
    """Fields of H&E that are mostly tissue: uint8 (side, side, 3) at 0.75 um/px, from top to bottom.

    At most `number`, at even distances in the list of all such fields. Those of a folder whose smallest picture is
    smaller than a field are as small as that picture.

    Args:
        path: a slide, a picture, or a folder of them.
        number: of fields.
        side: of a field in px.
        assumed: pixel size in um of files that do not say it.
        least_tissue: share of tissue from which a field is taken.

    Raises:
        SlideError: a file cannot be read, a folder has no picture, or no field has enough tissue.
    """
    files = _files_of(Path(path))
    if len(files) > 1:
        side = min(side, *(_shorter_side(file, assumed) for file in files))
    corners = [(file, corner) for file in files for corner in _tissue_corners(file, side, assumed, least_tissue)]
    if not corners:
        raise SlideError(
            f"{path}: no field of {side} x {side} px at {REFERENCE_MPP:g} um/px is at least {least_tissue:.0%} tissue;"
            " expected one; give a larger section"
        )
    chosen = np.linspace(0, len(corners) - 1, min(number, len(corners))).round().astype(int)
    fields = []
    for file, group in groupby((corners[index] for index in chosen), key=lambda place: place[0]):
        with open_histology(file, assumed=assumed) as slide:
            fields += [slide.read_region(corner, (side, side), REFERENCE_MPP) for _, corner in group]
    return fields


def _files_of(path: Path) -> list[Path]:
    if not path.is_dir() or is_zarr(path):
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURES | TIFFS)
    if not files:
        raise SlideError(f"{path}: no picture in this folder; expected H&E in .jpg, .png or .tif; check the path")
    return files


def _shorter_side(file: Path, assumed: float) -> int:
    with open_histology(file, assumed=assumed) as slide:
        return min(slide.size_at(REFERENCE_MPP))


def _tissue_corners(file: Path, side: int, assumed: float, least: float) -> list[tuple[int, int]]:
    """Left upper corners (x, y), in px of 0.75 um, of the fields of a file that are mostly tissue."""
    with open_histology(file, assumed=assumed) as slide:
        width, height = slide.size_at(REFERENCE_MPP)
        tissue = tissue_mask(_overview(slide))
        return [
            (x, y)
            for y in range(0, height - side + 1, side)
            for x in range(0, width - side + 1, side)
            if _tissue_share(tissue, Region(x, y, side, side)) >= least
        ]


def _overview(slide: HistologySlide) -> Rgb:
    coarse = REFERENCE_MPP * OVERVIEW_SCALE
    return slide.read_region((0, 0), slide.size_at(coarse), coarse)


def _tissue_share(overview: npt.NDArray[np.bool_], region: Region) -> float:
    """Share of tissue in a region, in pixels of 0.75 um, from the tissue mask of the overview."""
    rows, columns = (
        slice(start // OVERVIEW_SCALE, max(start // OVERVIEW_SCALE + 1, stop // OVERVIEW_SCALE))
        for start, stop in ((region.y, region.bottom), (region.x, region.right))
    )
    return float(overview[rows, columns].mean())
