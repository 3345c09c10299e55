"""Map of the viewed area, in a real browser: what counts as seen, where it is kept, and what is exported."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from annotated_slides import SCAN_MPP, write_scan
from confostain.geometry import Size
from confostain.viewer.serving import OPENSEADRAGON
from headless_browser import WAIT, Reader, Server, chromium, needs_chromium, playwright

pytestmark = [
    needs_chromium,
    pytest.mark.skipif(not OPENSEADRAGON.exists(), reason="installed without npm: no OpenSeadragon"),
]
QUPATH_COLUMNS = ["Timestamp", "X", "Y", "Width", "Height", "Canvas width", "Canvas height"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("slides") / "scan"


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with Server("view", str(write_scan(folder, Size(3000, 2000))), "--model", "gareau") as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def slide(server: Server, folder: Path) -> Iterator[str]:
    """Id of the slide, of which nothing has been seen."""
    yield httpx.get(f"{server.address}api/slides").json()[0]["id"]
    (folder / "mosaic.viewed.geojson").unlink(missing_ok=True)


@pytest.fixture
def reader(browser: "playwright.Browser", server: Server, slide: str) -> Iterator[Reader]:
    one = Reader(browser, server.address)
    yield one
    one.page.unroute_all(behavior="ignoreErrors")
    one.context.close()
    assert [problem for problem in one.problems if "Failed to load resource" not in problem] == []


def views(reader: Reader, slide: str) -> list[dict[str, object]]:
    return httpx.get(f"{reader.address}api/slides/{slide}/viewed").json()["features"]


def at(slide: str, x: int, y: int, mpp: float = 0.5) -> str:
    return f"#slide={slide}&mode=single&layers=gareau&x={x}&y={y}&mpp={mpp}"


def save(reader: Reader) -> None:
    """As a page does that is closed."""
    reader.page.evaluate("window.dispatchEvent(new Event('pagehide'))")


def share(reader: Reader) -> float:
    return float(reader.page.locator("#viewed-share").inner_text().split()[2])


STEP = """
async ({ steps, idle }) => {
  const { ViewRecorder } = await import(new URL("static/viewed.js", document.baseURI));
  const slide = { id: "s" };
  const corners = (name) => [[0, 0], [name, 0], [name, 9], [0, 9]];
  const view = (name) => ({ slide, corners: corners(name), layers: ["a"], px_per_screen_px: 1 });
  const seconds = {};
  let told = 0;
  const recorder = new ViewRecorder((slide, { geometry, properties }, more) => {
    seconds[geometry.coordinates[0][1][0]] = properties.view.seconds;
    told += more;
  });
  recorder.touch(idle);
  for (const [now, names] of steps) recorder.step(now, names.map(view));
  return { seconds, told };
}
"""


def ticks(start: float, stop: float, *names: int) -> list[tuple[float, tuple[int, ...]]]:
    return [(now, names) for now in np.arange(start, stop + 1e-9, 0.25).tolist()]


@pytest.mark.parametrize(
    ("steps", "seconds"),
    [
        (ticks(0, 0.75, 1) + ticks(1, 1.75, 2), {}),
        (ticks(0, 2, 1), {"1": 2}),
        (ticks(0, 2, 1) + ticks(2.25, 3, 2), {"1": 2}),
        (ticks(0, 0.5, 1) + ticks(0.75, 1.75) + ticks(2, 2.5, 1), {"1": 1.25}),
        (ticks(0, 1, 1) + ticks(500, 501, 1), {"1": 1}),
        ([(0, (1,)), (30, (1,)), (30.25, (1,))], {"1": 1.25}),
        (ticks(0, 70, 1), {"1": 60}),
        (ticks(0, 1.5, 1, 2), {"1": 1.5, "2": 1.5}),
    ],
    ids=["passed by", "stays", "next one passed by", "goes on after loading", "nobody there", "slept", "idle", "two"],
)
def test_a_view_counts_when_it_stays(
    reader: Reader, slide: str, steps: list[tuple[float, tuple[int, ...]]], seconds: dict[str, float]
) -> None:
    page = reader.open(at(slide, 800, 600))
    found = page.evaluate(STEP, {"steps": steps, "idle": 0})
    assert found["seconds"] == pytest.approx(seconds)
    assert found["told"] == pytest.approx(sum(seconds.values()))


@pytest.mark.parametrize("turn", ["", "&turn=30", "&turn=210&flip=1"], ids=["upright", "turned", "mirrored"])
def test_what_was_seen_is_recorded_with_its_magnification(reader: Reader, slide: str, turn: str) -> None:
    page = reader.open(at(slide, 1500, 1000) + turn)
    save(reader)
    reader.until(lambda: (page.wait_for_timeout(300), save(reader), views(reader, slide))[-1])
    (feature,) = views(reader, slide)
    ring = np.array(feature["geometry"]["coordinates"][0])
    view = feature["properties"]["view"]
    stage = page.locator("#stage").bounding_box()
    assert ring[:-1].mean(axis=0) == pytest.approx([1500, 1000], abs=1)
    sides = np.linalg.norm(np.diff(ring, axis=0), axis=1) * SCAN_MPP / 0.5
    assert sides == pytest.approx([stage["width"], stage["height"]] * 2, rel=0.01)
    assert view["um_per_screen_px"] == pytest.approx(0.5, rel=0.01)
    assert view["layers"] == ["gareau"]
    page.keyboard.press("i")
    reader.until(lambda: share(reader) > 0)
    assert share(reader) < 50
    corner, centre = page.evaluate(
        """async ([ring, view]) => {
          const { slideTransform, toScreen } = await import(new URL("static/geometry.js", document.baseURI));
          const [a, b, c, d, e, f] = slideTransform(view);
          return [ring[0], [700, 300]].map(([x, y]) => [a * x + c * y + e - toScreen(view, [x, y])[0],
            b * x + d * y + f - toScreen(view, [x, y])[1]]);
        }""",
        [ring.tolist(), {"x": 5, "y": 8, "scale": 1.5, "rotation": view["rotation"], "flipped": view["flipped"],
                         "width": 700, "height": 500}],
    )  # fmt: skip
    assert corner == pytest.approx([0, 0], abs=1e-6)
    assert centre == pytest.approx([0, 0], abs=1e-6)


def test_unseen_tissue_is_marked_on_the_slide_and_on_the_navigator(reader: Reader, slide: str) -> None:
    page = reader.open(at(slide, 700, 600))
    page.keyboard.press("i")
    reader.until(lambda: share(reader) > 0)
    before = share(reader)
    reader.settle()

    def yellow() -> float:
        pixels = page.locator("#navigator").evaluate(
            "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
        )
        rgb = np.array(pixels, float).reshape(-1, 4)
        return float(((rgb[:, 0] > 170) & (rgb[:, 1] > 150) & (rgb[:, 2] < 130)).mean())

    plain = yellow()
    page.keyboard.press("y")
    reader.until(lambda: yellow() > plain + 0.2)
    marked = yellow()
    page.keyboard.press("0")
    reader.until(lambda: share(reader) == 100)
    assert before < 40
    assert yellow() < marked / 4
    rows = page.locator("#viewed-legend tr").all_inner_texts()
    names = [row.split("\t")[0].replace("\u00d7", "x") for row in rows]
    assert names == ["Not seen", "Seen below 5x", "at 5x to 10x", "at 10x to 20x", "at 20x or more"]
    shares = [float(row.split("\t")[1].rstrip(" %")) for row in rows]
    assert sum(shares) == pytest.approx(100, abs=0.3)
    assert shares[0] == 0
    assert shares[4] == pytest.approx(before, abs=1.5)


def test_what_was_seen_without_a_server_is_kept_in_the_browser(reader: Reader, slide: str) -> None:
    # before the page is there: it saves by itself after some seconds
    reader.page.route("**/viewed", lambda one: one.abort() if one.request.method == "PUT" else one.continue_())
    page = reader.open(at(slide, 700, 600))
    page.keyboard.press("i")
    reader.until(lambda: share(reader) > 0)
    save(reader)
    page.locator("#viewed-kept", has_text="Kept in this browser only").wait_for(timeout=WAIT)
    assert views(reader, slide) == []
    other = reader.context.new_page()  # the first one stays open, and cannot save
    other.goto(reader.address + at(slide, 2300, 1500))
    reader.until(lambda: views(reader, slide))
    centres = [np.mean(one["geometry"]["coordinates"][0][:-1], axis=0).tolist() for one in views(reader, slide)]
    assert centres[0] == pytest.approx([700, 600], abs=1)


def test_the_export_has_the_columns_of_qupath(reader: Reader, slide: str) -> None:
    page = reader.open(at(slide, 700, 600))
    page.keyboard.press("i")
    reader.until(lambda: share(reader) > 0)
    with page.expect_download(timeout=WAIT) as pending:
        page.locator("#viewed-csv").click()
    text = Path(pending.value.path()).read_text()
    first = next(iter(csv.DictReader(io.StringIO(text))))
    assert text.splitlines()[0].split(",")[: len(QUPATH_COLUMNS)] == QUPATH_COLUMNS
    assert first["Timestamp"] == "0"
    assert float(first["Width"]) * SCAN_MPP == pytest.approx(float(first["Canvas width"]) * 0.5, rel=0.01)
    assert float(first["um per screen pixel"]) == pytest.approx(0.5, rel=0.01)
    assert float(first["Seconds"]) >= 1
