"""Writer of PNG, for a stained region of limited size."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np

from confostain.errors import OutputError
from confostain.io.writers.atomic import complete_or_absent, refuse_existing
from confostain.io.writers.output import ResultImage, srgb_profile
from confostain.io.writers.pyramid import TILE, WHITE, PyramidTile

MAX_PIXELS = 100_000_000  # 300 MB in memory; viewers do not open larger PNG files well


class PngWriter:
    """PNG writer of one stained region; see `SlideWriter`. Level 0 only, lossless.

    Raises:
        OutputError: the path cannot be written, or the image is too large for a PNG.
    """

    def __init__(self, path: Path, image: ResultImage, overwrite: bool = False) -> None:
        refuse_existing(path, overwrite)
        if image.size.pixels > MAX_PIXELS:
            raise OutputError(
                f"{path}: {image.size.width} x {image.size.height} px is too large for a PNG;"
                f" expected at most {MAX_PIXELS:,} px; write .ome.tif, or choose a part with --region"
            )
        self.path, self.image, self.overwrite = path, image, overwrite
        self._rgb = np.full((image.size.height, image.size.width, 3), WHITE, np.uint8)

    @property
    def levels(self) -> int:
        """Level 0 only."""
        return 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        del self._rgb

    def encode(self, tile: PyramidTile) -> None:
        """Put a tile of level 0 in its place; tiles do not overlap, so threads do not meet."""
        if tile.level == 0 and tile.pixels is not None:
            y, x = tile.row * TILE, tile.column * TILE
            self._rgb[y : y + tile.pixels.shape[0], x : x + tile.pixels.shape[1]] = tile.pixels

    def append(self, tile: PyramidTile, encoded: object) -> None:
        """Do nothing: `encode` has stored the tile."""

    def complete(self) -> None:
        """Write the file with pixel size, colour profile and provenance, and rename it to its final name."""
        from PIL import Image, PngImagePlugin

        text = PngImagePlugin.PngInfo()
        for key, value in self.image.provenance.items():
            text.add_itxt(key, value)
        scale = self.image.microns_per_pixel
        dpi = None if scale is None else (25_400 / scale, 25_400 / scale)
        with complete_or_absent(self.path, self.overwrite) as partial:
            Image.fromarray(self._rgb).save(
                partial,
                format="PNG",
                pnginfo=text,
                icc_profile=srgb_profile(),
                **({"dpi": dpi} if dpi else {}),
            )
