"""Zarr arrays whose chunks vanish, appear, are truncated, or are more than any machine can hold."""

import shutil
import warnings
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr

from confostain.errors import ConfostainWarning, SlideError
from confostain.io.readers.plane import Plane
from confostain.io.readers.zarr import open_zarr

SCAN = np.random.default_rng(0).integers(0, 60, (2, 200, 260), np.uint16)
STORES: dict[str, dict[str, Any]] = {
    "format 2, Blosc": {"zarr_format": 2, "compressors": numcodecs.Blosc()},
    "format 2, zlib": {"zarr_format": 2, "compressors": numcodecs.Zlib()},
    "format 3, Blosc": {"zarr_format": 3, "compressors": zarr.codecs.BloscCodec()},
    "format 3, zstd": {"zarr_format": 3, "compressors": zarr.codecs.ZstdCodec()},
    "format 3, shards of Blosc": {"zarr_format": 3, "compressors": zarr.codecs.BloscCodec(), "shards": (1, 128, 128)},
    "format 3, shards of gzip": {"zarr_format": 3, "compressors": zarr.codecs.GzipCodec(), "shards": (1, 128, 128)},
}


def write(path: Path, *, zarr_format: int, shape: tuple[int, ...] = SCAN.shape, **options: Any) -> Path:
    group = zarr.open_group(str(path), mode="w", zarr_format=zarr_format)  # type: ignore[arg-type]
    options.setdefault("chunks", (1, 64, 64))
    array = group.create_array("0", shape=shape, dtype=np.uint16, fill_value=0, **options)
    if shape == SCAN.shape:
        array[:] = SCAN
    axes = [{"name": name} for name in "cyx"]
    image = {"version": "0.4", "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": []}]}
    group.attrs.update({"multiscales": [image]} if zarr_format == 2 else {"ome": {"multiscales": [image]}})
    return path


def chunk_files(path: Path) -> list[Path]:
    return sorted(file for file in (path / "0").rglob("*") if file.is_file() and "z" not in file.name)


def whole(plane: Plane) -> np.ndarray:
    return plane.read(plane.size.region)


@pytest.mark.parametrize("store", STORES)
def test_a_complete_store_is_read_as_it_was_written(store: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        planes = open_zarr(write(tmp_path / "a.zarr", **STORES[store])).planes
    np.testing.assert_array_equal([whole(plane) for plane in planes], SCAN)


@pytest.mark.parametrize("store", STORES)
def test_a_chunk_that_disappears_is_no_area_without_light(store: str, tmp_path: Path) -> None:
    planes = open_zarr(write(tmp_path / "a.zarr", **STORES[store])).planes
    chunk_files(tmp_path / "a.zarr")[0].unlink()
    with pytest.raises(SlideError, match=r"^a\.zarr.*has disappeared since the slide was opened"):
        whole(planes[0])


@pytest.mark.parametrize("store", STORES)
def test_a_chunk_that_appears_late_is_refused(store: str, tmp_path: Path) -> None:
    file = chunk_files(write(tmp_path / "a.zarr", **STORES[store]))[0]
    shutil.move(file, tmp_path / "chunk")
    with pytest.warns(ConfostainWarning, match="1 of .* chunks are missing"):
        planes = open_zarr(tmp_path / "a.zarr").planes
    np.testing.assert_array_equal(whole(planes[0])[:64, :64], 0)
    planes = open_zarr_quietly(tmp_path / "a.zarr")
    shutil.move(tmp_path / "chunk", file)
    with pytest.raises(SlideError, match="has appeared since"):
        whole(planes[0])


def open_zarr_quietly(path: Path) -> tuple[Plane, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConfostainWarning)
        return open_zarr(path).planes


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
@pytest.mark.parametrize("store", STORES)
def test_a_truncated_chunk_is_refused(store: str, share: float, tmp_path: Path) -> None:
    file = chunk_files(write(tmp_path / "a.zarr", **STORES[store]))[0]
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    with pytest.raises(SlideError, match=r"^a\.zarr"):
        whole(open_zarr(tmp_path / "a.zarr").planes[0])


@pytest.mark.parametrize(
    ("shape", "options", "reason"),
    [
        ((1_000_000_000, 320, 400), {}, "expected two channels"),
        ((2, 200_000, 200_000), {"chunks": (1, 1, 1)}, "chunks; expected at most"),
        ((2, 100_000, 100_000), {"chunks": (1, 100_000, 100_000)}, "chunks of 20,000 MB"),
        ((2, 1_000_000_000, 1_000_000_000), {"chunks": (1, 1_000_000, 50)}, "expected at most"),
        ((2, 300_000, 300_000), {"zarr_format": 3, "chunks": (1, 1000, 1000), "shards": (1, 50_000, 50_000)}, "pixels"),
    ],
)
def test_what_no_machine_can_hold_is_refused_from_the_header(
    shape: tuple[int, ...], options: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    write(tmp_path / "a.zarr", **{"zarr_format": 2, "shape": shape, **options})
    with pytest.raises(SlideError, match=rf"^a\.zarr.*{reason}"):
        open_zarr_quietly(tmp_path / "a.zarr")
