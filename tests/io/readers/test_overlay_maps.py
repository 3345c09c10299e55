"""Overlay maps: values and labels as they were written, in their place; anything else is refused in one line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from confostain.errors import SlideError
from confostain.io.readers import overlay_maps
from confostain.io.readers.overlay_maps import map_planes, read_map
from overlay_files import write_map

VALUES = np.array([[[0, 0.5, 1], [np.nan, 0.25, 0.1]], [[1, 1, 1], [0, 0, 0]]], np.float32)
LABELS = np.array([[[0, 1, 7], [2, 0, 255]]], np.uint16)
CLASSES = {"image-label": {"colors": [{"label-value": 1, "rgba": [9, 8, 7, 255]}],
                           "properties": [{"label-value": 1, "name": "blur"}, {"label-value": 2}]}}  # fmt: skip


@pytest.mark.parametrize(("channel", "expected"), [(0, [[0, 128, 255], [0, 64, 26]]), (1, [[255] * 3, [0] * 3])])
def test_values_from_0_to_1(tmp_path: Path, channel: int, expected: list[list[int]]) -> None:
    path = write_map(tmp_path / "a.maps.ome.zarr", VALUES, ["doubt", "missing"], 12, (30, 50))
    planes = map_planes(path)
    assert [plane.name for plane in planes] == ["doubt", "missing"]
    assert {(plane.size, plane.microns_per_pixel, plane.position_um) for plane in planes} == {((3, 2), 12, (30, 50))}
    grey, alpha = np.moveaxis(read_map(path, channel), -1, 0)
    np.testing.assert_array_equal(grey, expected)
    np.testing.assert_array_equal(alpha, np.where(np.isnan(VALUES[channel]), 0, 255))


def test_labels_with_names_and_colours(tmp_path: Path) -> None:
    path = write_map(tmp_path / "a.maps.ome.zarr", LABELS, ["faults"], **CLASSES)
    (plane,) = map_planes(path)
    assert plane.classes is not None
    assert plane.classes[1] == ("blur", (9, 8, 7))
    assert plane.classes[2][0] == "label 2"
    pixels = read_map(path, 0)
    np.testing.assert_array_equal(pixels[..., 0], LABELS[0])
    np.testing.assert_array_equal(pixels[..., 1], (LABELS[0] > 0) * 255)


def test_of_a_pyramid_the_finest_level_that_is_small_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_map(tmp_path / "a.maps.ome.zarr", VALUES, ["doubt", "missing"])
    monkeypatch.setattr(overlay_maps, "MOST_SIDE", 2)
    with pytest.raises(SlideError, match="3 x 2 px; expected a level of at most 2 x 2"):
        map_planes(path)
    monkeypatch.setattr(overlay_maps, "MOST_SIDE", 3)
    assert len(map_planes(path)) == 2


def no_unit(path: Path) -> Path:
    axes = [{"name": "c", "type": "channel"}, {"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    transformations = [{"type": "scale", "scale": [1, 1, 1]}]
    dataset = {"path": "0", "coordinateTransformations": transformations}
    return write_map(path, VALUES, ["a", "b"], multiscales=[{"axes": axes, "datasets": [dataset]}])


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda path: write_map(path, VALUES * 3, ["a", "b"]), "values from 0 to 3 in channel 0; expected 0 to 1"),
        (lambda path: write_map(path, VALUES - 1, ["a", "b"]), "values from -1 to 0 in channel 0"),
        (lambda path: write_map(path, LABELS + 9, ["a"], **CLASSES), "values from 9 to 264"),
        (lambda path: write_map(path, LABELS, ["a"]), "uint16 without `image-label`"),
        (lambda path: write_map(path, VALUES, ["a"]), "2 channels and 1 names"),
        (lambda path: write_map(path, VALUES, ["a", ""]), "expected a name of each"),
        (lambda path: write_map(path, VALUES, ["a", "b"], multiscales=[]), "no multiscales"),
        (no_unit, "no pixel size; expected a scale and a unit"),
        (lambda path: write_map(path, VALUES, ["a", "b"], microns=float("nan")), "no pixel size"),
    ],
    ids=[
        "above 1",
        "below 0",
        "label above 255",
        "no labels",
        "too few names",
        "no name",
        "no image",
        "no unit",
        "NaN",
    ],
)
def test_anything_else_is_refused_in_one_line(tmp_path: Path, write: Callable[[Path], Path], reason: str) -> None:
    path = write(tmp_path / "a.maps.ome.zarr")
    with pytest.raises(SlideError, match=reason) as caught:
        (map_planes(path), read_map(path, 0))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("a.maps.ome.zarr: ")
