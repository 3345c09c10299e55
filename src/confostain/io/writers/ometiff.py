"""Writer of tiled, pyramidal OME-TIFF, JPEG or lossless.

Encoded tiles are kept in an unnamed scratch file in any order; at the end tifffile writes them level by level. The
reduced levels are linked twice: as SubIFDs of the full image, for OME readers (Bio-Formats, QuPath, tifffile), and as
following directories, for OpenSlide and other generic TIFF readers.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

from confostain.io.writers.encoding import ScratchWriter
from confostain.io.writers.output import StainedImage, complete_or_absent, known_scale, refuse_existing, srgb_profile
from confostain.io.writers.pyramid import TILE

CLASSIC_TIFF_LIMIT = 2**32 - 2**25  # bytes; classic TIFF offsets have 32 bits, 32 MB are left for directories


class OmeTiffWriter(ScratchWriter):
    """OME-TIFF writer of one stained slide; see `SlideWriter`.

    Args:
        path: final name, `.ome.tif` or `.tif`.
        image: size, pixel size, name, provenance and JPEG quality.
        overwrite: whether an existing file may be replaced.

    Raises:
        OutputError: the path cannot be written, or the image has no pixel size.
    """

    def __init__(self, path: Path, image: StainedImage, overwrite: bool = False) -> None:
        refuse_existing(path, overwrite)
        self._scale = known_scale(image, path)
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
                    shape=(size.height, size.width, 3),
                    resolution=(1e4 / (self._scale * 2**level),) * 2,
                    **self._level_options(level),
                )

    def _bytes_to_write(self) -> int:
        return sum(int(self._tiles.lengths(level).sum()) for level in range(len(self._tiles.levels)))

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
        return options | {"subifds": len(self._tiles.levels) - 1, "metadata": self._ome_metadata()}

    def _ome_metadata(self) -> dict[str, Any]:
        return {
            "axes": "YXS",
            "Name": self.image.name,
            "Description": self.image.provenance_text,
            "PhysicalSizeX": self._scale,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": self._scale,
            "PhysicalSizeYUnit": "µm",
            "Channel": {"Name": "digitally stained RGB"},
            "MapAnnotation": {"Namespace": "confostain.provenance", **self.image.provenance},
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
