"""What is written about a slide: by default nothing that could name a patient; on request its names, in any script."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import tifffile
import zarr
from ome_types import from_xml
from PIL import Image

import confostain
from confostain.cli import main

PATIENT = "Müßterfrau_Änne 1951 \x07 скан " + 80 * "ß"


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("names") / PATIENT
    folder.mkdir()
    y, x = np.mgrid[:300, :420]
    spots = np.hypot((x % 30) - 15, (y % 30) - 15) < 5
    inside = (x > 60) & (y > 60)
    rng = np.random.default_rng(0)
    for name, plane in (
        ("785.png", 90 + 60 * np.sin(x / 40) + rng.integers(0, 60, spots.shape)),
        ("488.png", 40 + 180 * spots),
    ):
        Image.fromarray((inside * plane).astype(np.uint8)).save(folder / name)
    return folder


def text_of_tiff(path: Path) -> str:
    xml = tifffile.tiffcomment(path)
    from_xml(xml)  # valid
    return xml


def text_of_zarr(path: Path) -> str:
    return json.dumps(dict(zarr.open_group(path, mode="r").attrs), ensure_ascii=False)


def text_of_dicom(path: Path) -> str:
    return "".join(str(pydicom.dcmread(file)) for file in sorted(path.iterdir()))


def text_of_png(path: Path) -> str:
    with Image.open(path) as picture:
        return json.dumps(picture.info, default=str, ensure_ascii=False)


FORMATS: dict[str, Callable[[Path], str]] = {
    ".ome.tif": text_of_tiff,
    ".ome.zarr": text_of_zarr,
    ".dcm": text_of_dicom,
    ".png": text_of_png,
}


@pytest.mark.parametrize("suffix", FORMATS)
def test_no_name_is_written_unasked(suffix: str, scan: Path, tmp_path: Path) -> None:
    with confostain.open_slide(scan, microns_per_pixel=0.5) as slide:
        confostain.stain_slide(slide, tmp_path / f"a{suffix}", model="gareau")
    text = FORMATS[suffix](tmp_path / f"a{suffix}").lower()
    assert "digitally stained" in text
    for name in ("frau", "änne", "1951", "скан", "ßß", "785.png", "488.png", str(tmp_path).lower()):
        assert name not in text, name


@pytest.mark.parametrize("suffix", FORMATS)
def test_names_are_written_on_request_and_cut_nothing_off(suffix: str, scan: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["stain", str(scan), "-o", str(tmp_path / f"a{suffix}"), "--model", "gareau", "--mpp", "0.5",
              "--record-names"])  # fmt: skip
    assert ended.value.code == 0
    text = FORMATS[suffix](tmp_path / f"a{suffix}")
    assert "Müßterfrau_Änne 1951" in text
    assert "785.png" in text
    assert "\x07" not in text
    assert "digitally stained" in text.lower()


def test_dicom_values_keep_their_limits_in_bytes_and_whole_characters(scan: Path, tmp_path: Path) -> None:
    with confostain.open_slide(scan, microns_per_pixel=0.5) as slide:
        confostain.stain_slide(slide, tmp_path / "a.dcm", model="gareau", record_names=True)
    instance = pydicom.dcmread(tmp_path / "a.dcm" / "level-0.dcm")
    assert instance.SpecificCharacterSet == "ISO_IR 192"
    assert instance.SeriesDescription.startswith("Digitally stained (gareau): Müßterfrau_Änne 1951")
    for element in instance.iterall():
        for value in element.value if element.VM > 1 else [element.value]:
            if element.VR in ("LO", "SH"):
                assert len(str(value).encode()) <= (64 if element.VR == "LO" else 16), element


def test_a_despeckled_channel_names_nothing_either(scan: Path, tmp_path: Path) -> None:
    with confostain.open_slide(scan) as slide:
        for record, name in ((False, "plain.ome.tif"), (True, "named.ome.tif")):
            confostain.despeckle_slide(slide, tmp_path / name, record_names=record)
    assert "frau" not in text_of_tiff(tmp_path / "plain.ome.tif")
    assert "Müßterfrau" in text_of_tiff(tmp_path / "named.ome.tif")
