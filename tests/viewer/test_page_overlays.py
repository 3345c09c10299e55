"""Overlays in a real browser: painted in their place, with a legend, findings that lead there, and problems told."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from annotated_slides import SCAN_MPP, write_scan
from confostain.viewer.serving import OPENSEADRAGON
from headless_browser import WAIT, Reader, Server, chromium, needs_chromium, playwright
from overlay_files import point, write_features, write_map

pytestmark = [
    needs_chromium,
    pytest.mark.skipif(not OPENSEADRAGON.exists(), reason="installed without npm: no OpenSeadragon"),
]
CELL = 50  # level-0 px
RECORD_TEXTS = """
const write = CanvasRenderingContext2D.prototype.fillText;
window.texts = [];
CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
  window.texts.push(text);
  return write.call(this, text, ...rest);
};
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A scan with points and a region, a map of which one cell is 1 and the next 0.5, and a damaged file."""
    folder = tmp_path_factory.mktemp("slides")
    scan, given = write_scan(folder / "scan"), folder / "given.geojson"
    points = [point(200, 300, "missing", 0.4), point(600, 300, "missing", 0.9)]
    region = point(0, 0, "invented", 0.6)
    corners = [[400, 500], [500, 500], [500, 600], [400, 600], [400, 500]]
    region["geometry"] = {"type": "Polygon", "coordinates": [corners]}
    write_features(scan.parent / "mosaic.audit.overlay.geojson", *points, region)
    write_features(given, point(100, 100, "given", 1))
    values = np.zeros((1, 14, 18), np.float32)
    values[0, 4, 8], values[0, 4, 9], values[0, 0, 0] = 1, 0.5, np.nan
    um = CELL * SCAN_MPP
    write_map(scan.parent / "mosaic.maps.ome.zarr", values, ["doubt"], um, ((um - SCAN_MPP) / 2,) * 2)
    (scan.parent / "mosaic.bad.overlay.geojson").write_text("hello")
    with Server("view", str(scan), "--model", "gareau", "--overlay", str(given)) as server:
        yield server.address


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def reader(browser: "playwright.Browser", address: str) -> Iterator[Reader]:
    one = Reader(browser, address)
    one.page.add_init_script(RECORD_TEXTS)
    one.open()
    one.page.keyboard.press("o")
    one.page.locator("#overlay-list li").nth(3).wait_for(timeout=WAIT)
    one.settle()
    yield one
    one.context.close()
    assert [problem for problem in one.problems if "409" not in problem] == []


def layer(reader: Reader, name: str) -> "playwright.Locator":
    return reader.page.locator("#overlay-list li").filter(has=reader.page.get_by_text(name, exact=True))


def painted(reader: Reader, x: float, y: float) -> npt.NDArray[np.int64]:
    """RGBA that is painted above a level-0 point."""
    state = reader.state()
    scale = SCAN_MPP / float(state["mpp"])
    return np.array(
        reader.page.locator("canvas[data-part=overlay]").evaluate(
            """(canvas, [dx, dy]) => {
              const [width, height] = [canvas.clientWidth, canvas.clientHeight];
              const at = [(width / 2 + dx) * canvas.width / width, (height / 2 + dy) * canvas.height / height];
              return [...canvas.getContext("2d").getImageData(Math.round(at[0]), Math.round(at[1]), 1, 1).data];
            }""",
            [(x - float(state["x"])) * scale, (y - float(state["y"])) * scale],
        )
    )


def test_layers_are_painted_where_they_are_and_switched(reader: Reader) -> None:
    names = reader.page.locator("#overlay-list b").all_inner_texts()
    assert sorted(names) == ["doubt", "given", "invented", "missing"]
    assert painted(reader, 100, 100)[3] > 200  # what the command line names is shown at once
    spots = {"missing": (600, 300), "invented": (450, 550), "doubt": (8.5 * CELL, 4.5 * CELL)}
    for name, spot in spots.items():
        assert painted(reader, *spot)[3] == 0, name
        layer(reader, name).get_by_role("checkbox").check()
        reader.until(lambda spot=spot: painted(reader, *spot)[3] > 0)
    assert painted(reader, *spots["missing"])[:3] == pytest.approx([255, 221, 0], abs=3)
    strong, weak = painted(reader, *spots["doubt"])[3], painted(reader, 9.5 * CELL, 4.5 * CELL)[3]
    assert 0 < weak < strong
    assert painted(reader, 10.5 * CELL, 4.5 * CELL)[3] == 0
    layer(reader, "doubt").get_by_role("slider").fill("0.2")
    reader.until(lambda: painted(reader, *spots["doubt"])[3] < strong / 2)
    layer(reader, "doubt").get_by_role("checkbox").uncheck()
    reader.until(lambda: painted(reader, *spots["doubt"])[3] == 0)


def test_findings_lead_to_their_places(reader: Reader) -> None:
    page = reader.page
    for name in ("missing", "invented"):
        layer(reader, name).get_by_role("checkbox").check()
    rows = page.locator("#overlay-findings button")
    reader.until(lambda: rows.count() == 4)
    said = [text.replace("\n", " ") for text in rows.all_inner_texts()]
    assert [text.split()[0] for text in said] == ["given", "missing", "invented", "missing"]
    assert [float(text.split()[-1]) for text in said] == [1, 0.9, 0.6, 0.4]
    rows.nth(2).click()
    reader.until(lambda: (reader.state()["x"], reader.state()["y"]) == ("450", "550"))
    page.locator("#stage").focus()
    page.keyboard.press("j")
    reader.until(lambda: (reader.state()["x"], reader.state()["y"]) == ("200", "300"))
    assert float(reader.state()["mpp"]) <= 1.01


def test_values_and_problems_are_told(reader: Reader) -> None:
    page = reader.page
    (problem,) = page.locator("#overlay-problems li").all_inner_texts()
    assert problem.startswith("bad: mosaic.bad.overlay.geojson: no GeoJSON FeatureCollection")
    layer(reader, "doubt").get_by_role("checkbox").check()
    state, box = reader.state(), page.locator("#stage").bounding_box()
    scale = SCAN_MPP / float(state["mpp"])
    for cell, said in (
        ((9, 4), "doubt: 0.50"),
        ((8, 4), "doubt: 1.00"),
        ((0, 0), "doubt: unknown"),
        ((10, 4), "doubt: 0.00"),
    ):
        x, y = ((at + 0.5) * CELL - float(state[axis]) for at, axis in zip(cell, "xy", strict=True))
        page.mouse.move(box["x"] + box["width"] / 2 + x * scale, box["y"] + box["height"] / 2 + y * scale)
        reader.until(lambda said=said: page.locator("#overlay-here").inner_text() == said)


def test_a_snapshot_says_what_its_colours_mean(reader: Reader) -> None:
    for name in ("missing", "doubt"):
        layer(reader, name).get_by_role("checkbox").check()
    reader.until(lambda: "doubt, 0 to 1" in reader.page.evaluate("window.texts"))
    reader.page.locator("#stage").focus()
    reader.page.evaluate("window.texts = []")
    assert reader.download("x")[:4] == b"\x89PNG"
    assert {"given (1)", "missing (2)", "doubt, 0 to 1"} <= set(reader.page.evaluate("window.texts"))
