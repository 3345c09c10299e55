"""Writer of pyramidal OME-Zarr (NGFF 0.4, Zarr format 2), lossless.

NGFF 0.4 has no field for a colour profile: it is in the group's attributes as `icc_profile`, in base64.
"""

from __future__ import annotations

import base64
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np

from confostain.io.writers.output import PartialFolder, ResultImage, as_output_error, known_scale, srgb_profile
from confostain.io.writers.pyramid import TILE, WHITE, PyramidTile, level_sizes

NGFF = "0.4"  # the version that QuPath, napari and OMERO read


class OmeZarrWriter:
    """OME-Zarr writer of one stained slide; see `SlideWriter`. White tiles are not stored: white is the fill value.

    Raises:
        OutputError: the path cannot be written, the image has no pixel size, or the disk is full.
    """

    def __init__(self, path: Path, image: ResultImage, overwrite: bool = False) -> None:
        scale = known_scale(image, path)
        self.image, self._path = image, path
        with ExitStack() as undo:
            self._folder = undo.enter_context(PartialFolder(path, overwrite))
            with as_output_error(path):
                self._levels = self._empty_levels(scale)
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
            y, x = tile.row * TILE, tile.column * TILE
            height, width = tile.pixels.shape[:2]
            with as_output_error(self._path):
                self._levels[tile.level][:, y : y + height, x : x + width] = np.moveaxis(tile.pixels, 2, 0)

    def append(self, tile: PyramidTile, encoded: object) -> None:
        """Do nothing: `encode` has stored the tile."""

    def complete(self) -> None:
        """Rename the folder to its final name."""
        self._folder.complete()

    def _empty_levels(self, microns_per_pixel: float) -> list[Any]:
        import zarr

        group = zarr.open_group(self._folder.partial, mode="w", zarr_format=2)
        group.attrs.update(self._metadata(microns_per_pixel))
        return [
            group.create_array(
                str(level),
                shape=(3, size.height, size.width),
                chunks=(3, TILE, TILE),
                dtype="uint8",
                fill_value=WHITE,
                chunk_key_encoding={"name": "v2", "separator": "/"},
            )
            for level, size in enumerate(level_sizes(self.image.size))
        ]

    def _metadata(self, microns_per_pixel: float) -> dict[str, Any]:
        axes: list[dict[str, str]] = [{"name": "c", "type": "channel"}]
        axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
        datasets = [
            {
                "path": str(level),
                "coordinateTransformations": [{"type": "scale", "scale": [1.0, *[microns_per_pixel * 2**level] * 2]}],
            }
            for level in range(len(level_sizes(self.image.size)))
        ]
        return {
            "multiscales": [
                {"version": NGFF, "name": self.image.name, "axes": axes, "datasets": datasets, "type": "mean"}
            ],
            "omero": {
                "version": NGFF,
                "channels": [
                    {
                        "label": label,
                        "color": colour,
                        "active": True,
                        "window": {"min": 0, "max": 255, "start": 0, "end": 255},
                    }
                    for label, colour in (("red", "FF0000"), ("green", "00FF00"), ("blue", "0000FF"))
                ],
                "rdefs": {"model": "color"},
            },
            "confostain": dict(self.image.provenance),
            "icc_profile": base64.b64encode(srgb_profile()).decode(),
        }
