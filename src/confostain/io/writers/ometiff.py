"""TIFF writers: a tiled, pyramidal OME-TIFF, or a plain tiled TIFF of one grey plane, written tile by tile.

Encoded tiles are kept in an unnamed scratch file in any order; at the end tifffile writes them level by level. The
reduced levels are linked twice: as SubIFDs of the full image, for OME readers (Bio-Formats, QuPath, tifffile), and as
following directories, for OpenSlide and other generic TIFF readers.
"""

from __future__ import annotations

import json
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

from confostain.io.writers.atomic import complete_or_absent, refuse_existing
from confostain.io.writers.encoding import SUBSAMPLING, ScratchWriter
from confostain.io.writers.output import ResultImage, known_scale, srgb_profile
from confostain.io.writers.pyramid import TILE

CLASSIC_TIFF_LIMIT = 2**32 - 2**25  # bytes; classic TIFF offsets have 32 bits, 32 MB are left for directories


class OmeTiffWriter(ScratchWriter):
    """Writer of one stained slide or grey plane; see `SlideWriter`.

    Args:
        path: the final name, `.ome.tif` or `.tif`.
        image: size, scale, name, provenance, kind of pixels and JPEG quality.
        overwrite: whether an existing file may be replaced.

    Raises:
        OutputError: the path cannot be written, or a stain has no pixel size, which slide viewers need.
    """

    def __init__(self, path: Path, image: ResultImage, overwrite: bool = False) -> None:
        refuse_existing(path, overwrite)
        if image.samples == 3:
            known_scale(image, path)
        super().__init__(path, image, overwrite)

    def complete(self) -> None:
        """Write the file and rename it to its final name.

        Raises:
            OutputError: a tile is missing, a file of the final name has appeared, or the disk is full.
        """
        with complete_or_absent(self.path, self.overwrite) as partial:
            self._write_levels(partial)
            _link_levels_for_generic_readers(partial)

    def _write_levels(self, partial: Path) -> None:
        import tifffile

        with tifffile.TiffWriter(partial, ome=True, bigtiff=self._bytes_to_write() > CLASSIC_TIFF_LIMIT) as tiff:
            for level, size in enumerate(self._tiles.levels):
                tiff.write(
                    self._tiles.read(level),
                    shape=self.image.shape_of(size),
                    **self._level_options(level),
                )

    def _bytes_to_write(self) -> int:
        return sum(int(self._tiles.lengths(level).sum()) for level in range(len(self._tiles.levels)))

    def _level_options(self, level: int) -> dict[str, Any]:
        options = page_options(self.image, level)
        if level:
            return options | {"subfiletype": 1, "metadata": None}
        return options | {"subifds": len(self._tiles.levels) - 1, "metadata": self._ome_metadata()}

    def _ome_metadata(self) -> dict[str, Any]:
        scale = self.image.microns_per_pixel
        return {
            "axes": "YXS" if self.image.samples == 3 else "YX",
            "Name": self.image.name,
            "Description": self.image.provenance_text,
            **({f"PhysicalSize{axis}": scale for axis in "XY"} if scale else {}),
            **({f"PhysicalSize{axis}Unit": "µm" for axis in "XY"} if scale else {}),
            "Plane": {
                **{f"Position{axis}": [at] for axis, at in zip("XY", self.image.position_um(), strict=True)},
                **{f"Position{axis}Unit": ["µm" if scale else "pixel"] for axis in "XY"},
            },
            "Channel": {"Name": self.image.channel},
            "MapAnnotation": {"Namespace": "confostain.provenance", **self.image.provenance},
        }


class PlainTiffWriter(ScratchWriter):
    """Writer of one grey plane as a tiled TIFF of one page, for programs that read plain TIFF; see `SlideWriter`.

    The tag ImageDescription holds the provenance as JSON.

    Raises:
        OutputError: the path cannot be written.
    """

    def __init__(self, path: Path, image: ResultImage, overwrite: bool = False) -> None:
        refuse_existing(path, overwrite)
        super().__init__(path, image, overwrite, has_pyramid=False)

    def complete(self) -> None:
        """Lay out the file and rename it to its final name; errors as of `OmeTiffWriter.complete`."""
        import tifffile

        is_big = int(self._tiles.lengths(0).sum()) > CLASSIC_TIFF_LIMIT
        options = page_options(self.image) | {
            "shape": self.image.shape_of(self.image.size),
            "description": json.dumps({"name": self.image.name, **self.image.provenance}),
            "metadata": None,
        }
        with (
            complete_or_absent(self.path, self.overwrite) as partial,
            tifffile.TiffWriter(partial, bigtiff=is_big) as tiff,
        ):
            tiff.write(self._tiles.read(0), **options)


def page_options(image: ResultImage, level: int = 0) -> dict[str, Any]:
    """Options of `tifffile.TiffWriter.write` that follow from the kind of pixels and the scale of a level."""
    is_colour, is_lossless = image.samples == 3, image.quality is None
    scale = image.microns_per_pixel and image.microns_per_pixel * 2**level
    lossless_predictor = 3 if image.dtype.kind == "f" else 2
    return {
        "dtype": image.dtype,
        "tile": (TILE, TILE),
        "photometric": ("rgb" if is_lossless else "ycbcr") if is_colour else "minisblack",
        "compression": "adobe_deflate" if is_lossless else "jpeg",
        "predictor": lossless_predictor if is_lossless else None,
        "subsampling": None if is_lossless else SUBSAMPLING,
        "resolution": (1e4 / scale, 1e4 / scale) if scale else None,
        "resolutionunit": "CENTIMETER" if scale else None,
        "iccprofile": srgb_profile() if is_colour else None,
        "software": image.provenance.get("software", "confostain"),
    }


def _link_levels_for_generic_readers(path: Path) -> None:
    """Link the SubIFDs as following directories, by setting the "next" offset of each."""
    import tifffile

    with tifffile.TiffFile(path, mode="r+") as tiff:
        pages = [tiff.pages.first, *(tiff.pages.first.pages or [])]
        for page, following in pairwise(pages):
            file, layout = tiff.filehandle, tiff.tiff
            file.seek(page.offset)
            (tags,) = struct.unpack(layout.tagnoformat, file.read(layout.tagnosize))
            file.seek(page.offset + layout.tagnosize + tags * layout.tagsize)
            file.write(struct.pack(layout.offsetformat, following.offset))
