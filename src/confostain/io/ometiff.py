"""Writes a tiled, pyramidal OME-TIFF while the image is being computed.

Encoded tiles go to an unnamed scratch file in whatever order they come; at the end tifffile lays them out level
by level. The reduced levels are linked twice: as SubIFDs of the full image, where OME readers (Bio-Formats,
QuPath, tifffile) look, and as following directories, where OpenSlide and other generic TIFF readers look.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, Self, cast

import imagecodecs
import numpy as np
import numpy.typing as npt

from confostain.errors import OutputError
from confostain.geometry import Size
from confostain.io.pyramid import TILE, WHITE, PyramidTile, level_sizes
from confostain.io.writing import StainedImage, complete_or_absent, padded_to_tile, refuse_existing

CLASSIC_TIFF_LIMIT = 2**32 - 2**25  # bytes; classic TIFF offsets have 32 bits, 32 MB are left for directories


class OmeTiffWriter:
    """Writer of one stained slide; see `SlideWriter`.

    Args:
        path: the final name, `.ome.tif` or `.tif`.
        image: size, scale, name, provenance and JPEG quality.
        overwrite: whether an existing file may be replaced.

    Raises:
        OutputError: the path cannot be written, or the image has no pixel size.
    """

    def __init__(self, path: Path, image: StainedImage, overwrite: bool = False) -> None:
        refuse_existing(path, overwrite)
        if image.microns_per_pixel is None:
            raise OutputError(
                f"{path}: the pixel size is unknown and a whole-slide image needs one; give it with --mpp"
            )
        self.path, self.image, self.overwrite = path, image, overwrite
        self.levels = level_sizes(image.size)
        self._scratch: IO[bytes] = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115  # closed by __exit__
        self._places: dict[tuple[int, int, int], tuple[int, int]] = {}
        self._blank_place: tuple[int, int] | None = None
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._scratch.close()

    def encode(self, tile: PyramidTile) -> bytes:
        """JPEG or deflate bytes of a tile; thread-safe."""
        if tile.rgb is None:
            return _encoded_blank(self.image.quality)
        return _encoded(padded_to_tile(tile.rgb, TILE), self.image.quality)

    def append(self, tile: PyramidTile, encoded: object) -> None:
        """Append an encoded tile to the scratch file; white tiles are stored there once."""
        place = self._blank_place if tile.rgb is None else None
        if place is None:
            place = self._end, self._scratch.write(cast(bytes, encoded))
            self._end += place[1]
            if tile.rgb is None:
                self._blank_place = place
        self._places[tile.level, tile.column, tile.row] = place

    def complete(self) -> None:
        """Lay out the file and rename it to its final name.

        Raises:
            OutputError: a tile is missing, or something appeared under the final name meanwhile.
        """
        with complete_or_absent(self.path, self.overwrite) as partial:
            self._write_levels(partial)
            _link_levels_for_generic_readers(partial)

    def _write_levels(self, partial: Path) -> None:
        import tifffile

        with tifffile.TiffWriter(partial, ome=True, bigtiff=self._bytes_to_write() > CLASSIC_TIFF_LIMIT) as tiff:
            for level, size in enumerate(self.levels):
                tiff.write(
                    self._encoded_tiles(level),
                    shape=(size.height, size.width, 3),
                    resolution=(1e4 / (cast(float, self.image.microns_per_pixel) * 2**level),) * 2,
                    **self._level_options(level),
                )

    def _bytes_to_write(self) -> int:
        return sum(length for _, length in self._places.values())

    def _level_options(self, level: int) -> dict[str, Any]:
        lossless = self.image.quality is None
        options: dict[str, Any] = {
            "dtype": "uint8",
            "tile": (TILE, TILE),
            "photometric": "rgb" if lossless else "ycbcr",
            "compression": "adobe_deflate" if lossless else "jpeg",
            "predictor": 2 if lossless else None,
            "subsampling": None if lossless else (1, 1),
            "resolutionunit": "CENTIMETER",
            "iccprofile": srgb_profile(),
            "software": self.image.provenance.get("software", "confostain"),
        }
        if level:
            return options | {"subfiletype": 1, "metadata": None}
        return options | {"subifds": len(self.levels) - 1, "metadata": self._ome_metadata()}

    def _ome_metadata(self) -> dict[str, Any]:
        scale = self.image.microns_per_pixel
        return {
            "axes": "YXS",
            "Name": self.image.name,
            "Description": ". ".join(f"{key}: {value}" for key, value in self.image.provenance.items()),
            "PhysicalSizeX": scale,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": scale,
            "PhysicalSizeYUnit": "µm",
            "Channel": {"Name": "digitally stained RGB"},
            "MapAnnotation": {"Namespace": "confostain.provenance", **self.image.provenance},
        }

    def _encoded_tiles(self, level: int) -> Iterator[bytes]:
        size: Size = self.levels[level]
        for row in range(-(-size.height // TILE)):
            for column in range(-(-size.width // TILE)):
                place = self._places.get((level, column, row))
                if place is None:
                    raise OutputError(f"{self.path}: tile {column}, {row} of level {level} was never computed")
                self._scratch.seek(place[0])
                yield self._scratch.read(place[1])


def _encoded(rgb: npt.NDArray[np.uint8], quality: int | None) -> bytes:
    if quality is None:
        return bytes(imagecodecs.zlib_encode(imagecodecs.delta_encode(rgb, axis=1).tobytes(), level=1))
    return bytes(
        imagecodecs.jpeg8_encode(
            np.ascontiguousarray(rgb),
            level=quality,
            colorspace="rgb",
            outcolorspace="ycbcr",
            subsampling="444",  # 4:2:0 blurs the edge between blue nuclei and pink stroma
        )
    )


@cache
def _encoded_blank(quality: int | None) -> bytes:
    return _encoded(np.full((TILE, TILE, 3), WHITE, np.uint8), quality)


@cache
def srgb_profile() -> bytes:
    """The sRGB ICC profile (IEC 61966-2-1) of LittleCMS, with a fixed date so that results are reproducible."""
    from PIL import ImageCms

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # ICC.1 header, bytes 24-35: date of creation
    return bytes(profile)


def _link_levels_for_generic_readers(path: Path) -> None:
    """Chain the SubIFDs behind the first directory by setting each one's "next" offset."""
    import tifffile

    with tifffile.TiffFile(path, mode="r+") as tiff:
        pages = [tiff.pages.first, *(tiff.pages.first.pages or [])]
        for page, following in pairwise(pages):
            file, layout = tiff.filehandle, tiff.tiff
            file.seek(page.offset)
            (tags,) = struct.unpack(layout.tagnoformat, file.read(layout.tagnosize))
            file.seek(page.offset + layout.tagnosize + tags * layout.tagsize)
            file.write(struct.pack(layout.offsetformat, following.offset))
