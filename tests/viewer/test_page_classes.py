"""Classes, painted areas, locks, import and export of annotations in a real browser."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from math import pi
from pathlib import Path

import httpx
import pytest

from annotated_slides import SCAN_MPP, Colleague, Feature, point, write_scan
from confostain.viewer.serving import OPENSEADRAGON
from headless_browser import WAIT, Reader, Server, chromium, needs_chromium, playwright

CLIPPER = OPENSEADRAGON.with_name("Engine.js")
pytestmark = [
    needs_chromium,
    pytest.mark.skipif(not (OPENSEADRAGON.exists() and CLIPPER.exists()), reason="installed without npm"),
]
MINE = {"metadata": {"author": "anna", "created": "2026-01-02T03:04:05Z"}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server("view", str(write_scan(tmp_path_factory.mktemp("slides") / "scan")), "--model", "gareau") as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def scan(server: Server) -> Iterator[Colleague]:
    (slide,) = httpx.get(f"{server.address}api/slides").json()
    colleague = Colleague(server.address, slide["id"])
    yield colleague
    colleague.write([])


@pytest.fixture
def reader(browser: "playwright.Browser", server: Server, scan: Colleague) -> Iterator[Reader]:
    """On the scan at 1 um per pixel, with the list of annotations open: level-0 pixels are 0.75 CSS pixels."""
    one = Reader(browser, server.address)
    one.slide = scan.url.split("/")[-2]
    yield one
    one.context.close()
    assert [problem for problem in one.problems if "Failed to load resource" not in problem] == []


def opened(reader: Reader) -> "playwright.Page":
    page = reader.open(f"#slide={reader.slide}&mode=single&layers=reflectance&x=450&y=350&mpp=1")
    page.keyboard.press("n")
    reader.until(lambda: page.locator("#saved").inner_text() == "saved")
    reader.settle()
    return page


def drag(page: "playwright.Page", *places: tuple[int, int]) -> None:
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


def rings(feature: Feature) -> int:
    kind, parts = feature["geometry"]["type"], feature["geometry"]["coordinates"]
    return len(parts) if kind == "Polygon" else sum(map(len, parts))


def area(feature: Feature) -> float:
    return feature["properties"]["measurements"]["Area µm^2"]


def test_a_new_annotation_has_the_chosen_class_the_author_and_the_time(reader: Reader, scan: Colleague) -> None:
    page = opened(reader)
    page.get_by_label("Your name").fill("anna")
    page.get_by_text("Classes", exact=True).click()
    page.get_by_label("Name of a new class").fill("Basal cell carcinoma")
    page.get_by_label("Colour of the new class").fill("#0a64c8")
    page.get_by_role("button", name="Add", exact=True).click()
    assert page.get_by_label("Class of new annotations").input_value() == "Basal cell carcinoma"
    page.keyboard.press("Escape")
    page.locator("#stage").focus()
    page.keyboard.press("p")
    page.mouse.click(300, 300)
    reader.until(scan.features)
    (feature,) = scan.features()
    assert feature["properties"]["classification"] == {"name": "Basal cell carcinoma", "color": [10, 100, 200]}
    assert feature["properties"]["metadata"]["author"] == "anna"
    assert feature["properties"]["metadata"]["created"].endswith("Z")
    page.get_by_role("combobox", name="Class of annotation 1").select_option("Stroma")
    reader.until(lambda: scan.features()[0]["properties"]["classification"]["name"] == "Stroma")
    assert scan.features()[0]["properties"]["metadata"]["changedBy"] == "anna"
    page.locator("#undo").click()
    reader.until(lambda: scan.features() == [feature])
    page.reload()
    page.keyboard.press("n")
    assert page.get_by_label("Your name").input_value() == "anna"
    assert "Basal cell carcinoma" in page.get_by_label("Class of new annotations").inner_text()


def test_without_a_name_there_is_no_author(reader: Reader, scan: Colleague) -> None:
    page = opened(reader)
    page.keyboard.press("p")
    page.mouse.click(300, 300)
    reader.until(scan.features)
    assert set(scan.features()[0]["properties"]["metadata"]) == {"kind", "created"}


STROKE = [(300, 300), (400, 300)]  # 100 um long, with the brush of 40 um


@pytest.mark.parametrize(
    ("strokes", "areas", "holes"),
    [
        ([("r", STROKE)], [100 * 40 + pi * 20**2], [1]),
        ([("r", STROKE), ("r", STROKE)], [100 * 40 + pi * 20**2], [1]),
        ([("r", STROKE), ("r", [(300, 500), (400, 500)])], [100 * 40 + pi * 20**2] * 2, [1, 1]),
        ([("r", STROKE), ("/", [(350, 200), (350, 400)])], [60 * 40 + pi * 20**2], [2]),
        ([("r", STROKE), ("/", STROKE)], [], []),
        ([("r", [(300, 300), (450, 300), (450, 450), (300, 450), (300, 300)])], [600 * 40 - 4 * 400 + pi * 400], [2]),
        ([(";", [(300, 300), (500, 400)])], [pi * 100 * 50], [1]),
        ([(";", [(300, 300), (500, 500)]), ("/", [(400, 400), (401, 400)])], [pi * (100**2 - 20**2) - 40], [2]),
    ],
    ids=["brush", "again", "two", "cut in two", "all erased", "ring", "ellipse", "hole in an ellipse"],
)  # fmt: skip
def test_painted_areas(
    reader: Reader,
    scan: Colleague,
    strokes: list[tuple[str, list[tuple[int, int]]]],
    areas: list[float],
    holes: list[int],
) -> None:
    page = opened(reader)
    for key, places in strokes:
        page.keyboard.press(key)
        before = page.evaluate("document.querySelector('#undo').disabled")
        drag(page, *places)
        reader.until(lambda before=before: not before or not page.locator("#undo").is_disabled())
    reader.until(lambda: page.locator("#saved").inner_text() == "saved")
    reader.until(lambda: [pytest.approx(one, rel=0.03) for one in areas] == [area(one) for one in scan.features()])
    assert [rings(one) for one in scan.features()] == holes
    for _ in strokes:
        page.keyboard.press("Control+z")
    reader.until(lambda: scan.features() == [])


@pytest.mark.parametrize(("key", "area_"), [("r", pi * 20**2), (";", 0)])
def test_areas_are_painted_without_a_mouse(reader: Reader, scan: Colleague, key: str, area_: float) -> None:
    page = opened(reader)
    page.keyboard.press(key)
    page.keyboard.press("Space")
    if key == ";":
        width, height = (page.locator("#stage").bounding_box()[side] for side in ("width", "height"))
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        reader.settle()
        page.keyboard.press("Space")
        area_ = pi * (0.1 * width) * (0.1 * height)
    reader.until(scan.features)
    assert area(scan.features()[0]) == pytest.approx(area_, rel=0.03)


def test_a_locked_annotation_is_not_changed(reader: Reader, scan: Colleague) -> None:
    scan.write([point("a", "kept", x=450, **MINE)])
    page = opened(reader)
    reader.until(lambda: page.locator(".note").count() == 1)
    page.locator(".note input").click()
    page.get_by_role("button", name="Lock").click()
    reader.until(lambda: scan.features()[0]["properties"].get("isLocked") is True)
    assert page.locator(".note input").get_attribute("readonly") is not None
    assert page.get_by_role("button", name="Delete annotation 1").is_disabled()
    locked = scan.features()
    page.locator("#stage").focus()
    page.keyboard.press("Delete")
    page.get_by_text("This annotation is locked.").wait_for(timeout=WAIT)
    x, y = (450 - 450) * SCAN_MPP, (300 - 350) * SCAN_MPP
    box = page.locator("#stage").bounding_box()
    place = (int(box["x"] + box["width"] / 2 + x), int(box["y"] + box["height"] / 2 + y))
    drag(page, place, (place[0] + 80, place[1]))
    page.wait_for_timeout(1500)
    assert scan.features() == locked
    page.get_by_role("button", name="Unlock").click()
    reader.until(lambda: "isLocked" not in scan.features()[0]["properties"])


@pytest.mark.parametrize("way", ["class", "one"])
def test_what_is_hidden_is_said_and_no_longer_seen(reader: Reader, scan: Colleague, way: str) -> None:
    red = {"name": "Tumor", "color": [200, 0, 0]}
    scan.write([point("a", "", classification=red, **MINE), point("b", "", x=600, classification=red, **MINE)])
    page = opened(reader)
    reader.until(lambda: page.locator(".note").count() == 2)
    before = reader.screen()
    if way == "class":
        page.get_by_text("Classes", exact=True).click()
        page.get_by_role("button", name="Hide Tumor").click()
    else:
        page.locator(".note input").first.click()
        page.locator(".note.selected").get_by_role("button", name="Hide").click()
    text = "2 annotations hidden" if way == "class" else "1 annotation hidden"
    page.locator(".pane-caption", has_text=text).wait_for(timeout=WAIT)
    reader.settle()
    reds = [((picture[..., 0] > 150) & (picture[..., 1] < 60)).sum() for picture in (before, reader.screen())]
    assert reds[1] < reds[0] * (0.1 if way == "class" else 0.9)
    assert all("hidden" not in json.dumps(one) for one in scan.features())


QUPATH = {
    "type": "Feature",
    "id": "b5b1f0a3-7d1c-4b1f-9f8e-0a8b5f6c7d8e",
    "geometry": {
        "type": "MultiPolygon",
        "coordinates": [
            [[[100, 100], [200, 100], [200, 200], [100, 200], [100, 100]]],
            [[[300, 100], [400, 100], [400, 200], [300, 100]]],
        ],
    },
    "properties": {
        "objectType": "annotation", "name": "Ärztin", "isLocked": True, "measurements": {"x": 1},
        "classification": {"names": ["Tumor", "Positive"], "color": [200, 1, 2]},
        "metadata": {"author": "ben", "key": "value"},
    },
}  # fmt: skip


@pytest.mark.parametrize("way", ["chosen", "dropped"])
@pytest.mark.parametrize(
    "wrapped", [lambda one: [one], lambda one: one, lambda one: {"type": "FeatureCollection", "features": [one]}]
)
def test_geojson_of_qupath_comes_in_and_goes_out_unchanged(
    reader: Reader, scan: Colleague, tmp_path: Path, wrapped: Callable[[Feature], object], way: str
) -> None:
    scan.write([point("a", "before", **MINE)])
    page = opened(reader)
    give(page, json.dumps(wrapped(QUPATH)), way, tmp_path)
    page.get_by_text("qupath.geojson: 1 new. Undo takes them back.").wait_for(timeout=WAIT)
    reader.until(lambda: scan.features()[1:] == [QUPATH])
    assert "Tumor: Positive · locked" in page.locator(".note small").nth(1).inner_text()
    page.locator("#stage").focus()
    assert json.loads(reader.download("g"))["features"][1] == QUPATH
    give(page, json.dumps(wrapped(QUPATH)), way, tmp_path)
    page.get_by_text("qupath.geojson: 0 new, 1 already here.").wait_for(timeout=WAIT)
    page.keyboard.press("Control+z")
    reader.until(lambda: [one["id"] for one in scan.features()] == ["a"])


def give(page: "playwright.Page", text: str, way: str, folder: Path) -> None:
    if way == "chosen":
        file = folder / "qupath.geojson"
        file.write_text(text)
        page.locator("#import-file").set_input_files(file)
    else:
        page.evaluate(
            """text => {
              const data = new DataTransfer();
              data.items.add(new File([text], "qupath.geojson"));
              const drop = new DragEvent("drop", { dataTransfer: data, bubbles: true });
              document.querySelector("#stage").dispatchEvent(drop);
            }""",
            text,
        )


FAR = QUPATH | {"geometry": {"type": "Point", "coordinates": [5000, 100]}}
CLASSLESS = QUPATH | {"properties": {"classification": {"name": 5}}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "qupath.geojson is no GeoJSON"),
        (json.dumps({"type": "Topology"}), "no annotations in GeoJSON (the whole.type"),
        (json.dumps([QUPATH, CLASSLESS]), "features.1.properties.classification.name: Input should be a valid string"),
        (json.dumps([QUPATH, FAR]), "1 of 2 annotations lie outside scan, 900"),
    ],
    ids=["no JSON", "no collection", "a class that is a number", "another slide"],
)
def test_a_file_that_is_refused_leaves_everything_as_it_is(
    reader: Reader, scan: Colleague, tmp_path: Path, text: str, said: str
) -> None:
    scan.write([point("a", "before", **MINE)])
    page = opened(reader)
    reader.until(lambda: page.locator(".note").count() == 1)
    give(page, text, "chosen", tmp_path)
    page.locator(".notice", has_text=said).wait_for(timeout=WAIT)
    assert page.locator(".note").count() == 1
    assert [one["id"] for one in scan.features()] == ["a"]


@pytest.mark.parametrize("mpp", [0.5, None])
def test_the_table_says_what_each_annotation_measures(reader: Reader, mpp: float | None) -> None:
    reader.page.goto(reader.address)
    named = point("a", '=cmd, "x"', **MINE)
    line = {
        "type": "Feature",
        "id": "l",
        "geometry": {"type": "LineString", "coordinates": [[0, 0], [30, 40]]},
        "properties": {},
    }
    script = "async ([slide, all]) => (await import('/static/csv.js')).toCsv(slide, all)"
    text = reader.page.evaluate(script, [{"name": "scan", "microns_per_pixel": mpp}, [named, line, QUPATH]])
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    factor, unit = (1, "px") if mpp is None else (mpp, "um")
    assert [row["unit"] for row in rows] == [unit] * 3
    assert [row["kind"] for row in rows] == ["point", "length", "region"]
    assert [row["length"] for row in rows] == ["", f"{50 * factor:g}", ""]
    assert [row["area"] for row in rows] == ["", "", f"{15000 * factor**2:g}"]
    assert [(row["x_px"], row["y_px"]) for row in rows] == [("300", "300"), ("15", "20"), ("250", "150")]
    assert (rows[0]["name"], rows[0]["author"], rows[0]["created"]) == ('\'=cmd, "x"', "anna", "2026-01-02T03:04:05Z")
    assert (rows[2]["class"], rows[2]["locked"]) == ("Tumor: Positive", "yes")


STAMPS = {
    "mine": {"changed": "2026-01-01T00:00:01Z", "changedBy": "anna"},
    "theirs": {"changed": "2026-01-01T00:00:02Z"},
}


@pytest.mark.parametrize(
    ("mine", "theirs", "conflict"),
    [
        ({"name": "new"}, {"classification": {"name": "Tumor"}}, False),
        ({"isLocked": True}, {"name": "new"}, False),
        ({"name": "one"}, {"name": "other"}, True),
    ],
)
def test_changes_at_different_times_are_merged(
    reader: Reader, mine: dict[str, object], theirs: dict[str, object], conflict: bool
) -> None:
    reader.page.goto(reader.address)
    before = point("a", "old", **MINE)
    sides = [
        before | {"properties": before["properties"] | change | {"metadata": MINE["metadata"] | STAMPS[side]}}
        for side, change in (("mine", mine), ("theirs", theirs))
    ]
    script = "async (sides) => (await import('/static/merge.js')).mergeFeature(...sides)"
    merged = reader.page.evaluate(script, [before, *sides])
    assert merged["conflict"] is conflict
    if not conflict:
        metadata = {"metadata": MINE["metadata"] | STAMPS["theirs"]}
        assert merged["feature"]["properties"] == before["properties"] | mine | theirs | metadata
