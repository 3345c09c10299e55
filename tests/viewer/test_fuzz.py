"""Whatever is sent to the documented interface: no 5xx, nothing of the file system but the slides."""

import http.client
import os
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import product
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from confostain.study.app import create_study_app
from confostain.study.protocol import Arm, Field, Protocol, Question, Session
from confostain.viewer.app import create_app
from confostain.viewer.library import Library

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its dependencies' own affairs
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis comes with the extra `dev`")

Serve = Callable[[FastAPI], AbstractContextManager[httpx.Client]]
EXAMPLES = int(os.environ.get("CONFOSTAIN_FUZZ", "30"))  # of each operation
ENDLESS = "/api/events"  # a stream of events


def fuzz(
    app: FastAPI, client: httpx.Client, known: dict[str, list[str]], examples: int = EXAMPLES
) -> dict[str, set[int]]:
    """Send what fits the schema, and what does not; parameters named in `known` often get one of those values."""
    statuses: dict[str, set[int]] = {}
    for result in schemathesis.openapi.from_dict(app.openapi()).get_all_operations():
        operation = result.ok()
        if operation.path == ENDLESS:
            continue
        modes = schemathesis.GenerationMode
        cases = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in (modes.POSITIVE, modes.NEGATIVE)))

        statuses[f"{operation.method.upper()} {operation.path}"] = _sent(cases, client, known)
    return statuses


def _sent(cases: st.SearchStrategy, client: httpx.Client, known: dict[str, list[str]]) -> set[int]:
    statuses: set[int] = set()

    @settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True,
              phases=[Phase.generate], suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(cases, st.data())
    def send(case, data):  # type: ignore[no-untyped-def]
        for name in case.path_parameters or {}:
            if name in known and data.draw(st.integers(0, 4)):
                case.path_parameters[name] = data.draw(st.sampled_from(known[name]))
        response = case.call(base_url=str(client.base_url))
        assert response.status_code < 500, (case, response.status_code)
        assert b"root:" not in response.content
        statuses.add(response.status_code)

    send()
    return statuses


@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(120)
def test_the_viewer_withstands_anything(library: Library, serve: Serve) -> None:
    app = create_app(library)
    (entry,) = library.entries.values()
    before = {path.name for path in entry.path.parent.iterdir()}
    known = {"slide": [entry.id], "layer": ["gareau", "reflectance"], "level": ["0", "1", "4", "5"],
             "column": ["0", "1"], "row": ["0"], "form": ["jpg", "png"]}  # fmt: skip
    with serve(app) as client:
        statuses = fuzz(app, client, known)
    assert 200 in statuses["GET /api/slides/{slide}/tiles/{layer}/{level}/{column}_{row}.{form}"]
    assert statuses["PUT /api/slides/{slide}/annotations"] & {200, 412, 422, 428}
    assert {path.name for path in entry.path.parent.iterdir()} - before <= {entry.annotations.path.name}


@pytest.mark.filterwarnings("ignore")
def test_the_study_withstands_anything(serve: Serve, tmp_path: Path) -> None:
    protocol = Protocol(
        title="x", arms=[Arm(name="a", histology="x")], questions=[Question(id="q", text="?", choices=["y", "n"])]
    )
    fields = [Field(f"{n:020d}", "a", 0, 0, b"png") for n in range(3)]
    app = create_study_app(Session(protocol, fields, "anna", tmp_path / "answers.csv"))
    with serve(app) as client:
        statuses = fuzz(app, client, {"id": [field.id for field in fields]})
    assert 200 in statuses["GET /api/study/images/{id}.png"]
    assert {path.name for path in tmp_path.iterdir()} <= {"answers.csv"}


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
