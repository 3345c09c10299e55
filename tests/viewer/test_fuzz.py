"""The viewer under random requests: no 5xx, and nothing of the file system but the slides."""

import http.client
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import product

import httpx
import pytest
from fastapi import FastAPI

from confostain.viewer.app import create_app
from confostain.viewer.file_lock import lock_path
from confostain.viewer.guard import AccessRules
from confostain.viewer.library import Library
from http_fuzzing import fuzz

Serve = Callable[[FastAPI], AbstractContextManager[httpx.Client]]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(120)
def test_the_viewer_withstands_anything(library: Library, serve: Serve) -> None:
    app = create_app(library, AccessRules())
    (entry,) = library.entries.values()
    before = {path.name for path in entry.path.parent.iterdir()}
    known = {"slide": [entry.id], "layer": ["gareau", "reflectance"], "level": ["0", "1", "4", "5"],
             "column": ["0", "1"], "row": ["0"], "form": ["jpg", "png"]}  # fmt: skip
    with serve(app) as client:
        statuses = fuzz(app, client, known)
    assert 200 in statuses["GET /api/slides/{slide}/tiles/{layer}/{level}/{column}_{row}.{form}"]
    assert statuses["PUT /api/slides/{slide}/annotations"] & {200, 412, 422, 428}
    files = [entry.annotations.path, entry.viewed.path]
    written = {path.name for path in entry.path.parent.iterdir()} - before
    assert written <= {path.name for file in files for path in (file, lock_path(file))}


UPS = ["", "../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", "....//", "..;/", "%252e%252e%252f", "..%c0%af", "/", "%2f"]
SECRETS = ["etc/passwd", "app.py", "src/confostain/viewer/app.py", "DET%231.tif"]
PLACES = [
    "/static/{}",
    "/{}",
    "/api/slides/{}/annotations",
    "{slide}/tiles/{}/0/0_0.png",
    "{slide}/tiles/gareau/0/{}.png",
    "{slide}/thumbnail/{}.jpg",
    "{slide}/status/{}",
]


def test_no_path_leads_out(client: httpx.Client, slide_url: str) -> None:
    """Every way of writing `..` that has worked somewhere, in every place where a path or a name stands."""
    connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port)  # sends paths as they are
    for place, up, times, secret in product(PLACES, UPS, (1, 4), SECRETS):
        connection.request("GET", place.replace("{slide}", slide_url).replace("{}", up * times + secret))
        response = connection.getresponse()
        response.read()
        assert response.status in (307, 404, 422), (place, up, times, secret)
    connection.close()
