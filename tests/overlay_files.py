"""Overlay files, as a program of somebody else would write them."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import zarr

Attributes = dict[str, object]


def point(x: float, y: float, name: str, measure: float) -> dict[str, object]:
    """A finding at a level-0 point."""
    properties = {"classification": {"name": name}, "measurements": {"Contrast": measure}}
    return {"type": "Feature", "geometry": {"type": "Point", "coordinates": [x, y]}, "properties": properties}


def write_features(path: Path, *features: object) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def write_map(
    path: Path,
    planes: npt.NDArray[np.generic],
    names: list[str],
    microns: float = 12.0,
    position: tuple[float, float] = (0, 0),
    **changed: object,
) -> Path:
    """OME-Zarr (NGFF 0.4) of planes (c, h, w) whose left upper pixel has its centre at `position`, (x, y) in um."""
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("0", data=planes, chunks=planes.shape, fill_value=0)
    transformations = [
        {"type": "scale", "scale": [1, microns, microns]},
        {"type": "translation", "translation": [0, position[1], position[0]]},
    ]
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    multiscale = {
        "version": "0.4",
        "axes": axes,
        "datasets": [{"path": "0", "coordinateTransformations": transformations}],
    }
    attributes = {"multiscales": [multiscale], "omero": {"channels": [{"label": name} for name in names]}}
    group.attrs.update(attributes | changed)
    return path
