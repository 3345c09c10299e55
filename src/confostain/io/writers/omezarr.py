"""Writers of pyramidal OME-Zarr, lossless: NGFF 0.4 with a file for each tile, or NGFF 0.5 with shards of many tiles.

NGFF has no field for a colour profile: it is in the group's attributes as `icc_profile`, in base64.
"""

from __future__ import annotations

import base64
import os
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from confostain.geometry import Size
from confostain.io.writers.atomic import PartialFolder, as_output_error
from confostain.io.writers.output import ResultImage, known_scale, srgb_profile
from confostain.io.writers.pyramid import TILE, WHITE, PyramidTile, level_sizes

SHARD = 8 * TILE  # px; one file: 400 files instead of 25,000 for level 0 of a slide of 40,000 px. 13 MB in memory


class OmeZarrWriter:
    """OME-Zarr writer of one stained slide (NGFF 0.4, Zarr format 2); see `SlideWriter`.

    White tiles are not stored: white is the fill value.

    Raises:
        OutputError: the path cannot be written, the image has no pixel size, or the disk is full.
    """

    ngff = "0.4"  # the version that QuPath, napari and OMERO read

    def __init__(self, path: Path, image: ResultImage, overwrite: bool = False) -> None:
        known_scale(image, path)
        self.image, self._path = image, path
        with ExitStack() as undo:
            self._folder = undo.enter_context(PartialFolder(path, overwrite))
            with as_output_error(path):
                self._levels = self._empty_levels(level_sizes(image.size))
                self._files = sum(len(names) for _, _, names in os.walk(self._folder.partial))
            self._lock = threading.Lock()
            undo.pop_all()

    @property
    def levels(self) -> int:
        """Number of levels that are stored."""
        return len(self._levels)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._folder.__exit__(*exception)

    def encode(self, tile: PyramidTile) -> None:
        """Compress and store a tile; tiles are chunks, so threads do not meet."""
        if tile.pixels is not None:
            self._store(tile.level, tile.column * TILE, tile.row * TILE, np.moveaxis(tile.pixels, 2, 0))

    def append(self, tile: PyramidTile, encoded: object) -> None:
        """Do nothing: `encode` has stored the tile."""

    def complete(self) -> None:
        """Rename the folder to its final name.

        Raises:
            OutputError: it, or files in it, have disappeared.
        """
        self._folder.complete(self._files)

    def _store(self, level: int, x: int, y: int, pixels: npt.NDArray[np.uint8]) -> None:
        """Store pixels, uint8 (3, h, w), as one file; none where all are white."""
        if (pixels == WHITE).all():
            return
        with as_output_error(self._path):
            self._levels[level][:, y : y + pixels.shape[1], x : x + pixels.shape[2]] = pixels
        with self._lock:
            self._files += 1

    def _empty_levels(self, sizes: list[Size]) -> list[Any]:
        import zarr

        group = zarr.open_group(self._folder.partial, mode="a", zarr_format=2)
        group.attrs.update(_metadata(self.image, self.ngff) | _attributes(self.image))
        options = {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
        return [_empty_level(group, level, size, options) for level, size in enumerate(sizes)]


class ShardedOmeZarrWriter(OmeZarrWriter):
    """OME-Zarr writer of one stained slide (NGFF 0.5, Zarr format 3, shards of 2048 px); see `SlideWriter`.

    A shard is kept in memory until all of its tiles have come, which along the Z curve is soon; then it is written.
    """

    ngff = "0.5"

    def __init__(self, path: Path, image: ResultImage, overwrite: bool = False) -> None:
        super().__init__(path, image, overwrite)
        self._shards: dict[tuple[int, int, int], _Shard] = {}

    def encode(self, tile: PyramidTile) -> None:
        """Put a tile into its shard, and compress and store the shard with its last tile. Threads may meet."""
        key = (tile.level, tile.row * TILE // SHARD, tile.column * TILE // SHARD)
        with self._lock:
            shard = self._shards.setdefault(key, _Shard(level_sizes(self.image.size)[tile.level], *key[1:]))
            is_complete = shard.add(tile)
            if is_complete:
                del self._shards[key]
        if is_complete and shard.pixels is not None:
            self._store(tile.level, shard.x, shard.y, shard.pixels)

    def _empty_levels(self, sizes: list[Size]) -> list[Any]:
        import zarr

        group = zarr.open_group(self._folder.partial, mode="a", zarr_format=3)
        group.attrs.update({"ome": {"version": self.ngff, **_metadata(self.image)}, **_attributes(self.image)})
        options = {"shards": (3, SHARD, SHARD), "dimension_names": ("c", "y", "x")}
        return [_empty_level(group, level, size, options) for level, size in enumerate(sizes)]


class _Shard:
    """Part of a level that is stored in one file; `pixels`, uint8 (3, h, w), is None while all of it is white."""

    def __init__(self, level: Size, row: int, column: int) -> None:
        self.x, self.y = column * SHARD, row * SHARD
        self._size = Size(min(SHARD, level.width - self.x), min(SHARD, level.height - self.y))
        self._missing = -(-self._size.width // TILE) * -(-self._size.height // TILE)
        self.pixels: npt.NDArray[np.uint8] | None = None

    def add(self, tile: PyramidTile) -> bool:
        """Take a tile; whether it was the last one."""
        if tile.pixels is not None:
            if self.pixels is None:
                self.pixels = np.full((3, self._size.height, self._size.width), WHITE, np.uint8)
            x, y = tile.column * TILE - self.x, tile.row * TILE - self.y
            height, width = tile.pixels.shape[:2]
            self.pixels[:, y : y + height, x : x + width] = np.moveaxis(tile.pixels, 2, 0)
        self._missing -= 1
        return self._missing == 0


def _empty_level(group: Any, level: int, size: Size, options: dict[str, Any]) -> Any:
    shape, chunks = (3, size.height, size.width), (3, TILE, TILE)
    return group.create_array(str(level), shape=shape, chunks=chunks, dtype="uint8", fill_value=WHITE, **options)


def _attributes(image: ResultImage) -> dict[str, Any]:
    """What is not part of NGFF: provenance and colour profile."""
    return {"confostain": dict(image.provenance), "icc_profile": base64.b64encode(srgb_profile()).decode()}


def _metadata(image: ResultImage, version: str | None = None) -> dict[str, Any]:
    """NGFF metadata; in NGFF 0.4 each part says its version."""
    said = {"version": version} if version else {}
    axes: list[dict[str, str]] = [{"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    datasets = [
        {"path": str(level), "coordinateTransformations": _transformations(image, level)}
        for level in range(len(level_sizes(image.size)))
    ]
    window = {"min": 0, "max": 255, "start": 0, "end": 255}
    channels = [
        {"label": label, "color": colour, "active": True, "window": window}
        for label, colour in (("red", "FF0000"), ("green", "00FF00"), ("blue", "0000FF"))
    ]
    return {
        "multiscales": [{**said, "name": image.name, "axes": axes, "datasets": datasets, "type": "mean"}],
        "omero": {**said, "channels": channels, "rdefs": {"model": "color"}},
    }


def _transformations(image: ResultImage, level: int) -> list[dict[str, Any]]:
    scale = (image.microns_per_pixel or 1.0) * 2**level
    x, y = image.position_um(level)
    return [{"type": "scale", "scale": [1.0, scale, scale]}, {"type": "translation", "translation": [0.0, y, x]}]
