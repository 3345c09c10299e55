from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import confostain
from confostain.data import patch_extractor
from confostain.data.patch_extractor import ConfocalPatchExtractor, HistologyPatchExtractor, read_overview
from confostain.errors import SlideError
from confostain.geometry import Region, Size
from confostain.io.readers.histology import open_histology
from confostain.io.writers.vivascope import write_mosaic
from confostain.simulation.phantom import Phantom

PLACE = Region(200, 100, 128, 96)


@pytest.fixture(scope="module")
def section(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("section") / "section.png"
    Image.fromarray(phantom.histology(phantom.size.region)).save(path)
    return path


def scan_of(pair: np.ndarray, microns_per_pixel: float, folder: Path) -> Path:
    stored = np.rint(pair * 65535).astype(np.uint16)
    write_mosaic(folder, Size(pair.shape[2], pair.shape[1]), [stored], microns_per_pixel)
    return folder / "mosaic"


def test_a_scan_of_the_right_pixel_size_is_not_resampled(phantom_scan: Path) -> None:
    extractor = ConfocalPatchExtractor(phantom_scan)
    with confostain.open_slide(phantom_scan) as slide:
        assert (extractor.size, extractor.scale) == (slide.size, 1)
        assert (extractor.name, extractor.sources) == (slide.name, slide.sources)
        assert np.array_equal(extractor.read(PLACE), slide.read(PLACE))
        extractor.close()
        swapped = ConfocalPatchExtractor(phantom_scan, swap_channels=True)
        with pytest.warns(confostain.errors.ConfostainWarning, match="swapped"):
            assert np.array_equal(swapped.read(PLACE), slide.read(PLACE)[::-1])
        swapped.close()


@pytest.mark.filterwarnings("ignore:.*no tissue found")  # a slope is as flat as glass
@pytest.mark.parametrize("microns_per_pixel", [0.54, 0.375, 1.0])
def test_other_scans_are_resampled_to_the_same_place(tmp_path: Path, microns_per_pixel: float) -> None:
    """A slope in R along x, in F along y, in um: what it is worth anywhere is known."""
    y, x = (np.mgrid[:600, :800] + 0.5) * microns_per_pixel
    slopes = np.stack([x, y]).astype(np.float32) / 900
    extractor = ConfocalPatchExtractor(scan_of(slopes, microns_per_pixel, tmp_path))
    width, height = extractor.size
    assert (width, height) == (int(800 * microns_per_pixel / 0.75), int(600 * microns_per_pixel / 0.75))
    (dark_r, bright_r), (dark_f, bright_f) = (
        (one.dark / 65535 * 900, one.bright / 65535 * 900) for one in extractor._slide.ranges
    )
    for place in (Region(64, 96, 100, 80), Region(width - 100, height - 80, 100, 80)):
        pair = extractor.read(place)
        assert (pair.shape, pair.dtype) == ((2, 80, 100), np.float32)
        x_um, y_um = ((start + np.arange(length) + 0.5) * 0.75 for start, length in ((place.x, 100), (place.y, 80)))
        expected_r = ((x_um - dark_r) / (bright_r - dark_r)).clip(0, 1)
        expected_f = ((y_um - dark_f) / (bright_f - dark_f)).clip(0, 1)
        inner = np.s_[4:-4, 4:-4]
        assert np.abs(pair[0] - expected_r)[inner].max() < 2e-4
        assert np.abs(pair[1] - expected_f[:, None])[inner].max() < 2e-4
    extractor.close()


def test_patches_of_a_resampled_scan_fit_together(tmp_path: Path, phantom: Phantom) -> None:
    extractor = ConfocalPatchExtractor(scan_of(phantom.pair(Region(0, 0, 700, 523)), 0.54, tmp_path))
    whole, part = extractor.read(Region(0, 0, 300, 300)), extractor.read(Region(100, 150, 100, 90))
    assert np.abs(whole[:, 150:240, 100:200] - part).max() < 1e-4
    extractor.close()


def test_tissue_is_counted_in_the_slides_own_frame(phantom_scan: Path, phantom: Phantom, tmp_path: Path) -> None:
    plain, fine = (
        ConfocalPatchExtractor(phantom_scan),
        ConfocalPatchExtractor(scan_of(phantom.pair(phantom.size.region), 0.375, tmp_path)),
    )
    assert fine.size == (350, 261)
    for place in (Region(0, 0, 100, 60), Region(100, 80, 100, 60)):
        twice = Region(*(2 * value for value in (place.x, place.y, place.width, place.height)))
        assert fine.tissue_share(place) == pytest.approx(plain.tissue_share(twice), abs=1e-6)
    assert fine.tissue_share(Region(100, 80, 100, 60)) == 1
    plain.close()
    fine.close()


def test_a_scan_without_pixel_size_is_refused(tmp_path: Path) -> None:
    for name in ("785", "488"):
        Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / f"{name}.png")
    with pytest.raises(SlideError, match="--mpp"):
        ConfocalPatchExtractor(tmp_path)


def test_patches_of_a_section_are_checked(section: Path, phantom: Phantom) -> None:
    extractor = HistologyPatchExtractor(section, 0.75)
    assert (extractor.size, extractor.scale) == ((700, 523), 1)
    assert (extractor.name, extractor.sources) == ("section", ("section.png",))
    pixels = extractor.read(Region(150, 150, 256, 256))
    assert np.array_equal(pixels, phantom.histology(Region(150, 150, 256, 256)))
    assert extractor.rejection_reason(pixels) is None
    assert extractor.tissue_share(Region(240, 160, 160, 160)) == 1
    assert extractor.tissue_share(Region(0, 0, 640, 48)) == 0
    assert extractor.rejection_reason(np.full_like(pixels, (30, 60, 180))) == "ink"
    extractor.close()


def test_patches_are_stored_as_what_they_are(section: Path, phantom_scan: Path, tmp_path: Path) -> None:
    for extractor in (HistologyPatchExtractor(section, 0.75), ConfocalPatchExtractor(phantom_scan)):
        pixels = extractor.read(PLACE)
        extractor.write(tmp_path / f"a{extractor.suffix}", pixels)
        assert extractor.preview(pixels).shape == (96, 128, 3)
        extractor.close()
    assert tifffile.imread(tmp_path / "a.ome.tif").shape == (2, 96, 128)
    with open_histology(tmp_path / "a.png") as back:
        assert back.microns_per_pixel == pytest.approx(0.75, rel=1e-3)


def test_an_overview_read_in_bands_is_the_same(section: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_histology(section, 0.75) as slide:
        whole = read_overview(slide)
        monkeypatch.setattr(patch_extractor, "OVERVIEW_PIXELS", 3 * 16 * 700)
        bands = read_overview(slide)
    assert whole.shape == (32, 43, 3)
    assert np.array_equal(bands, whole)
