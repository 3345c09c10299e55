"""Files of the viewed area: beside the slide as annotations are, held against the slide's own tissue mask."""

import io
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from confostain.slide import Slide
from confostain.viewer.library import Library

VIEW = {
    "type": "Feature",
    "id": "1",
    "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [9, 0], [9, 9], [0, 0]]]},
    "properties": {"view": {"seconds": 2}},
}


def collection(*features: object) -> dict[str, object]:
    return {"type": "FeatureCollection", "features": list(features)}


@pytest.fixture
def file(library: Library) -> Path:
    (entry,) = library.entries.values()
    for path in (entry.viewed.path, entry.annotations.path):
        path.unlink(missing_ok=True)
    return entry.viewed.path


def test_the_tissue_mask_is_the_slides(client: httpx.Client, slide_url: str, large_slide: Slide) -> None:
    answer = client.get(f"{slide_url}/tissue.png")
    mask = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert int(answer.headers["x-confostain-cell"]) == large_slide.tissue.cell
    np.testing.assert_array_equal(mask, large_slide.tissue.cells * np.uint8(255))
    assert 0 < mask.mean() < 255


def test_views_are_kept_beside_the_slide_and_apart_from_annotations(
    client: httpx.Client, slide_url: str, file: Path
) -> None:
    url = f"{slide_url}/viewed"
    first = client.get(url).headers["etag"]
    assert client.put(url, json=collection(VIEW), headers={"If-Match": first}).status_code == 200
    assert file.name == "scan.viewed.geojson"
    assert client.get(url).json() == collection(VIEW)
    assert client.get(f"{slide_url}/annotations").json() == collection()
    assert client.put(url, json=collection(), headers={"If-Match": first}).status_code == 412


@pytest.mark.parametrize(
    ("body", "status"),
    [(collection(VIEW | {"geometry": None}), 422), ({"type": "Point"}, 422), ([VIEW], 422), (collection(), 200)],
)
def test_anything_but_features_is_refused(
    client: httpx.Client, slide_url: str, file: Path, body: object, status: int
) -> None:
    url = f"{slide_url}/viewed"
    known = {"If-Match": client.get(url).headers["etag"]}
    assert client.put(url, json=body).status_code == 428
    assert client.put(url, json=body, headers=known).status_code == status
    assert file.exists() == (status == 200)
