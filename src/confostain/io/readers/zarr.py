"""Reader of OME-Zarr (NGFF 0.4 and 0.5, Zarr formats 2 and 3): channels of the full-resolution array."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from confostain.errors import SlideError
from confostain.geometry import Size
from confostain.io.readers.plane import Pixels, Plane, as_slide_error, checked_dtype, microns, plausible_microns
from confostain.io.readers.sources import Chunks, cached_chunks


@dataclass(frozen=True)
class ZarrPlanes:
    """Channels of an OME-Zarr image, in file order."""

    planes: tuple[Plane, ...]
    channel_names: tuple[str, ...]  # from the omero metadata; empty if they have none


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr group."""
    return any((path / name).is_file() for name in (".zgroup", ".zattrs", "zarr.json"))


def open_zarr(path: Path) -> ZarrPlanes:
    """Open the image at `path`.

    Raises:
        SlideError: it is no OME-Zarr, damaged, or a stack in depth or time.
    """
    import zarr

    from confostain.io.readers.zarr_store import guarded_array

    with as_slide_error(path.name):
        group: Any = zarr.open_group(str(path), mode="r")
        if "bioformats2raw.layout" in _metadata(group):  # a collection; its first image is taken
            group = group["0"]
        metadata = _metadata(group)
        if not metadata.get("multiscales"):
            raise SlideError(
                f"{path.name}: no multiscales metadata; expected an OME-Zarr image (NGFF 0.4 or 0.5); "
                "give the folder of one image"
            )
        image = metadata["multiscales"][0]
        array = group[image["datasets"][0]["path"]]
        axes = [axis["name"] for axis in image["axes"]]
        _check_axes(path.name, axes, array.shape)
        array = guarded_array(path.name, array)
        labels = tuple(str(c.get("label", "")) for c in metadata.get("omero", {}).get("channels", []))
        count = array.shape[axes.index("c")] if "c" in axes else 1
        size = _pixel_size(image, axes)
        planes = tuple(_plane(path.name, array, axes, channel, size) for channel in range(count))
    return ZarrPlanes(planes, labels if len(labels) == count else ())


def _metadata(group: Any) -> dict[str, Any]:
    """OME part of a group's attributes: under "ome" since NGFF 0.5, at the top before."""
    attributes = dict(group.attrs)
    ome: dict[str, Any] = attributes.get("ome", attributes)
    return ome


def _check_axes(name: str, axes: list[str], shape: tuple[int, ...]) -> None:
    deep = [f"{axis}={n}" for axis, n in zip(axes, shape, strict=True) if n != 1 and axis not in "cyx"]
    if deep or axes[-2:] != ["y", "x"]:
        raise SlideError(
            f"{name}: axes {''.join(axes)} of {shape}; expected one plane per channel, y and x last; "
            "export one plane or projection"
        )


def _plane(name: str, array: Any, axes: list[str], channel: int, microns_per_pixel: float | None) -> Plane:
    dtype = checked_dtype(name, np.dtype(array.dtype), np.dtype(array.dtype).itemsize * 8)
    size = Size(array.shape[-1], array.shape[-2])
    height, width = array.chunks[-2:]
    outer = tuple(channel if axis == "c" else 0 for axis in axes[:-2])

    def decode(row: int, column: int) -> Pixels:
        y, x = row * height, column * width
        return np.asarray(array[(*outer, slice(y, y + height), slice(x, x + width))])

    source = Chunks(Size(width, height), cached_chunks(decode, height * width * dtype.itemsize))
    return Plane(f"{name} (channel {channel + 1})", size, dtype, microns_per_pixel, source)


def _pixel_size(image: dict[str, Any], axes: list[str]) -> float | None:
    """Pixel size (um/px): product of the scales of the first dataset and of the image."""
    scale = np.ones(len(axes))
    transforms = [
        *image["datasets"][0].get("coordinateTransformations", ()),
        *image.get("coordinateTransformations", ()),
    ]
    for transform in transforms:
        if transform.get("type") == "scale":
            scale = scale * np.asarray(transform["scale"], float)
    y, x = (microns(float(scale[i]), image["axes"][i].get("unit")) for i in (-2, -1))
    return plausible_microns(x, y)
