"""Complete or absent, and what stands there already: for every format of a result."""

import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openslide
import pytest
import zarr

from confostain.errors import OutputError
from confostain.geometry import Size
from confostain.io.writers import atomic
from confostain.io.writers.atomic import PARTIAL, PartialFolder, complete_or_absent, refuse_existing
from confostain.io.writers.dicom import DicomWriter
from confostain.io.writers.ometiff import OmeTiffWriter
from confostain.io.writers.omezarr import OmeZarrWriter, ShardedOmeZarrWriter
from confostain.io.writers.output import ResultImage, SlideWriter
from confostain.io.writers.picture import PngWriter
from confostain.io.writers.pyramid import PyramidTop, cut_block
from confostain.io.writers.vivascope import write_mosaic

Rgb = npt.NDArray[np.uint8]
WRITERS: dict[str, Callable[[Path, ResultImage, bool], SlideWriter]] = {
    ".ome.tif": OmeTiffWriter,
    ".ome.zarr": OmeZarrWriter,
    ".dcm": DicomWriter,
    ".png": PngWriter,
}
FOLDERS = [".ome.zarr", ".dcm"]
NOISE = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)


def write(path: Path, rgb: Rgb = NOISE, overwrite: bool = False) -> Path:
    size = Size(rgb.shape[1], rgb.shape[0])
    suffix = next(suffix for suffix in WRITERS if path.name.endswith(suffix))
    with WRITERS[suffix](path, ResultImage(size, 0.75, "painted"), overwrite) as writer:
        cut = cut_block(None if (rgb == 255).all() else rgb, size, 0, 0)
        for tile in [*cut.tiles, *PyramidTop(size).add(cut)]:
            writer.append(tile, writer.encode(tile))
        writer.complete()
    return path


def width_of(path: Path) -> int:
    """Of a result in a folder."""
    if path.suffix == ".zarr":
        return int(zarr.open_array(path / "0", mode="r").shape[2])
    with openslide.OpenSlide(path / "level-0.dcm") as slide:
        return int(slide.dimensions[0])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("suffix", FOLDERS)
def test_a_folder_is_replaced_only_if_it_is_such_a_result(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.mkdir()
    write(path, overwrite=True)  # an empty folder
    write(path, overwrite=True)  # an earlier result
    other = tmp_path / f"b{suffix}"
    other.mkdir()
    (other / "thesis.txt").write_text("precious")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="no result of this kind"):
            write(other, overwrite=overwrite)
    assert contents(other) == {"thesis.txt": b"precious"}


def test_a_slide_of_another_maker_is_no_result(tmp_path: Path) -> None:
    scans, array = tmp_path / "scans.dcm", tmp_path / "array.ome.zarr"
    scans.mkdir()
    (scans / "level-0.dcm").write_bytes(b"")
    (scans / "IM0001.dcm").write_bytes(b"")
    zarr.open_group(array, mode="w", zarr_format=2).attrs.update({"measured": 1})
    for path in (scans, array):
        with pytest.raises(OutputError, match="no result of this kind"):
            refuse_existing(path, overwrite=True)


@pytest.mark.parametrize("suffix", [".ome.tif", ".png"])
def test_a_file_does_not_replace_a_folder(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        refuse_existing(path, overwrite=True)


@pytest.mark.parametrize("suffix", WRITERS)
def test_the_longest_name_can_be_written_and_a_longer_one_is_refused(suffix: str, tmp_path: Path) -> None:
    longest = tmp_path / ("é" * ((255 - len(suffix)) // 2) + suffix)
    write(longest)
    write(longest, overwrite=True)
    assert list(tmp_path.iterdir()) == [longest]
    with pytest.raises(OutputError, match="too long"):
        refuse_existing(tmp_path / ("ä" * 128 + suffix), overwrite=False)


@pytest.mark.parametrize("suffix", FOLDERS)
def test_the_old_result_stays_if_the_new_one_cannot_take_its_name(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / f"a{suffix}")
    before, rename = contents(path), Path.rename

    def fails(source: Path, target: Path) -> Path:
        if source.name.endswith(PARTIAL):
            raise OSError(28, "No space left on device")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", fails)
    monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)
    with pytest.raises(OutputError, match="No space left"):
        write(path, NOISE[:300, :300], overwrite=True)
    assert contents(path) == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_gives_way_to_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_text("a file")
    with PartialFolder(path, overwrite=True) as folder:
        assert path.is_file()
        folder.complete()
    assert path.is_dir()
    assert list(tmp_path.iterdir()) == [path]


@contextmanager
def no_file_larger_than(limit: int) -> Iterator[None]:
    """The system refuses what goes beyond, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("rgb", [NOISE, np.full_like(NOISE, 255)], ids=["scratch file", "partial file"])
@pytest.mark.parametrize("suffix", WRITERS)
def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(suffix: str, rgb: Rgb, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    limit = 300 if suffix == ".ome.zarr" or (rgb == 255).all() else 20_000
    with no_file_larger_than(limit), pytest.raises(OutputError) as refused:
        write(path, rgb)
    message = str(refused.value)
    assert message.startswith(f"{path}: writing failed: ")
    assert f"free space in {tmp_path} or choose another folder" in message
    assert "\n" not in message
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_stops_a_mosaic_and_any_other_file(tmp_path: Path) -> None:
    band = np.zeros((2, 64, 64), np.uint16)
    with no_file_larger_than(4000), pytest.raises(OutputError, match="free space"):
        write_mosaic(tmp_path / "scan", Size(64, 64), [band], 0.75)
    with pytest.raises(OutputError, match="free space"), complete_or_absent(tmp_path / "a.txt", False) as partial:
        raise OSError(f"{partial} took 0 of 7 bytes")  # as numpy says it, without a number
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "event",
    [
        ("{writer}.append", 1),
        ("{writer}.append", 10),
        ("{writer}.complete", 1),
        ("confostain.io.writers.atomic:PartialFolder.complete", 1),
        ("confostain.io.writers.atomic:_exchange", 1),
        ("confostain.io.writers.atomic:PartialFolder.__exit__", 1),
    ],
    ids=lambda event: event[0].rpartition(":")[2] + str(event[1]),
)
@pytest.mark.parametrize("suffix", FOLDERS)
def test_sigkill_at_any_moment_leaves_the_old_result_or_the_new_one(
    suffix: str,
    event: tuple[str, int],
    stalled: Callable[..., subprocess.Popen[str]],
    phantom_scan: Path,
    tmp_path: Path,
) -> None:
    path = write(tmp_path / f"a{suffix}")
    old = contents(path)
    writer = WRITERS[suffix]
    target = event[0].format(writer=f"{writer.__module__}:{writer.__qualname__}")
    options = ("--model", "gareau", "--overwrite", "-o", path)
    process = stalled(target, event[1], "confostain.cli", "stain", phantom_scan, *options)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    if event[0].endswith("__exit__"):
        assert width_of(path) == 700
    else:
        assert contents(path) == old
    write(path, overwrite=True)
    assert list(tmp_path.iterdir()) == [path]  # what the killed process left is gone


@pytest.mark.parametrize("suffix", FOLDERS)
def test_where_names_cannot_be_exchanged_a_kill_between_two_renames_is_mended(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / f"a{suffix}")
    old = contents(path)
    monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)
    with PartialFolder(path, overwrite=True) as folder:
        path.rename(atomic._aside(path))  # the first of the two renames; then the process is killed
        assert not path.exists()
        assert folder.partial.exists()
    with pytest.raises(OutputError, match="exists already"):
        write(path)
    assert contents(path) == old
    write(path, NOISE[:300, :300], overwrite=True)
    assert width_of(path) == 300
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", WRITERS)
def test_leftovers_of_dead_processes_are_removed_and_nothing_else(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f".old.x{PARTIAL}").write_bytes(b"of a dead process")
    (tmp_path / f".older.y{PARTIAL}" / "0").mkdir(parents=True)
    (tmp_path / ".foreign.partial").write_bytes(b"somebody else's")
    (tmp_path / f"visible{PARTIAL}").write_bytes(b"not hidden")
    with (
        complete_or_absent(tmp_path / "living.txt", False) as living,
        PartialFolder(tmp_path / "b.dcm", False) as folder,
    ):
        write(tmp_path / f"a{suffix}")
        assert living.exists()
        assert folder.partial.exists()
        living.write_text("complete")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"a{suffix}", ".foreign.partial", f"visible{PARTIAL}", "living.txt"}


def partial_in(folder: Path) -> Path:
    (found,) = folder.glob(f".*{PARTIAL}")
    return found


def replace(partial: Path) -> None:
    is_folder = partial.is_dir()
    partial.rename(partial.with_name("away"))
    partial.mkdir() if is_folder else partial.write_bytes(b"something else")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "removed": lambda partial: shutil.rmtree(partial) if partial.is_dir() else partial.unlink(),
    "replaced": replace,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("suffix", [".ome.zarr", "-05.ome.zarr"])
def test_a_result_that_somebody_removes_is_not_complete(suffix: str, damage: str, tmp_path: Path) -> None:
    size = Size(512, 512)
    writer_of = ShardedOmeZarrWriter if "05" in suffix else OmeZarrWriter
    with writer_of(tmp_path / f"a{suffix}", ResultImage(size, 0.75, "painted")) as writer:
        tiles = cut_block(NOISE, size, 0, 0).tiles
        for number, tile in enumerate([*tiles, *PyramidTop(size).add(cut_block(NOISE, size, 0, 0))]):
            if number == 2:
                DAMAGES[damage](partial_in(tmp_path))
            writer.encode(tile)
        with pytest.raises(OutputError, match=r"has been removed or replaced|have disappeared"):
            writer.complete()
    assert not (tmp_path / f"a{suffix}").exists()


def test_files_that_somebody_removes_from_a_result_are_missed(tmp_path: Path) -> None:
    size = Size(512, 512)
    with OmeZarrWriter(tmp_path / "a.ome.zarr", ResultImage(size, 0.75, "painted")) as writer:
        cut = cut_block(NOISE, size, 0, 0)
        for tile in [*cut.tiles, *PyramidTop(size).add(cut)]:
            writer.encode(tile)
        next(path for path in partial_in(tmp_path).rglob("*") if path.is_file() and path.name.isdigit()).unlink()
        with pytest.raises(OutputError, match=r"1 of \d+ files of the result have disappeared"):
            writer.complete()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_somebody_removes_is_not_complete(damage: str, tmp_path: Path) -> None:
    def write_text() -> None:
        with complete_or_absent(tmp_path / "a.txt", False) as partial:
            partial.write_text("complete")
            DAMAGES[damage](partial)

    with pytest.raises(OutputError, match="has been removed or replaced"):
        write_text()
    assert not (tmp_path / "a.txt").exists()
