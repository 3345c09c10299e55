"""Slides that change while they are stained or despeckled: an error and no result, never a wrong picture."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

import confostain
from confostain.errors import SlideError

SIDE = 1400  # px: several tiles


def planes() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.integers(0, 400, (2, SIDE, SIDE)) + 40 * np.arange(SIDE) % 9000).astype(np.uint16)


def as_tiff(folder: Path) -> Path:
    tifffile.imwrite(folder / "scan.ome.tif", planes(), metadata={"axes": "CYX"}, photometric="minisblack")
    return folder / "scan.ome.tif"


def as_zarr(folder: Path) -> Path:
    group = zarr.open_group(str(folder / "scan.zarr"), mode="w", zarr_format=2)
    group.create_array("0", data=planes(), chunks=(1, 256, 256))
    image = {"axes": [{"name": name} for name in "cyx"], "datasets": [{"path": "0"}]}
    group.attrs["multiscales"] = [image]
    return folder / "scan.zarr"


def rewrite(path: Path) -> None:
    found = path.stat()
    with path.open("r+b") as file:
        file.seek(found.st_size // 2)
        file.write(bytes(4096))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1))  # as a clock that ticks between both would say


def replace(path: Path) -> None:
    tifffile.imwrite(path.with_name("new.tif"), planes()[::-1], metadata={"axes": "CYX"}, photometric="minisblack")
    path.with_name("new.tif").replace(path)


CHANGES: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object]]] = {
    "TIFF edited in place": (as_tiff, rewrite),
    "TIFF replaced": (as_tiff, replace),
    "TIFF truncated": (as_tiff, lambda path: os.truncate(path, path.stat().st_size // 2)),
    "TIFF removed": (as_tiff, Path.unlink),
    "chunk removed": (as_zarr, lambda path: (path / "0" / "1.5.5").unlink()),
    "chunk rewritten": (as_zarr, lambda path: rewrite(path / "0" / "0.0.0")),
    "chunk of another level added": (as_zarr, lambda path: (path / "1").mkdir() or (path / "1" / "0").touch()),
}


@pytest.mark.parametrize("despeckle", [False, True], ids=["stain", "despeckle"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_slide_that_changes_gives_an_error_and_no_result(change: str, despeckle: bool, tmp_path: Path) -> None:
    store, alter = CHANGES[change]
    source = store(tmp_path)
    before = {path.name for path in tmp_path.iterdir()}

    def progress(done: int, total: int) -> None:
        if done and not changed:
            changed.append(True)
            alter(source)

    changed: list[bool] = []
    out = tmp_path / "out.ome.tif"
    run = confostain.despeckle_slide if despeckle else partial(confostain.stain_slide, model="gareau")
    with confostain.open_slide(source, microns_per_pixel=0.5) as slide, pytest.raises(SlideError, match="scan"):
        run(slide, out, tile=256, progress=progress)
    assert changed
    assert {path.name for path in tmp_path.iterdir()} <= before
