"""Slides to patches that trainings can read: cut, judged, split by slide, told of in a manifest."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from confostain.arrays import REFERENCE_MPP, Progress
from confostain.data.contact_sheet import ContactSheet, Thumbnail, thumbnail_of, write_sheet
from confostain.data.patch_extractor import ConfocalPatchExtractor, PatchExtractor, HistologyPatchExtractor
from confostain.data.manifest import CONTENTS, MANIFEST, PreparedPatch, write_manifest
from confostain.data.split import OpenExtractor, PatchPlan, PlannedSlide, plan_slides
from confostain.errors import OutputError, SlideError
from confostain.geometry import Region
from confostain.imaging.patch_quality import MIN_TISSUE
from confostain.io.writers.output import PartialFolder, as_output_error

SHOWN_BLANK = 0.02  # tissue share: what has less is not shown among the blank ones


def prepare_confocal(
    slides: Sequence[Path], folder: Path, plan: PatchPlan, overwrite: bool = False, progress: Progress | None = None
) -> list[PreparedPatch]:
    """Cut confocal slides into patches of 0.75 um/px, each channel in [0, 1] by the range of its slide.

    Args:
        slides: for training, or, without `plan.validate`, for both sides.
        folder: made here, complete or not at all; `prepared` says what is in it.
        plan: the patches wanted.
        overwrite: replace what an earlier preparation wrote there.
        progress: called after each place.

    Returns:
        One record for each place, kept or not, in the order of the manifest; files relative to the folder.

    Raises:
        SlideError: a slide cannot be read, is given twice, or no patch could be kept.
        OutputError: the folder cannot be written.
    """
    extractor = partial(ConfocalPatchExtractor, microns_per_pixel=plan.microns_per_pixel, swap_channels=plan.swap_channels)
    return _prepare(extractor, slides, folder, plan, overwrite, progress)


def prepare_histology(
    slides: Sequence[Path], folder: Path, plan: PatchPlan, overwrite: bool = False, progress: Progress | None = None
) -> list[PreparedPatch]:
    """Cut H&E slides into patches of 0.75 um/px, without what is blank, inked, folded or out of focus.

    Arguments, result and errors as of `prepare_confocal`.
    """
    extractor = partial(HistologyPatchExtractor, microns_per_pixel=plan.microns_per_pixel)
    return _prepare(extractor, slides, folder, plan, overwrite, progress)


def _prepare(
    opened: OpenExtractor,
    slides: Sequence[Path],
    folder: Path,
    plan: PatchPlan,
    overwrite: bool,
    progress: Progress | None,
) -> list[PreparedPatch]:
    _refuse_own_sources(folder, (*slides, *plan.validate))
    with PartialFolder(folder, overwrite, _is_prepared) as output, ExitStack() as stack:
        scans = plan_slides(opened, slides, plan)
        total, kept, dropped = sum(len(scan.places) for scan in scans), ContactSheet(), dict[str, ContactSheet]()
        patches: list[PreparedPatch] = []
        with as_output_error(folder):
            for split in ("train", "validate"):
                (output.partial / split).mkdir()
            cuts = _cut_all(opened, scans, plan.side, output.partial)
            stack.callback(cuts.close)  # after an error, places still waiting are given up
            for patch, thumbnail in cuts:
                patches.append(patch)
                if thumbnail is not None:
                    sheet = dropped.setdefault(patch.dropped, ContactSheet()) if patch.dropped else kept
                    sheet.add(thumbnail, patch.dropped or f"{patch.split[:1]} {patch.slide[-18:]}")
                if progress is not None:
                    progress(len(patches), total)
            _refuse_nothing(patches)
            write_manifest(output.partial, patches)
            write_sheet(output.partial / "kept.png", "kept (t train, v validate)", [kept])
            write_sheet(output.partial / "dropped.png", "left out", list(dropped.values()))
        output.complete()
    return patches


def _refuse_own_sources(folder: Path, paths: Sequence[Path]) -> None:
    for path in paths:
        if path.resolve().is_relative_to(folder.resolve()):
            raise OutputError(f"{folder}: holds {path}, from which patches are to be made; choose another folder")


def _is_prepared(folder: Path) -> bool:
    """Whether a folder holds what an earlier preparation wrote, and nothing else."""
    entries = {entry.name for entry in folder.iterdir()}
    return not entries or (MANIFEST in entries and entries <= CONTENTS)


def _refuse_nothing(patches: Sequence[PreparedPatch]) -> None:
    if all(patch.dropped for patch in patches):
        reasons = Counter(patch.dropped for patch in patches)
        found = ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "no slide is large enough"
        raise SlideError(f"no patch can be kept ({found}); give slides with more tissue, or a smaller --side")


def _cut_all(
    opened: OpenExtractor, scans: Sequence[PlannedSlide], side: int, folder: Path
) -> Generator[tuple[PreparedPatch, Thumbnail | None], None, None]:
    """Every place of every slide in turn; what is kept has been written."""
    for scan in scans:
        if scan.places:
            with closing(opened(scan.path)) as extractor, ThreadPoolExecutor(os.cpu_count()) as pool:
                extractor.tissue_share(scan.places[0])  # looks at the whole slide, before several threads would
                yield from pool.map(partial(_judged, extractor, scan, side, folder), scan.places)


def _judged(
    extractor: PatchExtractor, scan: PlannedSlide, side: int, folder: Path, place: Region
) -> tuple[PreparedPatch, Thumbnail | None]:
    tissue = extractor.tissue_share(place)
    pixels = extractor.read(place) if tissue >= SHOWN_BLANK else None
    dropped = "blank" if pixels is None or tissue < MIN_TISSUE else extractor.rejection_reason(pixels)
    corner = (round(place.x * extractor.scale), round(place.y * extractor.scale))
    file = Path(scan.split) / f"{scan.name}_x{corner[0]:06}_y{corner[1]:06}{extractor.suffix}"
    if pixels is not None and dropped is None:
        extractor.write(folder / file, pixels)
    patch = PreparedPatch(
        file=None if dropped else file,
        kind=extractor.kind,
        split=scan.split,
        slide=scan.name,
        sources=scan.sources,
        sha256=scan.sha256,
        level0_xy=corner,
        scale=round(extractor.scale, 6),
        microns_per_pixel=REFERENCE_MPP,
        side=side,
        tissue_share=round(tissue, 4),
        dropped=dropped,
    )
    return patch, None if pixels is None else thumbnail_of(extractor.preview(pixels))
