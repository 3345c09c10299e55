"""Results of confostain, recognised by the provenance that they hold: what was done, by which program and model."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confostain.errors import SlideError
from confostain.io.readers.zarr import is_zarr

STAINED, DESPECKLED, DENSITY = "digitally stained", "despeckled", "density of"
PROVENANCE_NAMESPACE = "confostain.provenance"
MANUFACTURER = "confostain"


@dataclass(frozen=True)
class Result:
    """What a result says of itself.

    Attributes:
        path: of the file or folder.
        provenance: as written: `label`, `software`, `model`, `region` and more.
    """

    path: Path
    provenance: Mapping[str, str]

    @property
    def label(self) -> str:
        """What it is: "digitally stained: MODEL", "density of DYE: MODEL", or "despeckled reflectance"."""
        return self.provenance["label"]

    @property
    def is_stain(self) -> bool:
        """Whether it is a stain in colours, else a density or a despeckled channel."""
        return self.label.startswith(STAINED)

    @property
    def picture(self) -> Path:
        """File or folder that the reader of H&E opens: of a DICOM folder its full resolution."""
        return self.path / "level-0.dcm" if self.path.suffix.lower() == ".dcm" and self.path.is_dir() else self.path


def find_result(path: Path) -> Result | None:
    """Result of confostain at `path`; None where there is anything else, readable or not."""
    provenance: Mapping[str, str] | None = None
    with suppress(Exception):  # whatever is wrong with the file, its reader will say so
        provenance = _provenance(path)
    if not provenance or not str(provenance.get("label", "")).startswith((STAINED, DESPECKLED, DENSITY)):
        return None
    return Result(path, provenance)


def refuse_stain(path: Path) -> None:
    """Raise SlideError where there is a stain or a density by confostain instead of a scan at `path`."""
    found = find_result(path)
    if found is not None and not found.label.startswith(DESPECKLED):
        software = found.provenance.get("software", "confostain")
        raise SlideError(
            f"{path.name}: {found.label} already, by {software}; expected a raw scan; give the scan that it was made"
            " of, or look at this with confostain view"
        )


def _provenance(path: Path) -> Mapping[str, str] | None:
    name = path.name.lower()
    if is_zarr(path):
        return _of_zarr(path)
    if path.is_dir() or name.endswith(".dcm"):
        return _of_dicom(path / "level-0.dcm" if path.is_dir() else path)
    if name.endswith(".png"):
        return _of_png(path)
    return _of_tiff(path) if name.endswith((".tif", ".tiff")) else None


def _of_zarr(path: Path) -> Mapping[str, str] | None:
    attributes: dict[str, Any] = {}
    for name, key in ((".zattrs", None), ("zarr.json", "attributes")):
        if (path / name).is_file():
            document = json.loads((path / name).read_bytes())
            attributes = document[key] if key else document
    return attributes.get("confostain")


def _of_dicom(path: Path) -> Mapping[str, str] | None:
    if not path.is_file():
        return None
    import pydicom

    tags = ["Manufacturer", "DerivationDescription", "SoftwareVersions", "ManufacturerModelName", "ImageComments"]
    found = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags)
    if found.get("Manufacturer") != MANUFACTURER:
        return None
    label, _, _ = found.DerivationDescription.partition(". ")
    return {"label": label, "software": found.SoftwareVersions, "told": found.ImageComments}


def _of_png(path: Path) -> Mapping[str, str] | None:
    from PIL import Image

    with Image.open(path) as picture:
        texts = {str(key): value for key, value in picture.info.items() if isinstance(value, str)}
    return texts if texts.get("software", "").startswith("confostain ") else None


def _of_tiff(path: Path) -> Mapping[str, str] | None:
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        page: Any = tiff.pages.first
        if not str(page.software).startswith("confostain "):
            return None
        text = page.description
    if text.startswith("{"):
        return dict(json.loads(text))
    for annotation in ET.fromstring(text).iter():
        if annotation.tag.endswith("}MapAnnotation") and annotation.get("Namespace") == PROVENANCE_NAMESPACE:
            return {one.get("K", ""): one.text or "" for one in annotation.iter() if one.tag.endswith("}M")}
    return None
