import os
from collections.abc import Callable
from pathlib import Path

import pytest

from confostain.errors import SlideError
from confostain.io.readers.source_files import SourceFiles


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    (tmp_path / "a.zarr" / "0").mkdir(parents=True)
    for name in ("0.0", "0.1"):
        (tmp_path / "a.zarr" / "0" / name).write_bytes(b"data")
    (tmp_path / "b.tif").write_bytes(b"data")
    return tmp_path


def rewrite_in_place(path: Path) -> None:
    found = path.stat()
    path.write_bytes(b"DATA")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1))  # as a clock that ticks between both would say


CHANGES: dict[str, Callable[[Path], object]] = {
    "file removed": lambda at: (at / "b.tif").unlink(),
    "file grown": lambda at: (at / "b.tif").write_bytes(b"data and more"),
    "file rewritten": lambda at: rewrite_in_place(at / "b.tif"),
    "chunk removed": lambda at: (at / "a.zarr" / "0" / "0.1").unlink(),
    "chunk renamed": lambda at: (at / "a.zarr" / "0" / "0.1").rename(at / "a.zarr" / "0" / "0.2"),
    "chunk added": lambda at: (at / "a.zarr" / "0" / "0.3").write_bytes(b"data"),
    "chunk rewritten": lambda at: rewrite_in_place(at / "a.zarr" / "0" / "0.0"),
    "folder renamed": lambda at: (at / "a.zarr").rename(at / "c.zarr"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_is_noticed(change: str, scan: Path) -> None:
    files = SourceFiles([scan / "a.zarr", scan / "b.tif"])
    files.check_unchanged()
    CHANGES[change](scan)
    with pytest.raises(SlideError, match="changed while it was read"):
        files.check_unchanged()


def test_reading_is_no_change(scan: Path) -> None:
    files = SourceFiles([scan / "a.zarr", scan / "b.tif"])
    (scan / "b.tif").read_bytes()
    (scan / "other.tif").write_bytes(b"")
    files.check_unchanged()


@pytest.mark.parametrize(
    ("path", "held"),
    [("b.tif", True), ("a.zarr", True), ("a.zarr/new", True), (".", True), ("c.tif", False), ("b.tiff", False)],
)
def test_a_result_must_not_lie_among_the_files(path: str, held: bool, scan: Path) -> None:
    assert SourceFiles([scan / "a.zarr", scan / "b.tif"]).holds(scan / path) is held
