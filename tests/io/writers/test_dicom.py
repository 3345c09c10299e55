"""Read back by pydicom, wsidicom and OpenSlide, which share no code."""

import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openslide
import pydicom
import pytest
from PIL import ImageCms
from wsidicom import WsiDicom

from confostain import RESEARCH_USE
from confostain.errors import OutputError
from confostain.geometry import Size
from confostain.inference.tiling import TileGrid
from confostain.io.writers.dicom import DicomWriter
from confostain.io.writers.encoding import EncodedTiles
from confostain.io.writers.ometiff import OmeTiffWriter
from confostain.io.writers.output import ResultImage, SlideWriter
from confostain.io.writers.pyramid import PyramidTop, cut_block

Rgb = npt.NDArray[np.uint8]
SIZE = Size(1301, 777)
PROVENANCE = {
    "label": "digitally stained: gareau",
    "software": "confostain 1.2.3",
    "model": "gareau",
    "reflectance source": "scan/DET#1",
    "fluorescence source": "scan/DET#2",
}


def image(size: Size = SIZE, quality: int | None = 90, name: str = "painted\\" + 80 * "é") -> ResultImage:
    return ResultImage(size, 0.75, name, PROVENANCE, quality)


def fill(writer: SlideWriter, rgb: Rgb) -> None:
    size = Size(rgb.shape[1], rgb.shape[0])
    top = PyramidTop(size)
    for place in TileGrid(size.region, 512):
        block = rgb[place.level0_core.slices_in(size.region)]
        whole = None if (block == 255).all() else block
        cut = cut_block(whole, place.level0_core.size, place.column * 2, place.row * 2)
        for tile in [*cut.tiles, *top.add(cut)]:
            writer.append(tile, writer.encode(tile))


def write(path: Path, rgb: Rgb, overwrite: bool = False) -> Path:
    with DicomWriter(path, image(Size(rgb.shape[1], rgb.shape[0])), overwrite) as writer:
        fill(writer, rgb)
        writer.complete()
    return path


@pytest.fixture(scope="module")
def colours() -> Rgb:
    y, x = np.mgrid[: SIZE.height, : SIZE.width] / 97.0
    waves = [np.sin(x + y), np.cos(x - 2 * y), np.sin(x * 0.3)]
    rgb = np.stack([127 + 120 * wave for wave in waves], axis=-1).astype(np.uint8)
    rgb[:, 1024:] = 255
    return rgb


@pytest.fixture(scope="module")
def levels(colours: Rgb, mean_of_level: Callable[[Rgb, int], Rgb]) -> list[Rgb]:
    return [mean_of_level(colours, level) for level in range(4)]


@pytest.fixture(scope="module")
def written(colours: Rgb, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("dicom") / "a.dcm", colours)


@pytest.fixture(scope="module")
def instances(written: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted(written.iterdir())]


def levels_by_pydicom(path: Path) -> list[Rgb]:
    return [assembled(pydicom.dcmread(file)) for file in sorted(path.iterdir())]


def assembled(instance: pydicom.Dataset) -> Rgb:
    """The frames side by side, cut to the size of the level."""
    height, width = instance.TotalPixelMatrixRows, instance.TotalPixelMatrixColumns
    rows, columns = -(-height // 256), -(-width // 256)
    frames = instance.pixel_array.reshape(rows, columns, 256, 256, 3)
    return np.asarray(frames.swapaxes(1, 2).reshape(rows * 256, columns * 256, 3)[:height, :width])


def levels_by_wsidicom(path: Path) -> list[Rgb]:
    with WsiDicom.open(path) as slide:
        sizes = [level.size for level in slide.levels]
        return [
            np.asarray(slide.read_region((0, 0), level, (size.width, size.height)))[..., :3]
            for level, size in enumerate(sizes)
        ]


def levels_by_openslide(path: Path) -> list[Rgb]:
    with openslide.OpenSlide(path / "level-0.dcm") as slide:
        sizes = slide.level_dimensions
        return [np.asarray(slide.read_region((0, 0), level, size).convert("RGB")) for level, size in enumerate(sizes)]


READERS = [levels_by_pydicom, levels_by_wsidicom, levels_by_openslide]


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_sees_every_level(reader: Callable[[Path], list[Rgb]], written: Path, levels: list[Rgb]) -> None:
    seen = reader(written)
    assert [level.shape for level in seen] == [level.shape for level in levels]
    for one, other in zip(seen, levels, strict=True):
        assert np.abs(one.astype(int) - other).mean() < 1.5


@pytest.mark.parametrize("reader", READERS)
def test_more_than_four_gigabytes_have_an_extended_offset_table(
    reader: Callable[[Path], list[Rgb]], written: Path, colours: Rgb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("confostain.io.writers.dicom.BASIC_OFFSET_LIMIT", 1000)
    path = write(tmp_path / "large.dcm", colours)
    large = pydicom.dcmread(path / "level-0.dcm")
    assert len(large.ExtendedOffsetTable) == len(large.ExtendedOffsetTableLengths) == 8 * large.NumberOfFrames
    for one, other in zip(reader(path), reader(written), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_frames_are_the_tiles_of_an_ome_tiff(written: Path, colours: Rgb, tmp_path: Path) -> None:
    with OmeTiffWriter(tmp_path / "a.ome.tif", image()) as writer:
        fill(writer, colours)
        writer.complete()
    with openslide.OpenSlide(tmp_path / "a.ome.tif") as slide:
        twin = np.asarray(slide.read_region((0, 0), 0, slide.dimensions).convert("RGB"))
    np.testing.assert_array_equal(levels_by_openslide(written)[0], twin)


def test_scale_and_colour_profile(written: Path) -> None:
    with openslide.OpenSlide(written / "level-0.dcm") as slide:
        assert slide.properties["openslide.vendor"] == "dicom"
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.75)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.75)
        assert slide.color_profile is not None
        assert "sRGB" in ImageCms.getProfileDescription(slide.color_profile)
    with WsiDicom.open(written) as slide:
        assert [level.mpp.width for level in slide.levels] == pytest.approx([0.75, 1.5, 3, 6])
        (path,) = slide.metadata.pyramid.optical_paths
        assert path.icc_profile[12:16] == b"scnr"


def test_the_levels_belong_together(instances: list[pydicom.Dataset]) -> None:
    for keyword in (
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "FrameOfReferenceUID",
        "PyramidUID",
        "ImagedVolumeWidth",
        "ContainerIdentifier",
    ):
        assert len({instance[keyword].value for instance in instances}) == 1, keyword
    assert len({instance.SOPInstanceUID for instance in instances}) == len(instances) == 4
    assert [instance.InstanceNumber for instance in instances] == [1, 2, 3, 4]
    assert [instance.ImageType[3] for instance in instances] == ["NONE", "RESAMPLED", "RESAMPLED", "RESAMPLED"]
    assert instances[0].ImagedVolumeWidth == pytest.approx(1301 * 0.75 / 1000)
    for level, instance in enumerate(instances):
        (shared,) = instance.SharedFunctionalGroupsSequence
        assert shared.PixelMeasuresSequence[0].PixelSpacing == [0.00075 * 2**level] * 2
        assert shared.WholeSlideMicroscopyImageFrameTypeSequence[0].FrameType == instance.ImageType


def test_a_stained_slide_says_so(instances: list[pydicom.Dataset]) -> None:
    for instance in instances:
        assert instance.SOPClassUID == "1.2.840.10008.5.1.4.1.1.77.1.6"
        assert instance.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.50"
        assert instance.ImageType[:3] == ["DERIVED", "PRIMARY", "VOLUME"]
        assert instance.DerivationDescription.startswith(f"digitally stained: gareau. {RESEARCH_USE}")
        assert "scan/DET#1" in instance.DerivationDescription
        assert "reflectance source: scan/DET#1" in instance.ImageComments
        assert instance.DerivationCodeSequence[0].CodeMeaning == "Digital staining"
        assert (instance.Manufacturer, instance.SoftwareVersions) == ("confostain", "confostain 1.2.3")
        assert instance.LossyImageCompression == "01"
        assert 1 < instance.LossyImageCompressionRatio < 200
        assert instance.PatientName == instance.PatientID == ""
        assert instance.SeriesDescription == "painted " + 28 * "é"  # 64 bytes, no backslash
        assert instance.ContainerIdentifier == "unknown"


def test_a_single_tile_is_a_single_instance(colours: Rgb, tmp_path: Path) -> None:
    path = write(tmp_path / "small.dcm", colours[:37, :100])
    for reader in READERS:
        (level,) = reader(path)
        assert np.abs(level.astype(int) - colours[:37, :100]).mean() < 1.5


def test_memory_does_not_hold_the_frames(tmp_path: Path) -> None:
    size = Size(16384, 16384)
    with DicomWriter(tmp_path / "a.dcm", image(size)) as writer:
        cut = cut_block(None, size, 0, 0)
        for tile in [*cut.tiles, *PyramidTop(size).add(cut)]:
            writer.append(tile, writer.encode(tile))
        tracemalloc.start()
        writer.complete()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (tmp_path / "a.dcm" / "level-0.dcm").stat().st_size > 7_000_000
    assert peak < 3_000_000


def test_complete_or_absent_and_never_overwritten_unasked(colours: Rgb, tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    with DicomWriter(path, image()) as writer, pytest.raises(OutputError, match="is missing; expected all tiles"):
        writer.complete()
    assert list(tmp_path.iterdir()) == []
    path.write_text("precious")
    with pytest.raises(OutputError, match="exists already"):
        write(path, colours)
    assert path.read_text() == "precious"
    for part in (colours, colours[:300, :300]):
        write(path, part, overwrite=True)
        assert levels_by_openslide(path)[0].shape == part.shape
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.dcm"]
    assert sorted(entry.name for entry in path.iterdir()) == ["level-0.dcm", "level-1.dcm"]


def test_nothing_has_the_final_name_while_it_is_written(
    colours: Rgb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, seen = EncodedTiles.read, []

    def watched(tiles: EncodedTiles, level: int) -> Iterator[bytes]:
        for frame in read(tiles, level):
            seen.append((tmp_path / "a.dcm").exists())
            yield frame

    monkeypatch.setattr(EncodedTiles, "read", watched)
    write(tmp_path / "a.dcm", colours)
    assert seen == [False] * (24 + 6 + 2 + 1)


def test_what_cannot_be_written_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.dcm"
    with pytest.raises(OutputError, match="leave out --lossless"):
        DicomWriter(path, image(quality=None))
    with pytest.raises(OutputError, match="--mpp"):
        DicomWriter(path, ResultImage(SIZE, None, ""))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(OutputError, match=r"pip install 'confostain\[dicom\]'"):
        DicomWriter(path, image())
    assert list(tmp_path.iterdir()) == []
