"""Overlays: which file belongs to which slide, where it lies on it, and that no file can do harm."""

import io
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from confostain.viewer.isolated_process import IsolatedProcess
from confostain.viewer.library import Library
from confostain.viewer.overlays import Overlays
from overlay_files import point, write_features, write_map

MPP = 0.75
VALUES = np.array([[[0.0, 0.5], [1.0, 0.25]]], np.float32)


@pytest.fixture
def beside(library: Library, tmp_path: Path) -> Path:
    """Folder beside the slide `scan`."""
    (entry,) = library.entries.values()
    entry.overlays = Overlays(tmp_path / "scan", [], library._overlay_process)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "others", "word"),
    [
        ("scan.overlay.geojson", [], "overlay"),
        ("scan.maps.ome.zarr", [], "maps"),
        ("scan.audit.overlay.geojson", [], "audit"),
        ("scan.audit.maps.ome.zarr", [], "audit"),
        ("scan.audit.overlay.geojson", ["scan.audit"], None),
        ("scan2.overlay.geojson", [], None),
        ("overlay.geojson", [], None),
        ("maps.ome.zarr", [], None),
        ("scan.a.b.overlay.geojson", [], None),
        ("scan.annotations.geojson", [], None),
        ("scan.viewed.geojson", [], None),
    ],
)
def test_an_overlay_has_the_name_of_its_slide(tmp_path: Path, name: str, others: list[str], word: str | None) -> None:
    for other in [name, *others]:
        (tmp_path / other).touch()
    found = Overlays(tmp_path / "scan", [], IsolatedProcess(1, 1)).found()
    assert [one.name for one in found] == ([] if word is None else [word])


def test_given_overlays_come_first_and_once(tmp_path: Path) -> None:
    given = [write_features(tmp_path / name) for name in ("other.geojson", "scan.overlay.geojson")]
    found = Overlays(tmp_path / "scan", given, IsolatedProcess(1, 1)).found()
    assert [(one.name, one.is_given) for one in found] == [("other.geojson", True), ("scan.overlay.geojson", True)]


@pytest.mark.parametrize(("microns", "position"), [(12.0, (0.0, 0.0)), (0.75, (0.0, 0.0)), (3.0, (100.0, 250.0))])
def test_a_map_lies_where_its_um_say(
    client: httpx.Client, slide_url: str, beside: Path, microns: float, position: tuple[float, float]
) -> None:
    write_map(beside / "scan.maps.ome.zarr", VALUES, ["doubt"], microns, position)
    (overlay,) = client.get(f"{slide_url}/overlays").json()
    (channel,) = overlay["channels"]
    centre = [channel[axis] + channel["scale"] / 2 for axis in "xy"]  # of the first pixel, in level-0 pixels
    assert channel["scale"] == pytest.approx(microns / MPP)
    assert centre == pytest.approx([um / MPP + 0.5 for um in position])
    picture = client.get(f"{slide_url}/overlays/{overlay['id']}/0.png")
    grey, alpha = np.moveaxis(np.asarray(Image.open(io.BytesIO(picture.content))), -1, 0)
    np.testing.assert_array_equal(grey, [[0, 128], [255, 64]])
    assert (alpha == 255).all()


def test_features_come_as_they_are(client: httpx.Client, slide_url: str, beside: Path) -> None:
    path = write_features(beside / "scan.audit.overlay.geojson", point(10, 20, "missing", 0.5))
    (overlay,) = client.get(f"{slide_url}/overlays").json()
    assert (overlay["name"], overlay["kind"], overlay["problem"]) == ("audit", "features", None)
    answer = client.get(f"{slide_url}/overlays/{overlay['id']}/features")
    assert answer.content == path.read_bytes()
    assert client.get(f"{slide_url}/overlays/{overlay['id']}/0.png").status_code == 404
    assert client.get(f"{slide_url}/overlays/nothing/features").status_code == 404


def linked(path: Path) -> None:
    write_features(path.with_name("elsewhere.json"))
    path.symlink_to("elsewhere.json")


@pytest.mark.parametrize(
    ("name", "write", "reason"),
    [
        ("scan.overlay.geojson", lambda path: path.write_text("hello"), "no GeoJSON FeatureCollection"),
        ("scan.overlay.geojson", lambda path: path.write_text('{"type": "Point"}'), "no GeoJSON FeatureCollection"),
        ("scan.overlay.geojson", lambda path: write_features(path, {"type": "Feature"}), "features.0.geometry"),
        ("scan.overlay.geojson", lambda path: path.write_bytes(b" " * (9 << 20)), "larger than 8 MB"),
        ("scan.overlay.geojson", linked, "holds a link"),
        ("scan.maps.ome.zarr", lambda path: path.mkdir(), "cannot be read"),
        ("scan.maps.ome.zarr", lambda path: write_map(path, VALUES * 5, ["a"]), "values from 0 to 5"),
        ("scan.maps.ome.zarr", lambda path: write_map(path, VALUES, ["a"], 12, (9e6, 0)), "beside the slide of"),
        ("scan.maps.ome.zarr", lambda path: write_map(path, VALUES, ["a"], 12, (-30, 0)), "beside the slide of"),
    ],
    ids=["text", "a point", "no geometry", "large", "link", "empty", "values", "far away", "left of it"],
)
def test_a_problem_is_told_in_one_line(
    client: httpx.Client, slide_url: str, beside: Path, name: str, write: object, reason: str
) -> None:
    assert callable(write)
    write(beside / name)
    (overlay,) = client.get(f"{slide_url}/overlays").json()
    told = overlay["problem"]
    if told is None:
        part = "0.png" if overlay["kind"] == "map" else "features"
        answer = client.get(f"{slide_url}/overlays/{overlay['id']}/{part}")
        assert answer.status_code == 409
        told = answer.json()["detail"]
    assert reason in told
    assert "\n" not in told
    assert "Traceback" not in told
