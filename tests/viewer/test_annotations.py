"""Annotations: kept as they came, complete or absent, never lost to somebody else's."""

import json
import os
from pathlib import Path

import httpx
import pytest

from confostain.viewer import annotations
from confostain.viewer.annotation_schema import MAX_FEATURES
from confostain.viewer.library import Library

QUPATH = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "id": "b5b1f0a3-7d1c-4b1f-9f8e-0a8b5f6c7d8e",
            "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [100.5, 0], [100.5, 80.25], [0, 0]]]},
            "properties": {
                "objectType": "annotation",
                "name": "margin at 3 o'clock \u2013 \u00e4",
                "classification": {"name": "Tumor", "color": [200, 0, 0]},
                "isLocked": False,
                "measurements": {"Area": 4.5},
                "metadata": {"ANNOTATION_DESCRIPTION": "x"},
            },
        },
        {"type": "Feature", "id": "2", "geometry": {"type": "Point", "coordinates": [5, 6]}, "properties": {}},
    ],
}


def known(client: httpx.Client, url: str) -> dict[str, str]:
    return {"If-Match": client.get(url).headers["etag"]}


@pytest.fixture
def url(slide_url: str) -> str:
    return f"{slide_url}/annotations"


@pytest.fixture
def file(library: Library) -> Path:
    (entry,) = library.entries.values()
    entry.annotations.path.unlink(missing_ok=True)
    return entry.annotations.path


def test_a_slide_without_annotations_has_none(client: httpx.Client, url: str, file: Path) -> None:
    assert client.get(url).json() == {"type": "FeatureCollection", "features": []}
    assert not file.exists()


def test_what_is_written_comes_back_and_lies_beside_the_slide(client: httpx.Client, url: str, file: Path) -> None:
    written = client.put(url, json=QUPATH, headers=known(client, url))
    assert written.status_code == 200
    back = client.get(url)
    assert back.json() == json.loads(file.read_text()) == QUPATH
    assert back.headers["etag"] == written.headers["etag"]
    assert [path.name for path in file.parent.iterdir() if "partial" in path.name] == []


def test_a_lost_update_is_refused(client: httpx.Client, url: str, file: Path) -> None:
    mine = yours = known(client, url)
    assert client.put(url, json=QUPATH, headers=mine).status_code == 200
    assert client.put(url, json={"type": "FeatureCollection", "features": []}, headers=yours).status_code == 412
    assert client.put(url, json=QUPATH).status_code == 428
    assert len(client.get(url).json()["features"]) == 2


def feature(geometry: object) -> dict[str, object]:
    return {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": geometry, "properties": {}}]}


def named(properties: dict[str, object]) -> dict[str, object]:
    point = {"type": "Point", "coordinates": [1, 2]}
    return {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": point, "properties": properties}]}


@pytest.mark.parametrize(
    "collection",
    [
        named({"name": None, "classification": {"names": ["Tumor", "Positive"], "color": [1, 2, 3]}, "more": [{}]}),
        feature({"type": "Point", "coordinates": [1, 2], "plane": {"c": -1, "z": 0, "t": 0}}),
        feature({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}),
        feature({"type": "Point", "coordinates": [1, 2]}) | {"name": "more"},
        {"type": "FeatureCollection", "features": [{**QUPATH["features"][1], "nucleusGeometry": None}]},
        {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": QUPATH["features"][1]["geometry"]}]},
    ],
    ids=["of a class", "of a geometry", "an open ring", "of the collection", "of a feature", "no properties"],
)
def test_what_other_programs_write_comes_back_whole(
    client: httpx.Client, url: str, file: Path, collection: dict[str, object]
) -> None:
    assert client.put(url, json=collection, headers=known(client, url)).status_code == 200
    assert client.get(url).json() == collection


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{",
        "[" * 100_000,
        '{"a":' * 100_000,
        json.dumps(feature({"type": "MultiPoint", "coordinates": [1] * 1_000_000})),
        json.dumps(named({"name": {"a": "b"}})),
        json.dumps(named({"name": "a" * 1001})),
        json.dumps(named({"classification": "Tumor"})),
        json.dumps(named({"classification": {"name": ["Tumor"]}})),
        json.dumps(named({"classification": {"name": "Tumor", "color": "red"}})),
        json.dumps(named({"classification": {"name": "Tumor", "color": [1, 2, 256]}})),
        json.dumps(named({"metadata": {"kind": 3}})),
        json.dumps(named({"metadata": {"centre": [1, 2], "twelve": "3,4"}})),
        json.dumps(feature({"type": "Point", "coordinates": ["1", "2"]})),
        json.dumps({"type": "FeatureCollection", "features": [{**QUPATH["features"][1], "id": {}}]}),
        json.dumps(feature(None)),
        json.dumps(feature({"type": "Point", "coordinates": [1]})),
        json.dumps(feature({"type": "Point", "coordinates": [1, "a"]})),
        json.dumps(feature({"type": "Point", "coordinates": [float("nan"), 0]})),
        json.dumps(feature({"type": "Point", "coordinates": [1e300, 0]})),
        json.dumps(feature({"type": "Circle", "coordinates": [1, 2]})),
        json.dumps(feature({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]})),
        json.dumps(feature({"type": "Polygon", "coordinates": []})),
        json.dumps({"type": "FeatureCollection", "features": QUPATH["features"] * (MAX_FEATURES // 2 + 1)}),
        json.dumps({"type": "FeatureCollection", "features": [], "nonsense": float("inf")}),
    ],
    ids=lambda body: body[:9] + body[75:140],
)
def test_what_is_no_geojson_is_refused(client: httpx.Client, url: str, file: Path, body: str) -> None:
    headers = known(client, url) | {"Content-Type": "application/geo+json"}
    assert client.put(url, content=body, headers=headers).status_code in (400, 422)
    assert not file.exists()


def test_a_foreign_file_of_that_name_is_neither_read_nor_replaced(client: httpx.Client, url: str, file: Path) -> None:
    geometry = '{"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": null, "properties": {}}]}'
    for content in ("{", "[]", '{"type": "Topology"}', geometry, "[" * 1000, json.dumps(named({"name": {}}))):
        file.write_text(content)
        answer = client.get(url)
        assert answer.status_code == 409
        assert file.name in answer.json()["detail"]
        assert client.put(url, json=QUPATH, headers={"If-Match": "x"}).status_code == 409
        assert file.read_text() == content
    file.unlink()


def test_a_file_that_a_reader_cannot_take_is_said(
    client: httpx.Client, url: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annotations, "MAX_BYTES", 1000)
    file.write_bytes(b" " * 1001)
    assert "larger than" in client.get(url).json()["detail"]
    file.unlink()
    file.mkdir()
    assert "no regular file" in client.get(url).json()["detail"]
    file.rmdir()


@pytest.mark.parametrize("text", ["{}", "\ufeff{}"], ids=["plain", "with a byte order mark"])
def test_a_file_of_another_program_comes_as_it_is(client: httpx.Client, url: str, file: Path, text: str) -> None:
    text = text.replace("{}", json.dumps(QUPATH, ensure_ascii=False, indent=1))
    file.write_text(text, encoding="utf-8")
    assert client.get(url).content == text.encode()
    file.unlink()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_cannot_be_written_is_said(client: httpx.Client, url: str, file: Path) -> None:
    mode = file.parent.stat().st_mode
    file.parent.chmod(0o500)
    try:
        assert client.put(url, json=QUPATH, headers=known(client, url)).status_code == 409
    finally:
        file.parent.chmod(mode)
