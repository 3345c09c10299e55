"""Preparation of training patches: extraction, quality control, split by slide, manifest."""

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
from confostain.data.manifest import CONTENTS, MANIFEST, PreparedPatch, write_manifest
from confostain.data.patch_extractor import ConfocalPatchExtractor, HistologyPatchExtractor, PatchExtractor
from confostain.data.split import OpenExtractor, PatchPlan, PlannedSlide, plan_slides
from confostain.errors import OutputError, SlideError
from confostain.geometry import Region
from confostain.imaging.patch_quality import MIN_TISSUE
from confostain.io.writers.atomic import PartialFolder, as_output_error

SHOWN_BLANK = 0.02  # tissue share; blank patches with less are not on the contact sheet


def prepare_confocal(
    slides: Sequence[Path], folder: Path, plan: PatchPlan, overwrite: bool = False, progress: Progress | None = None
) -> list[PreparedPatch]:
    """Extract patches of 0.75 um/px from confocal slides, each channel scaled to [0, 1] by the range of its slide.

    Args:
        slides: for training, or, without `plan.validate`, for training and validation.
        folder: created, complete or not at all; `manifest` describes its files.
        plan: size of the patches and split of the slides.
        overwrite: whether an earlier preparation may be replaced.
        progress: called after each patch position.

    Returns:
        One record per patch position, kept or not, in the order of the manifest; files relative to the folder.

    Raises:
        SlideError: a slide cannot be read, is given twice, or no patch can be kept.
        OutputError: the folder cannot be written.
    """
    open_extractor = partial(
        ConfocalPatchExtractor, microns_per_pixel=plan.microns_per_pixel, swap_channels=plan.swap_channels
    )
    return _prepare(open_extractor, slides, folder, plan, overwrite, progress)


def prepare_histology(
    slides: Sequence[Path], folder: Path, plan: PatchPlan, overwrite: bool = False, progress: Progress | None = None
) -> list[PreparedPatch]:
    """Extract patches of 0.75 um/px from H&E slides, without those that are blank, inked, folded or out of focus.

    Arguments, result and errors as of `prepare_confocal`.
    """
    open_extractor = partial(HistologyPatchExtractor, microns_per_pixel=plan.microns_per_pixel)
    return _prepare(open_extractor, slides, folder, plan, overwrite, progress)


def _prepare(
    open_extractor: OpenExtractor,
    slides: Sequence[Path],
    folder: Path,
    plan: PatchPlan,
    overwrite: bool,
    progress: Progress | None,
) -> list[PreparedPatch]:
    _refuse_own_sources(folder, (*slides, *plan.validate))
    with PartialFolder(folder, overwrite, _is_prepared) as output, ExitStack() as stack:
        planned = plan_slides(open_extractor, slides, plan)
        total = sum(len(slide.patch_regions) for slide in planned)
        kept, dropped = ContactSheet(), dict[str, ContactSheet]()
        patches: list[PreparedPatch] = []
        with as_output_error(folder):
            for split in ("train", "validate"):
                (output.partial / split).mkdir()
            extracted = _extract_all(open_extractor, planned, plan.side, output.partial)
            stack.callback(extracted.close)  # after an error, the remaining patches are not extracted
            for patch, thumbnail in extracted:
                patches.append(patch)
                if thumbnail is not None:
                    sheet = dropped.setdefault(patch.dropped, ContactSheet()) if patch.dropped else kept
                    sheet.add(thumbnail, patch.dropped or f"{patch.split[:1]} {patch.slide[-18:]}")
                if progress is not None:
                    progress(len(patches), total)
            _require_patches(patches)
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
    """Whether a folder has the files of an earlier preparation, and nothing else."""
    entries = {entry.name for entry in folder.iterdir()}
    return not entries or (MANIFEST in entries and entries <= CONTENTS)


def _require_patches(patches: Sequence[PreparedPatch]) -> None:
    if all(patch.dropped for patch in patches):
        reasons = Counter(patch.dropped for patch in patches)
        found = ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "no slide is large enough"
        raise SlideError(f"no patch can be kept ({found}); give slides with more tissue, or a smaller --side")


def _extract_all(
    open_extractor: OpenExtractor, slides: Sequence[PlannedSlide], side: int, folder: Path
) -> Generator[tuple[PreparedPatch, Thumbnail | None], None, None]:
    """Record and thumbnail of every patch position, slide by slide; patches that are kept have been written."""
    for slide in slides:
        if slide.patch_regions:
            with closing(open_extractor(slide.path)) as extractor, ThreadPoolExecutor(os.cpu_count()) as pool:
                extractor.tissue_share(slide.patch_regions[0])  # the call that only one thread may make
                yield from pool.map(partial(_extract, extractor, slide, side, folder), slide.patch_regions)


def _extract(
    extractor: PatchExtractor, slide: PlannedSlide, side: int, folder: Path, scaled_region: Region
) -> tuple[PreparedPatch, Thumbnail | None]:
    """Record and thumbnail of one patch position; the patch is written if it is kept."""
    tissue = extractor.tissue_share(scaled_region)
    pixels = extractor.read(scaled_region) if tissue >= SHOWN_BLANK else None
    dropped = "blank" if pixels is None or tissue < MIN_TISSUE else extractor.rejection_reason(pixels)
    corner = (round(scaled_region.x * extractor.scale), round(scaled_region.y * extractor.scale))
    file = Path(slide.split) / f"{slide.name}_x{corner[0]:06}_y{corner[1]:06}{extractor.suffix}"
    if pixels is not None and dropped is None:
        extractor.write(folder / file, pixels)
    patch = PreparedPatch(
        file=None if dropped else file,
        kind=extractor.kind,
        split=slide.split,
        slide=slide.name,
        sources=slide.sources,
        sha256=slide.sha256,
        level0_xy=corner,
        scale=round(extractor.scale, 6),
        microns_per_pixel=REFERENCE_MPP,
        side=side,
        tissue_share=round(tissue, 4),
        dropped=dropped,
    )
    return patch, None if pixels is None else thumbnail_of(extractor.preview(pixels))
