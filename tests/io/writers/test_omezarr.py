import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import ImageCms

from confostain.errors import OutputError
from confostain.geometry import Size
from confostain.io.writers.omezarr import OmeZarrWriter, ShardedOmeZarrWriter
from confostain.io.writers.output import ResultImage
from confostain.io.writers.pyramid import PyramidTop, cut_block


def write(path: Path, rgb: np.ndarray, overwrite: bool = False, writer: type[OmeZarrWriter] = OmeZarrWriter) -> Path:
    size = Size(rgb.shape[1], rgb.shape[0])
    image = ResultImage(size, 0.75, "painted", {"model": "gareau"}, level0_xy=(40, 8))
    with writer(path, image, overwrite) as opened, ThreadPoolExecutor(4) as pool:
        cut = cut_block(rgb, size, 0, 0)
        tiles = [*cut.tiles, *PyramidTop(size).add(cut)]
        for tile, encoded in zip(tiles, pool.map(opened.encode, tiles), strict=True):
            opened.append(tile, encoded)  # type: ignore[func-returns-value]
        opened.complete()
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
    assert [dataset["coordinateTransformations"] for dataset in multiscale["datasets"]] == [
        [{"type": "scale", "scale": [1, 0.75, 0.75]}, {"type": "translation", "translation": [0, 6, 30]}],
        [{"type": "scale", "scale": [1, 1.5, 1.5]}, {"type": "translation", "translation": [0, 6.375, 30.375]}],
    ]
    np.testing.assert_array_equal(np.moveaxis(group["0"][:], 0, 2), rgb)
    np.testing.assert_array_equal(np.moveaxis(group["1"][:], 0, 2), mean_of_level(rgb, 1))
    assert group.attrs["confostain"] == {"model": "gareau"}
    profile = ImageCms.ImageCmsProfile(BytesIO(base64.b64decode(group.attrs["icc_profile"])))
    assert "sRGB" in ImageCms.getProfileDescription(profile)


def test_shards_hold_the_same_pixels_in_few_files(
    mean_of_level: Callable[[np.ndarray, int], np.ndarray], tmp_path: Path
) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (600, 2300, 3), dtype=np.uint8)
    rgb[:, :300] = 255
    path = write(tmp_path / "a.ome.zarr", rgb, writer=ShardedOmeZarrWriter)
    group = zarr.open_group(path, mode="r")
    plain = zarr.open_group(write(tmp_path / "b.ome.zarr", rgb), mode="r")
    (multiscale,) = group.attrs["ome"]["multiscales"]
    assert group.attrs["ome"]["version"] == "0.5"
    assert multiscale["datasets"] == plain.attrs["multiscales"][0]["datasets"]
    for level in range(len(multiscale["datasets"])):
        np.testing.assert_array_equal(np.moveaxis(group[str(level)][:], 0, 2), mean_of_level(rgb, level))
    files = {entry.relative_to(path).as_posix() for entry in path.rglob("*") if entry.name != "zarr.json"}
    assert {name for name in files if (path / name).is_file()} == {
        f"{level}/c/0/0/{column}" for level in range(5) for column in range(2 if level == 0 else 1)
    }
    write(path, rgb[:50, :50], overwrite=True)


def test_a_white_shard_is_not_stored(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ome.zarr", np.full((300, 300, 3), 255, np.uint8), writer=ShardedOmeZarrWriter)
    assert (zarr.open_array(path / "0", mode="r")[:] == 255).all()
    assert {entry.name for entry in path.rglob("*") if entry.is_file()} == {"zarr.json"}


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
