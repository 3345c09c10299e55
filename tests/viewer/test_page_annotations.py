"""Annotations in a real browser: each slide has its own, and nothing that somebody drew or typed is lost."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from annotated_slides import SCAN_MPP, SECTION_MPP, Colleague, Feature, point, write_scan, write_section
from confostain.viewer.serving import OPENSEADRAGON
from headless_browser import WAIT, Reader, Server, chromium, needs_chromium, playwright

pytestmark = [
    needs_chromium,
    pytest.mark.skipif(not OPENSEADRAGON.exists(), reason="installed without npm: no OpenSeadragon"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("slides")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    scan, section = write_scan(folder / "scan"), write_section(folder / "section.tif")
    with Server("view", str(scan), "--histology", str(section), "--model", "gareau") as server:
        yield server


@pytest.fixture(scope="module")
def ids(server: Server) -> dict[str, str]:
    """Of the scan and the section, by kind."""
    return {slide["kind"]: slide["id"] for slide in httpx.get(f"{server.address}api/slides").json()}


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def scan(server: Server, ids: dict[str, str]) -> Iterator[Colleague]:
    """The annotations of the scan; those of both slides are empty again afterwards."""
    yield Colleague(server.address, ids["confocal"])
    for slide in ids.values():
        Colleague(server.address, slide).write([])


@pytest.fixture
def section(server: Server, ids: dict[str, str], scan: Colleague) -> Colleague:
    return Colleague(server.address, ids["histology"])


@pytest.fixture
def reader(browser: "playwright.Browser", server: Server, scan: Colleague) -> Iterator[Reader]:
    one = Reader(browser, server.address)
    yield one
    one.page.unroute_all(behavior="ignoreErrors")
    one.context.close()
    assert [problem for problem in one.problems if "Failed to load resource" not in problem] == []


def of_scan(ids: dict[str, str]) -> str:
    return f"#slide={ids['confocal']}&mode=single&layers=reflectance&x=450&y=350&mpp=1"


def listed(reader: Reader) -> list[str]:
    """Names in the list of annotations."""
    return [row.input_value() for row in reader.page.locator(".note input").all()]


def open_list(reader: Reader) -> None:
    reader.page.locator("#notes-toggle").click()


@pytest.mark.parametrize(
    ("mode", "panes", "x", "owner"),
    [
        ("side", ("confocal", "histology"), 800, "histology"),
        ("side", ("confocal", "histology"), 200, "confocal"),
        ("curtain", ("histology", "confocal"), 300, "histology"),
        ("curtain", ("histology", "confocal"), 700, "confocal"),
    ],
)
def test_a_length_belongs_to_the_slide_that_it_is_drawn_on(
    reader: Reader, ids: dict[str, str], server: Server, mode: str, panes: tuple[str, str], x: int, owner: str
) -> None:
    layers = {"confocal": "reflectance", "histology": "histology"}
    shown = ",".join(f"{ids[kind]}:{layers[kind]}" for kind in panes)
    page = reader.open(f"#slide={ids['confocal']}&mode={mode}&layers={shown}&x=450&y=350&mpp=1")
    reader.until(lambda: page.locator(".pane").count() == 2)
    reader.settle()
    page.keyboard.press("m")
    page.mouse.click(x, 300)
    page.mouse.click(x + 100, 300)
    page.keyboard.press("Enter")
    (other,) = set(ids) - {owner}
    mine, others = (Colleague(server.address, ids[kind]) for kind in (owner, other))
    reader.until(mine.features)
    ((feature,), rest) = mine.features(), others.features()
    (start, end) = feature["geometry"]["coordinates"]
    assert rest == []
    assert feature["properties"]["measurements"]["Length µm"] == pytest.approx(100, rel=0.01)
    pixels = 100 / (SCAN_MPP if owner == "confocal" else SECTION_MPP)
    assert end[0] - start[0] == pytest.approx(pixels, rel=0.01)
    open_list(reader)
    assert page.locator(".note output").all_inner_texts() in (["100 µm"], ["99.9 µm"], ["100.0 µm"])
    assert page.locator("#note-slide").inner_text() == {"confocal": "scan", "histology": "section"}[owner]


def test_a_path_ends_on_the_slide_that_it_was_begun_on(
    reader: Reader, ids: dict[str, str], scan: Colleague, section: Colleague
) -> None:
    shown = f"reflectance,{ids['histology']}:histology"
    page = reader.open(f"#slide={ids['confocal']}&mode=side&layers={shown}&x=450&y=350&mpp=1")
    reader.until(lambda: page.locator(".pane").count() == 2)
    page.keyboard.press("m")
    page.mouse.click(200, 300)
    page.mouse.click(800, 300)
    page.get_by_text("This was begun on the slide scan; this one is section.").wait_for(timeout=WAIT)
    page.mouse.click(300, 300)
    page.keyboard.press("Enter")
    reader.until(scan.features)
    assert len(scan.features()[0]["geometry"]["coordinates"]) == 2
    assert section.features() == []


@pytest.mark.parametrize(
    ("corners", "removed", "area"),
    [
        ([(400, 300), (600, 500), (600, 300), (400, 500)], 1, 20_000),
        ([(400, 300), (600, 300), (600, 500), (500, 300), (400, 500)], 2, 20_000),
        ([(400, 300), (600, 300), (600, 500), (500, 200)], 1, 20_000),
    ],
    ids=["crossing", "touching itself", "crossing its first edge"],
)
def test_a_region_that_crosses_itself_is_refused(
    reader: Reader, ids: dict[str, str], scan: Colleague, corners: list[tuple[int, int]], removed: int, area: float
) -> None:
    page = reader.open(of_scan(ids))
    page.keyboard.press("a")
    for corner in corners:
        page.mouse.click(*corner)
    page.keyboard.press("Enter")
    page.get_by_text("The outline touches or crosses itself, so that it has no area.").wait_for(timeout=WAIT)
    for _ in range(removed):
        page.keyboard.press("Backspace")
    page.keyboard.press("Enter")
    reader.until(scan.features)
    (feature,) = scan.features()
    assert feature["properties"]["measurements"]["Area µm^2"] == pytest.approx(area, rel=0.02)


def test_a_corner_cannot_be_dragged_across_the_outline(reader: Reader, ids: dict[str, str], scan: Colleague) -> None:
    page = reader.open(of_scan(ids))
    page.keyboard.press("a")
    for corner in ((400, 300), (600, 300), (600, 500), (400, 500)):
        page.mouse.click(*corner)
    page.keyboard.press("Enter")
    page.keyboard.press("v")
    reader.until(scan.features)
    page.mouse.move(400, 300)
    page.mouse.down()
    page.mouse.move(700, 400, steps=2)
    page.mouse.up()
    page.get_by_text("The corner stays where it last did not.").wait_for(timeout=WAIT)
    ring = scan.features()[0]["geometry"]["coordinates"][0][:-1]
    assert page.evaluate("async (ring) => (await import('/static/geometry.js')).crossesItself(ring)", ring) is False


SQUARE = [[0, 0], [200, 0], [200, 100], [0, 100], [0, 0]]
BOW = [[0, 0], [9, 9], [9, 0], [0, 9], [0, 0]]
HOLE = [[10, 10], [60, 10], [60, 60], [10, 60], [10, 10]]


@pytest.mark.parametrize(
    ("geometry", "mpp", "text"),
    [
        ({"type": "Polygon", "coordinates": [SQUARE]}, 0.5, "5,000 µm²"),
        ({"type": "Polygon", "coordinates": [SQUARE, HOLE]}, 0.5, "4,375 µm²"),
        ({"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE], [SQUARE]]}, 0.5, "9,375 µm²"),
        (
            {"type": "Polygon", "coordinates": [[[0, 0], [9, 9], [9, 0], [0, 9], [0, 0]]]},
            0.5,
            "the outline crosses itself",
        ),
        ({"type": "MultiLineString", "coordinates": [[[0, 0], [3, 4]], [[0, 0], [0, 5]]]}, None, "10.0 px"),
        ({"type": "Polygon", "coordinates": [SQUARE]}, None, "20,000 px²"),
        ({"type": "MultiPoint", "coordinates": SQUARE}, 0.5, ""),
    ],
    ids=["plain", "hole", "two parts", "crossing", "two lines", "no pixel size", "points"],
)
def test_what_a_geometry_measures(reader: Reader, geometry: object, mpp: float | None, text: str) -> None:
    reader.page.goto(reader.address)
    script = "async ([shape, mpp]) => (await import('/static/features.js')).measureText(shape, mpp)"
    assert reader.page.evaluate(script, [geometry, mpp]) == text


def test_a_damaged_file_says_so_until_it_is_repaired(
    reader: Reader, ids: dict[str, str], scan: Colleague, folder: Path
) -> None:
    scan.write([point("a", "mine")])
    (file,) = folder.glob("scan/*.annotations.geojson")
    whole = file.read_bytes()
    file.write_bytes(whole[:40])
    page = reader.open(of_scan(ids))
    open_list(reader)
    page.locator("#note-none", has_text="mosaic.annotations.geojson: no annotations in GeoJSON").wait_for(timeout=WAIT)
    file.write_bytes(whole)
    reader.until(lambda: listed(reader) == ["mine"])
    assert page.locator("#note-none").is_hidden()


@pytest.mark.parametrize("way", ["the page is left", "the server is killed", "another slide is opened"])
def test_what_the_server_never_got_is_saved_when_it_is_back(
    reader: Reader, ids: dict[str, str], scan: Colleague, server: Server, way: str
) -> None:
    page = reader.open(of_scan(ids))
    open_list(reader)
    reader.until(lambda: page.locator("#saved").inner_text() == "saved")
    if way == "the server is killed":
        server.kill()
    else:
        page.route("**/annotations", lambda route: route.abort())
    page.keyboard.press("p")
    page.mouse.click(500, 400)
    reader.until(lambda: "kept in this browser" in page.locator("#saved").inner_text())
    if way == "another slide is opened":
        page.keyboard.press("Escape")
        page.keyboard.press("PageDown")
        reader.until(lambda: page.title().startswith("section"))
    else:
        page.goto("about:blank")
    if way == "the server is killed":
        server.start()
    else:
        page.unroute("**/annotations")
    if way != "another slide is opened":
        reader.open()
    reader.until(lambda: len(scan.features()) == 1)
    reader.until(lambda: page.evaluate("Object.keys(localStorage).filter((key) => key.includes('draft'))") == [])


def test_a_write_whose_answer_was_lost_is_no_change_of_somebody_else(
    reader: Reader, ids: dict[str, str], scan: Colleague
) -> None:
    scan.write([point("a", "before")])
    page = reader.open(of_scan(ids))
    open_list(reader)
    field = page.get_by_role("textbox", name="Name of annotation 1")
    field.wait_for(timeout=WAIT)
    lost = []

    def lose(route: "playwright.Route") -> None:
        if route.request.method == "PUT" and not lost:
            lost.append(route.fetch().status)
            route.abort()
        else:
            route.continue_()

    page.route("**/annotations", lose)
    field.fill("first")
    reader.until(lambda: lost == [200])
    field.fill("second")
    reader.until(lambda: [one["properties"]["name"] for one in scan.features()] == ["second"])
    assert page.locator(".conflict").count() == 0


def test_letters_that_are_typed_while_others_write_stay(reader: Reader, ids: dict[str, str], scan: Colleague) -> None:
    scan.write([point("a", "")])
    page = reader.open(of_scan(ids))
    open_list(reader)
    field = page.get_by_role("textbox", name="Name of annotation 1")
    field.click(timeout=WAIT)
    page.evaluate("window.field = document.activeElement")
    typed = ""
    for i, letter in enumerate("margin"):
        scan.write([point(f"other {i}", f"other {i}"), *scan.features()])
        page.keyboard.type(letter)
        typed += letter
        assert page.evaluate("window.field.value") == typed
        reader.until(lambda typed=typed: typed in [one["properties"]["name"] for one in scan.features()])
    assert page.evaluate("document.activeElement === window.field && window.field.isConnected")
    reader.until(lambda: sorted(listed(reader)) == sorted(["margin", *(f"other {i}" for i in range(6))]))
    page.keyboard.press("Tab")
    page.locator("#undo").click()  # all that was typed at once
    reader.until(lambda: "" in [one["properties"]["name"] for one in scan.features()])


def test_one_renames_what_another_classifies_and_removals_stay(
    reader: Reader, ids: dict[str, str], scan: Colleague
) -> None:
    scan.write([point("a", "old"), point(None, "without id"), point(None, "without id")])
    page = reader.open(of_scan(ids))
    open_list(reader)
    reader.until(lambda: listed(reader) == ["old", "without id", "without id"])
    page.get_by_role("button", name="Delete annotation 3").click()
    page.get_by_role("textbox", name="Name of annotation 1").fill("new")
    scan.write(
        [
            one | {"properties": one["properties"] | {"isLocked": True}} if "id" in one else one
            for one in scan.features()
        ]
    )
    reader.until(lambda: [one["properties"]["name"] for one in scan.features()] == ["new", "without id"])
    assert scan.features()[0]["properties"]["isLocked"] is True
    assert listed(reader) == ["new", "without id"]


def rename(scan: Colleague) -> None:
    scan.change("a", name="theirs")


def remove(scan: Colleague) -> None:
    scan.remove("a")


@pytest.mark.parametrize(
    ("theirs", "choice", "names"),
    [
        (rename, "Keep this one", ["mine"]),
        (rename, "Take the other", ["theirs"]),
        (rename, "Keep both", ["mine", "theirs"]),
        (remove, "Keep this one", ["mine"]),
        (remove, "Take the other", []),
    ],
)
def test_the_reader_chooses_where_both_changed_the_same(
    reader: Reader,
    ids: dict[str, str],
    scan: Colleague,
    theirs: Callable[[Colleague], None],
    choice: str,
    names: list[str],
) -> None:
    scan.write([point("a", "old"), point("b", "untouched")])
    page = reader.open()
    open_list(reader)
    field = page.get_by_role("textbox", name="Name of annotation 1")
    field.wait_for(timeout=WAIT)
    theirs(scan)
    field.fill("mine")
    page.get_by_text("Changed here and elsewhere: 1 of the annotations of scan.").wait_for(timeout=WAIT)
    assert "mine" not in named(scan.features())  # until somebody has chosen
    page.reload()  # the choice is still open on the next page
    open_list(reader)
    page.get_by_role("button", name=choice).click(timeout=WAIT)
    reader.until(lambda: named(scan.features()) == sorted([*names, "untouched"]))
    assert page.locator(".conflict").count() == 0


def named(features: list[Feature]) -> list[str]:
    return sorted(one["properties"]["name"] for one in features)
