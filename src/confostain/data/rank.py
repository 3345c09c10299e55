"""Ranking of H&E slides by their proportion of haematoxylin to eosin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from confostain.arrays import Progress
from confostain.data.patch_extractor import read_overview
from confostain.imaging.patch_quality import OVERVIEW_MICRONS, find_background
from confostain.imaging.stain_separation import haematoxylin_eosin_proportion
from confostain.io.readers.histology import open_histology


@dataclass(frozen=True)
class RankedSlide:
    """Stain proportion of one slide.

    Attributes:
        path: of the slide.
        proportion: haematoxylin as a share of both dyes, over the tissue; NaN without tissue.
        tissue_mm2: area of the tissue in mm2.
    """

    path: Path
    proportion: float
    tissue_mm2: float


def rank_slides(
    slides: Sequence[Path],
    microns_per_pixel: float | None = None,
    progress: Progress | None = None,
) -> list[RankedSlide]:
    """Slides in order of decreasing proportion of haematoxylin, measured on an overview of 12 um/px.

    Args:
        slides: files of H&E slides.
        microns_per_pixel: pixel size in um of slides that do not say it.
        progress: called after each slide.

    Raises:
        SlideError: a slide cannot be read.
    """
    ranked = []
    for index, path in enumerate(slides):
        ranked.append(_measure(path, microns_per_pixel))
        if progress is not None:
            progress(index + 1, len(slides))
    return sorted(ranked, key=lambda slide: math.inf if math.isnan(slide.proportion) else -slide.proportion)


def _measure(path: Path, microns_per_pixel: float | None) -> RankedSlide:
    with open_histology(path, assumed=microns_per_pixel) as slide:
        overview = read_overview(slide)
    tissue = find_background(overview).tissue
    proportion = haematoxylin_eosin_proportion(overview[tissue][:, None]) if tissue.any() else math.nan
    return RankedSlide(path, proportion, float(tissue.sum()) * (OVERVIEW_MICRONS / 1000) ** 2)
