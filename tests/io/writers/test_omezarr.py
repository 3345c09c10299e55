import base64
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import ImageCms

from confostain.errors import OutputError
from confostain.geometry import Size
from confostain.io.writers.omezarr import OmeZarrWriter
from confostain.io.writers.output import ResultImage
from confostain.io.writers.pyramid import PyramidTop, cut_block


def write(path: Path, rgb: np.ndarray, overwrite: bool = False) -> Path:
    size = Size(rgb.shape[1], rgb.shape[0])
    image = ResultImage(size, 0.75, "painted", {"model": "gareau"})
    with OmeZarrWriter(path, image, overwrite) as writer:
        cut = cut_block(rgb, size, 0, 0)
        for tile in [*cut.tiles, *PyramidTop(size).add(cut)]:
            writer.append(tile, writer.encode(tile))
        writer.complete()
    return path


@pytest.fixture(scope="module")
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (300, 401, 3), dtype=np.uint8)


def test_levels_scale_and_provenance_are_there(
    rgb: np.ndarray, mean_of_level: Callable[[np.ndarray, int], np.ndarray], tmp_path: Path
) -> None:
    group = zarr.open_group(write(tmp_path / "a.ome.zarr", rgb), mode="r")
    (multiscale,) = group.attrs["multiscales"]
    assert multiscale["version"] == "0.4"
    assert [dataset["path"] for dataset in multiscale["datasets"]] == ["0", "1"]
    assert multiscale["datasets"][1]["coordinateTransformations"][0]["scale"] == [1, 1.5, 1.5]
    np.testing.assert_array_equal(np.moveaxis(group["0"][:], 0, 2), rgb)
    np.testing.assert_array_equal(np.moveaxis(group["1"][:], 0, 2), mean_of_level(rgb, 1))
    assert group.attrs["confostain"] == {"model": "gareau"}
    profile = ImageCms.ImageCmsProfile(BytesIO(base64.b64decode(group.attrs["icc_profile"])))
    assert "sRGB" in ImageCms.getProfileDescription(profile)


def test_white_is_not_stored(tmp_path: Path) -> None:
    size, path = Size(300, 300), tmp_path / "a.ome.zarr"
    with OmeZarrWriter(path, ResultImage(size, 0.75, "blank")) as writer:
        for tile in cut_block(None, size, 0, 0).tiles:
            writer.append(tile, writer.encode(tile))
        writer.complete()
    assert (zarr.open_array(path / "0", mode="r")[:] == 255).all()
    assert {entry.name for entry in path.rglob("*") if entry.is_file()} == {".zattrs", ".zgroup", ".zarray"}


def test_complete_or_absent_and_never_overwritten_unasked(rgb: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.ome.zarr"
    with OmeZarrWriter(path, ResultImage(Size(10, 10), 0.75, "")):
        pass
    assert list(tmp_path.iterdir()) == []
    write(path, rgb)
    with pytest.raises(OutputError, match="exists already"):
        write(path, rgb)
    write(path, rgb[:50, :50], overwrite=True)
    assert zarr.open_array(path / "0", mode="r").shape == (3, 50, 50)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.ome.zarr"]
