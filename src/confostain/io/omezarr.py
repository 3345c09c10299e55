"""Writes a pyramidal OME-Zarr (NGFF 0.4, Zarr 2) while the image is being computed. Lossless."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, Self

import numpy as np

from confostain.errors import OutputError
from confostain.io.pyramid import TILE, WHITE, PyramidTile, level_sizes
from confostain.io.writing import StainedImage, refuse_existing

NGFF = "0.4"  # the version that QuPath, napari and OMERO read today


class OmeZarrWriter:
    """Writer of one stained slide; see `SlideWriter`. White tiles are not stored: they are the fill value.

    Raises:
        OutputError: the path cannot be written, or the image has no pixel size.
    """

    def __init__(self, path: Path, image: StainedImage, overwrite: bool = False) -> None:
        import zarr

        refuse_existing(path, overwrite)
        if image.microns_per_pixel is None:
            raise OutputError(
                f"{path}: the pixel size is unknown and a whole-slide image needs one; give it with --mpp"
            )
        self.path, self.image, self.overwrite = path, image, overwrite
        self._partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
        group = zarr.open_group(self._partial, mode="w", zarr_format=2)
        self._levels: list[Any] = [
            group.create_array(
                str(level),
                shape=(3, size.height, size.width),
                chunks=(3, TILE, TILE),
                dtype="uint8",
                fill_value=WHITE,
                chunk_key_encoding={"name": "v2", "separator": "/"},
            )
            for level, size in enumerate(level_sizes(image.size))
        ]
        group.attrs.update(self._metadata(image.microns_per_pixel))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        shutil.rmtree(self._partial, ignore_errors=True)

    def encode(self, tile: PyramidTile) -> None:
        """Compress and store a tile; tiles are chunks, so threads do not meet."""
        if tile.rgb is not None:
            y, x = tile.row * TILE, tile.column * TILE
            height, width = tile.rgb.shape[:2]
            self._levels[tile.level][:, y : y + height, x : x + width] = np.moveaxis(tile.rgb, 2, 0)

    def append(self, tile: PyramidTile, encoded: object) -> None:
        """Nothing remains to be stored."""

    def complete(self) -> None:
        """Put the folder under its final name."""
        refuse_existing(self.path, self.overwrite)
        if self.path.is_dir() and not self.path.is_symlink():
            discarded = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", suffix=".old", dir=self.path.parent))
            self.path.rename(discarded / self.path.name)
            shutil.rmtree(discarded)
        self._partial.chmod(0o755)
        self._partial.rename(self.path)

    def _metadata(self, microns_per_pixel: float) -> dict[str, Any]:
        axes: list[dict[str, str]] = [{"name": "c", "type": "channel"}]
        axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
        datasets = [
            {
                "path": str(level),
                "coordinateTransformations": [{"type": "scale", "scale": [1.0, *[microns_per_pixel * 2**level] * 2]}],
            }
            for level in range(len(self._levels))
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
        }
