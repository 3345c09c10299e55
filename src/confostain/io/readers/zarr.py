"""Reader of OME-Zarr (NGFF 0.1 to 0.5, Zarr formats 2 and 3, folders and zip files): channels at full resolution."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from confostain.errors import SlideError
from confostain.geometry import Size
from confostain.io.readers.channel_names import warn_of_pairs
from confostain.io.readers.pixel_size import PixelSize, believed, microns, number
from confostain.io.readers.plane import MOST_CHANNELS, Pixels, Plane, as_slide_error
from confostain.io.readers.sources import Chunks, cached_chunks
from confostain.io.readers.stored_types import in_supported_type

_METADATA = (".zgroup", ".zattrs", "zarr.json")


@dataclass(frozen=True)
class ZarrPlanes:
    """Channels of an OME-Zarr image, in file order."""

    planes: tuple[Plane, ...]
    channel_names: tuple[str, ...]  # from the omero metadata; empty if they have none


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr group, or a file a zip of one."""
    if path.is_dir():
        return any((path / name).is_file() for name in _METADATA)
    return _root_in_zip(path) is not None


def open_zarr(path: Path, series: int | None = None) -> ZarrPlanes:
    """Open the image at `path`, in a collection the one of number `series`, from 0, or the first.

    Raises:
        SlideError: it is no OME-Zarr, damaged, or a stack in depth or time.
    """
    from confostain.io.readers.zarr_store import guarded_array

    with as_slide_error(path.name):
        group, metadata = image_group(path, series)
        image = metadata["multiscales"][0]
        array = group[image["datasets"][0]["path"]]
        axes = image_axes(image)
        channel_axis = _channel_axis(path.name, axes, array.shape)
        array = guarded_array(path.name, array)
        count = 1 if channel_axis is None else array.shape[channel_axis]
        labels = tuple(str(c.get("label", "")) for c in metadata.get("omero", {}).get("channels", []))
        pixel = pixel_size_of(path.name, image)
        planes = tuple(_plane(path.name, array, channel_axis, channel, pixel) for channel in range(count))
    return ZarrPlanes(planes, labels if len(labels) == count else ())


def image_group(path: Path, series: int | None = None) -> tuple[Any, dict[str, Any]]:
    """Group of an OME-Zarr image, or of one in a collection, and its metadata with `multiscales`.

    Raises:
        SlideError: there is no such image.
    """
    import zarr

    if path.is_dir():
        group: Any = zarr.open_group(str(path), mode="r")
    else:
        group = zarr.open_group(zarr.storage.ZipStore(path, mode="r"), path=_root_in_zip(path) or "", mode="r")
    if "bioformats2raw.layout" in _metadata(group):
        images = sorted(name for name, _ in group.groups() if name.isdigit())
        if str(series or 0) not in images:
            raise SlideError(f"{path.name}: no image {series}; expected --series {' or '.join(images)}")
        group = group[str(series or 0)]
    elif series:
        raise SlideError(f"{path.name}: no image {series}; it holds one image; leave --series out")
    metadata = _metadata(group)
    if not metadata.get("multiscales"):
        raise SlideError(
            f"{path.name}: no multiscales metadata; expected an OME-Zarr image (NGFF 0.1 to 0.5); "
            "give the folder of one image"
        )
    return group, metadata


def image_axes(image: Mapping[str, Any]) -> str:
    """Axes of an image, a letter of "tczyx" for each; "?" for others.

    Before NGFF 0.3 there are always these five, in 0.3 their names alone, since 0.4 names and types.
    """
    letters = ""
    for axis in image.get("axes", "tczyx"):
        name, kind = (axis, "") if isinstance(axis, str) else (str(axis.get("name", "")), str(axis.get("type", "")))
        if kind == "channel" or name.lower() in ("c", "channel", "channels"):
            letters += "c"
        else:
            letters += name.lower()[:1] if name.lower() in ("t", "time", "z", "y", "x") else "?"
    return letters


def pixel_size_of(name: str, image: Mapping[str, Any]) -> PixelSize | None:
    """Pixel size of level 0: product of the scales of the first dataset and of the image."""
    factors: dict[int, float | None] = {-2: 1.0, -1: 1.0}
    for part in (image["datasets"][0], image):
        for transform in part.get("coordinateTransformations", ()):
            if transform.get("type") == "scale":
                for place, factor in factors.items():
                    step = number(transform["scale"][place])
                    factors[place] = None if factor is None or step is None else factor * step
    axes = image.get("axes", ())
    units = {
        place: axes[place].get("unit") if len(axes) > 1 and isinstance(axes[place], dict) else None for place in factors
    }
    y, x = (microns(factor, units[place]) for place, factor in factors.items())
    return believed(name, x, y, "OME-Zarr")


def _root_in_zip(path: Path) -> str | None:
    """Path of the Zarr group in a zip file: that of its uppermost metadata; None where there is none."""
    if not (path.is_file() and zipfile.is_zipfile(path)):
        return None
    with zipfile.ZipFile(path) as archive:
        found = [name for name in archive.namelist() if name.rpartition("/")[2] in _METADATA]
    return min(found, key=lambda name: (name.count("/"), name)).rpartition("/")[0] if found else None


def _metadata(group: Any) -> dict[str, Any]:
    """OME part of a group's attributes: under "ome" since NGFF 0.5, at the top before."""
    attributes = dict(group.attrs)
    ome: dict[str, Any] = attributes.get("ome", attributes)
    return ome


def _channel_axis(name: str, axes: str, shape: tuple[int, ...]) -> int | None:
    """Position of the axis of channels; None where there is one plane only.

    Raises:
        SlideError: the axes are those of a stack in depth or time, or there are too many channels.
    """
    long = [place for place, n in enumerate(shape[:-2]) if n != 1]
    told = f"axes {axes} of {shape}"
    if len(axes) != len(shape) or axes[-2:] != "yx" or len(long) > 1:
        raise SlideError(
            f"{name}: {told}; expected one plane per channel, y and x last; export one plane or projection"
        )
    if not long:
        return None
    (place,) = long
    if axes[place] != "c" and shape[place] != 2:
        raise SlideError(f"{name}: {told}, a stack; expected one plane per channel; export one plane or projection")
    if shape[place] > MOST_CHANNELS:
        raise SlideError(f"{name}: {told}; expected two channels, reflectance and fluorescence")
    if axes[place] != "c":
        warn_of_pairs(name, axes[place].upper())
    return place


def _plane(name: str, array: Any, channel_axis: int | None, channel: int, pixel: PixelSize | None) -> Plane:
    size = Size(array.shape[-1], array.shape[-2])
    height, width = array.chunks[-2:]
    outer = tuple(channel if place == channel_axis else 0 for place in range(array.ndim - 2))
    stored = np.dtype(array.dtype)

    def decode(row: int, column: int) -> Pixels:
        y, x = row * height, column * width
        return np.asarray(array[(*outer, slice(y, y + height), slice(x, x + width))])

    source = Chunks(Size(width, height), cached_chunks(decode, height * width * stored.itemsize))
    label = f"{name} (channel {channel + 1})"
    converted, dtype = in_supported_type(label, source, stored, stored.itemsize * 8)
    notes = {"pixel size from": pixel.source} if pixel else {}
    return Plane(label, size, dtype, pixel.microns if pixel else None, converted, notes)
