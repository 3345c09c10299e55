"""Reader of overlay maps (OME-Zarr): a plane of values or labels for each channel, and its place on a slide in um."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from confostain.errors import SlideError
from confostain.io.readers.pixel_size import SQUARE, microns, number
from confostain.io.readers.plane import MOST_CHANNELS, as_slide_error
from confostain.io.readers.zarr import image_axes, image_group

MOST_SIDE = 2048  # px: the finest level of at most this width and height is shown
MOST_LABELS = 255
ROUNDING = 1e-3  # by which a value may lie outside of 0 to 1


@dataclass(frozen=True)
class MapPlane:
    """One channel of an overlay map.

    Attributes:
        name: of the channel.
        classes: of a plane of labels, {label: (name, (red, green, blue))}; None for values from 0 to 1.
        size: (width, height) in px.
        microns_per_pixel: width and height of a pixel in um.
        position_um: centre of the left upper pixel, (x, y) in um from the centre of the slide's.
    """

    name: str
    classes: Mapping[int, tuple[str, tuple[int, int, int]]] | None
    size: tuple[int, int]
    microns_per_pixel: float
    position_um: tuple[float, float]


def map_planes(path: Path) -> list[MapPlane]:
    """Channels of the overlay map at `path`; reads no pixel.

    Raises:
        SlideError: it is no OME-Zarr image; its channels have no names; it has no place in um, or no level small
            enough.
    """
    with as_slide_error(path.name):
        array, dataset, metadata, attributes = _level(path)
        image = metadata["multiscales"][0]
        scale, x, y = _place(path.name, image, dataset)
        classes = _classes(attributes) if "image-label" in attributes else None
        if classes is None and array.dtype.kind != "f":
            raise SlideError(
                f"{path.name}: {array.dtype} without `image-label`; expected values from 0 to 1 as floating-point"
                " numbers, or labels; save it as one of these"
            )
        size = (array.shape[-1], array.shape[-2])
        names = _names(path.name, metadata, _channels(path.name, image_axes(image), array.shape))
        return [MapPlane(name, classes, size, scale, (x, y)) for name in names]


def read_map(path: Path, channel: int) -> npt.NDArray[np.uint8]:
    """Pixels of a channel of an overlay map, uint8 (h, w, 2): value * 255 or label, and 255 where there is one, else 0.

    A value of NaN and the label 0 mean that there is none.

    Raises:
        SlideError: as `map_planes`; the file is damaged, or holds values outside of 0 to 1 or labels above 255.
    """
    from confostain.io.readers.zarr_store import guarded_array

    with as_slide_error(path.name):
        array, _, metadata, attributes = _level(path)
        axes = image_axes(metadata["multiscales"][0])
        if not 0 <= channel < _channels(path.name, axes, array.shape):
            raise SlideError(f"{path.name}: no channel {channel}; give the number of one, from 0")
        array = guarded_array(path.name, array)
        plane = np.asarray(array[tuple(channel if axis == "c" else 0 for axis in axes[:-2])])
        is_label = "image-label" in attributes
        least, most = (0, MOST_LABELS) if is_label else (-ROUNDING, 1 + ROUNDING)
        known = plane > 0 if is_label else ~np.isnan(plane)
        found = plane[known]
        if found.size and not (found.min() >= least and found.max() <= most):
            raise SlideError(
                f"{path.name}: values from {found.min():g} to {found.max():g} in channel {channel}; expected 0 to"
                f" {most:.0f}; scale them"
            )
        levels = plane if is_label else np.rint(np.clip(np.nan_to_num(plane), 0, 1) * 255)
        return np.stack([levels.astype(np.uint8), known.astype(np.uint8) * np.uint8(255)], axis=-1)


def _level(path: Path) -> tuple[Any, Mapping[str, Any], dict[str, Any], dict[str, Any]]:
    """Array and dataset of the finest level that may be shown, metadata of the image, and of its labels."""
    group, metadata = image_group(path)
    attributes = dict(group.attrs)
    for dataset in metadata["multiscales"][0]["datasets"]:
        array = group[dataset["path"]]
        if max(array.shape[-2:]) <= MOST_SIDE:
            return array, dataset, metadata, attributes.get("ome", attributes)
    raise SlideError(
        f"{path.name}: {array.shape[-1]} x {array.shape[-2]} px; expected a level of at most {MOST_SIDE} x {MOST_SIDE}"
        " px; add a coarser one"
    )


def _channels(name: str, axes: str, shape: tuple[int, ...]) -> int:
    lengths = dict(zip(axes, shape, strict=True)) if len(axes) == len(shape) else {}
    if axes[-2:] != "yx" or any(n != 1 for axis, n in lengths.items() if axis not in "cyx") or not lengths:
        raise SlideError(f"{name}: axes {axes} of {shape}; expected channels, y and x; export one plane per channel")
    if lengths.get("c", 1) > MOST_CHANNELS:
        raise SlideError(f"{name}: {lengths['c']} channels; expected at most {MOST_CHANNELS}; save several maps")
    return int(lengths.get("c", 1))


def _names(name: str, metadata: Mapping[str, Any], count: int) -> list[str]:
    names = [str(channel.get("label", ""))[:80] for channel in metadata.get("omero", {}).get("channels", [])]
    if count == 1 and not names:
        names = [str(metadata["multiscales"][0].get("name", ""))[:80]]
    if len(names) != count or not all(names):
        raise SlideError(
            f"{name}: {count} channels and {len(names)} names; expected a name of each in `omero`; add them"
        )
    return names


def _place(name: str, image: Mapping[str, Any], dataset: Mapping[str, Any]) -> tuple[float, float, float]:
    """Pixel size, and centre of the left upper pixel (x, y), in um."""
    axes = image.get("axes", ())
    lengths = []
    for place in (-1, -2):
        scale, position = 0.0, 0.0
        for part in (dataset, image):
            for transform in part.get("coordinateTransformations", ()):
                if transform.get("type") == "scale":
                    factor = number(transform["scale"][place]) or 0.0
                    scale, position = (scale or 1.0) * factor, position * factor
                elif transform.get("type") == "translation":
                    position += number(transform["translation"][place]) or 0.0
        unit = axes[place].get("unit") if len(axes) > 1 and isinstance(axes[place], dict) else None
        lengths.append((microns(scale, unit), microns(position, unit)))
    (width, x), (height, y) = lengths
    if not width or not height or x is None or y is None or not all(map(math.isfinite, (width, height, x, y))):
        raise SlideError(f"{name}: no pixel size; expected a scale and a unit of length; add them")
    if width < 0 or abs(width / height - 1) > SQUARE:
        raise SlideError(f"{name}: pixels of {width:g} x {height:g} um; expected square ones; resample it")
    return width, x, y


def _classes(attributes: Mapping[str, Any]) -> dict[int, tuple[str, tuple[int, int, int]]]:
    """Names and colours of labels, as far as they are said."""
    label = attributes["image-label"]
    colours = {one["label-value"]: tuple(map(int, one["rgba"][:3])) for one in label.get("colors", ()) if "rgba" in one}
    found = {}
    for one in label.get("properties", ()):
        value = int(one["label-value"])
        said = str(one.get("name") or one.get("class") or f"label {value}")[:80]
        red, green, blue = colours.get(value, _colour(value))
        found[value] = (said, (red, green, blue))
    return found


def _colour(value: int) -> tuple[int, int, int]:
    """One of some colours that H&E has not."""
    return ((255, 221, 0), (0, 200, 255), (0, 170, 90), (255, 130, 0), (255, 255, 255))[value % 5]
