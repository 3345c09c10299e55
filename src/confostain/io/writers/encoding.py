"""Encoded tiles of a pyramid: JPEG or deflate by several threads, kept in a scratch file, read by level."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Self, cast

import imagecodecs
import numpy as np
import numpy.typing as npt

from confostain.errors import OutputError
from confostain.geometry import Size
from confostain.io.writers.atomic import as_output_error
from confostain.io.writers.output import ResultImage
from confostain.io.writers.pyramid import TILE, WHITE, Pixels, PyramidTile, level_sizes

# Colour at half the width, as in most slides of scanners. Finer colour (1, 1) is converted twice by Bio-Formats (issue
# 3711 there), which QuPath, Fiji and OMERO use, and comes out magenta; coarser colour (2, 2) blurs nuclei.
SUBSAMPLING = (2, 1)


def encode_tile(tile: PyramidTile, quality: int | None) -> bytes:
    """A tile of TILE x TILE pixels as JPEG (YCbCr 4:2:2, JFIF); where `quality` is None as deflate of differences.

    The differences are those of TIFF's predictor 2 for integers and 3 for floats. Thread-safe.
    Tiles at the right and lower border are filled up.
    """
    return _encoded_blank(quality) if tile.pixels is None else _encoded(_padded(tile.pixels), quality)


def _padded(pixels: Pixels) -> Pixels:
    """Filled up with the last pixels: repeating the border leaves no edge for JPEG to ring at."""
    height, width = pixels.shape[:2]
    if height == width == TILE:
        return pixels
    return np.pad(pixels, ((0, TILE - height), (0, TILE - width), (0, 0)), mode="edge")


def _encoded(pixels: Pixels, quality: int | None) -> bytes:
    if quality is None:
        predicted = imagecodecs.floatpred_encode if pixels.dtype.kind == "f" else imagecodecs.delta_encode
        return bytes(imagecodecs.zlib_encode(predicted(pixels, axis=1).tobytes(), level=1))
    return bytes(
        imagecodecs.jpeg8_encode(
            np.ascontiguousarray(pixels),
            level=quality,
            colorspace="rgb",
            outcolorspace="ycbcr",
            subsampling="422",
        )
    )


@cache
def _encoded_blank(quality: int | None) -> bytes:
    return _encoded(np.full((TILE, TILE, 3), WHITE, np.uint8), quality)


class EncodedTiles:
    """Encoded tiles of a pyramid in an unnamed scratch file; in memory, 16 bytes per tile.

    Args:
        path: final name of the result; the scratch file lies beside it, where there must be room anyway.
        levels: size of each level that is stored, level 0 first.

    Raises:
        OutputError: there is no space for the scratch file, here and in `append` and `read`.
    """

    def __init__(self, path: Path, levels: Sequence[Size]) -> None:
        self.path = path
        self.levels = levels
        with as_output_error(path):
            self._file: IO[bytes] = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115  # closed by `close`
        self._places = [  # offset and length of each tile; length 0: missing
            np.zeros((-(-level.height // TILE), -(-level.width // TILE), 2), np.int64) for level in self.levels
        ]
        self._blank_place: tuple[int, int] | None = None
        self._end = 0

    def append(self, tile: PyramidTile, data: bytes) -> None:
        """Store a tile; white ones are stored once."""
        place = self._blank_place if tile.pixels is None else None
        if place is None:
            with as_output_error(self.path):
                place = self._end, self._file.write(data)
            self._end += place[1]
            if tile.pixels is None:
                self._blank_place = place
        self._places[tile.level][tile.row, tile.column] = place

    def lengths(self, level: int) -> npt.NDArray[np.int64]:
        """Bytes of each tile of a level, row by row: int64 (tiles,).

        Raises:
            OutputError: a tile is missing.
        """
        lengths = self._places[level][..., 1]
        for row, column in np.argwhere(lengths == 0)[:1]:
            raise OutputError(
                f"{self.path}: tile {column}, {row} of level {level} is missing; expected all tiles; report this error"
            )
        return np.asarray(lengths.ravel())

    def read(self, level: int) -> Iterator[bytes]:
        """Encoded tiles of a level, row by row; raises as `lengths`."""
        self.lengths(level)
        for offset, length in self._places[level].reshape(-1, 2):
            with as_output_error(self.path):  # seeking writes the buffer
                self._file.seek(int(offset))
            yield self._file.read(int(length))

    def close(self) -> None:
        """Remove the scratch file."""
        with suppress(OSError):  # a full disk refuses the rest of the buffer, which is not needed
            self._file.close()


class ScratchWriter:
    """Base of writers of encoded tiles, which are kept in a scratch file until all are there.

    Each writer adds `complete`, which lays the tiles out in its format.
    """

    def __init__(self, path: Path, image: ResultImage, overwrite: bool, *, has_pyramid: bool = True) -> None:
        self.path, self.image, self.overwrite = path, image, overwrite
        self._tiles = EncodedTiles(path, level_sizes(image.size) if has_pyramid else [image.size])

    @property
    def levels(self) -> int:
        """Number of levels that are stored."""
        return len(self._tiles.levels)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._tiles.close()

    def encode(self, tile: PyramidTile) -> bytes:
        """JPEG or deflate bytes of a tile; thread-safe."""
        return encode_tile(tile, self.image.quality)

    def append(self, tile: PyramidTile, encoded: object) -> None:
        """Append an encoded tile to the scratch file."""
        self._tiles.append(tile, cast(bytes, encoded))
