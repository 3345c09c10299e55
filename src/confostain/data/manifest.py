"""Manifest of a folder of prepared patches, and their files.

manifest.jsonl     one line per patch position, kept or not
train/, validate/  the patches: .ome.tif (confocal) or .png (histology)
kept.png           contact sheet of the patches that were kept
dropped.png        contact sheet of those that were not, with reasons
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from confostain.errors import SlideError

Kind = Literal["confocal", "histology"]
Split = Literal["train", "validate"]

MANIFEST = "manifest.jsonl"
CONTENTS = {MANIFEST, "train", "validate", "kept.png", "dropped.png"}
FULL_SCALE = 65535  # stored value of 1


@dataclass(frozen=True)
class PreparedPatch:
    """Record of one patch position of a slide.

    Attributes:
        file: relative to the folder; from `load_manifest` with the folder. None if the patch was left out.
        kind: confocal or histology.
        split: train or validate; all patches of a slide have the same.
        slide: unique name of the slide in the folder.
        sources: names of the slide's files.
        sha256: hashes of these files.
        level0_xy: left upper corner, rounded to whole pixels of the slide.
        scale: level-0 pixels per pixel of the patch.
        microns_per_pixel: pixel size of the patch in um.
        side: of the patch in px.
        tissue_share: tissue as a share of the patch, 0 to 1.
        dropped: reason why the patch was left out; None if it was kept.
    """

    file: Path | None
    kind: Kind
    split: Split
    slide: str
    sources: tuple[str, ...]
    sha256: tuple[str, ...]
    level0_xy: tuple[int, int]
    scale: float
    microns_per_pixel: float
    side: int
    tissue_share: float
    dropped: str | None = None


def write_manifest(folder: Path, patches: Iterable[PreparedPatch]) -> None:
    """Write the manifest of a folder, one line of JSON per patch."""
    with (folder / MANIFEST).open("w", encoding="utf-8") as file:
        for patch in patches:
            line = dataclasses.asdict(patch) | {"file": patch.file and patch.file.as_posix()}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def load_manifest(folder: str | os.PathLike[str]) -> list[PreparedPatch]:
    """Patches of a folder that were kept, in the order of the manifest; `file` is the path to open.

    Raises:
        SlideError: there is no manifest, a line is invalid, a patch file is missing, or a slide is in both training and
            validation, under one name or two.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SlideError(
            f"{path}: cannot be read ({error.strerror}); expected a manifest; run `confostain prepare`"
        ) from error
    patches = [_parsed(f"{path}, line {number}", line) for number, line in enumerate(lines, 1)]
    check_split(str(path), patches)
    kept = [dataclasses.replace(patch, file=folder / patch.file) for patch in patches if patch.file is not None]
    for patch in kept:
        if patch.file is not None and not patch.file.is_file():
            raise SlideError(f"{patch.file}: in the manifest, but the file is not there; prepare the patches again")
    return kept


def _parsed(where: str, line: str) -> PreparedPatch:
    try:
        record: dict[str, Any] = json.loads(line)
        for name in ("sources", "sha256", "level0_xy"):
            record[name] = tuple(record[name])
        record["file"] = None if record["file"] is None else Path(record["file"])
        patch = PreparedPatch(**record)
    except (ValueError, TypeError, KeyError) as error:
        raise SlideError(f"{where}: not a line of `confostain prepare` ({error}); prepare the patches again") from error
    if patch.split not in ("train", "validate") or (patch.file is None) != (patch.dropped is not None):
        raise SlideError(
            f"{where}: split {patch.split!r}, file {patch.file}, dropped {patch.dropped!r}: expected "
            "train or validate, and either a file or a reason; prepare the patches again"
        )
    return patch


def check_split(where: str, patches: Sequence[PreparedPatch]) -> None:
    """Check that no slide is in both training and validation.

    Raises:
        SlideError: a slide name, or the content of a file under any name, is in both.
    """
    sides: dict[str, PreparedPatch] = {}
    for patch in patches:
        for key in (f"slide {patch.slide}", *patch.sha256):
            first = sides.setdefault(key, patch)
            if first.split != patch.split:
                names = first.slide if first.slide == patch.slide else f"{first.slide} (as {patch.slide} again)"
                raise SlideError(
                    f"{where}: slide {names} is in {first.split} and in {patch.split}; "
                    "expected each slide in one of them; prepare the patches again"
                )


def read_patch(patch: PreparedPatch) -> npt.NDArray[np.float32] | npt.NDArray[np.uint8]:
    """Pixels of a patch that was kept.

    Returns:
        confocal: float32 (2, side, side) in [0, 1], R then F. Histology: uint8 (side, side, 3), RGB.

    Raises:
        SlideError: the file cannot be read or has another shape or data type.
    """
    if patch.file is None:
        raise SlideError(
            f"{patch.slide} at {patch.level0_xy}: left out ({patch.dropped}); expected a patch with a file"
        )
    pixels = _stored(patch.file, patch.kind)
    shape = (2, patch.side, patch.side) if patch.kind == "confocal" else (patch.side, patch.side, 3)
    kind = np.uint16 if patch.kind == "confocal" else np.uint8
    if pixels.shape != shape or pixels.dtype != kind:
        raise SlideError(
            f"{patch.file}: {pixels.dtype} {pixels.shape}; expected {kind.__name__} {shape}; prepare again"
        )
    return pixels * np.float32(1 / FULL_SCALE) if patch.kind == "confocal" else pixels


def _stored(path: Path, kind: Kind) -> npt.NDArray[Any]:
    try:
        if kind == "confocal":
            import tifffile

            return np.asarray(tifffile.imread(path))
        from PIL import Image

        with Image.open(path) as picture:
            return np.asarray(picture)
    except Exception as error:  # tifffile, zlib and Pillow each raise their own
        raise SlideError(f"{path}: cannot be read ({error}); prepare the patches again") from error


def write_confocal(path: Path, pair: npt.NDArray[np.float32], microns_per_pixel: float) -> None:
    """Write a patch, float32 (2, h, w) in [0, 1], R then F, as a 16-bit OME-TIFF, which `open_slide` reads."""
    import tifffile

    tifffile.imwrite(
        path,
        np.rint(pair * np.float32(FULL_SCALE)).astype(np.uint16),
        ome=True,
        photometric="minisblack",
        compression="adobe_deflate",
        predictor=True,
        resolution=(1e4 / microns_per_pixel, 1e4 / microns_per_pixel),
        resolutionunit="CENTIMETER",
        software="confostain",
        metadata={
            "axes": "CYX",
            "Channel": {"Name": ["reflectance", "fluorescence"]},
            "PhysicalSizeX": microns_per_pixel,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": microns_per_pixel,
            "PhysicalSizeYUnit": "µm",
        },
    )


def write_histology(path: Path, rgb: npt.NDArray[np.uint8], microns_per_pixel: float) -> None:
    """Write a patch, uint8 (h, w, 3), as a PNG with its pixel size."""
    from PIL import Image

    dpi = 25_400 / microns_per_pixel
    Image.fromarray(rgb).save(path, format="PNG", dpi=(dpi, dpi), compress_level=4)
