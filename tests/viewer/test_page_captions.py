"""Captions, units and snapshots in a real browser: they speak of what is drawn, in pixels where no size is known."""

import io
import json
from collections.abc import Iterator

import httpx
import pytest

from annotated_slides import Colleague, write_planes, write_scan, write_section
from confostain.viewer.serving import OPENSEADRAGON
from headless_browser import WAIT, Reader, Server, chromium, colour, needs_chromium, playwright, rgb

pytestmark = [
    needs_chromium,
    pytest.mark.skipif(not OPENSEADRAGON.exists(), reason="installed without npm: no OpenSeadragon"),
]
RECORD_TEXTS = """
const write = CanvasRenderingContext2D.prototype.fillText;
window.texts = [];
CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
  window.texts.push(text);
  return write.call(this, text, ...rest);
};
"""


@pytest.fixture(scope="module")
def scan_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server("view", str(write_scan(tmp_path_factory.mktemp("slides") / "scan")), "--model", "gareau") as server:
        yield server


@pytest.fixture(scope="module")
def unscaled_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("slides")
    reflectance, fluorescence = map(str, write_planes(folder / "planes"))
    section = str(write_section(folder / "section.tif"))
    files = ["--reflectance", reflectance, "--fluorescence", fluorescence, "--histology", section]
    with Server("view", *files, "--model", "gareau") as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def reader(browser: "playwright.Browser", scan_server: Server) -> Iterator[Reader]:
    one = Reader(browser, scan_server.address)
    one.page.add_init_script(RECORD_TEXTS)
    yield one
    one.page.unroute_all(behavior="ignoreErrors")
    one.context.close()
    assert [problem for problem in one.problems if "Failed to load resource" not in problem] == []


@pytest.fixture
def unscaled(browser: "playwright.Browser", unscaled_server: Server) -> Iterator[Reader]:
    one = Reader(browser, unscaled_server.address)
    one.open()
    yield one
    one.context.close()
    assert one.problems == []


class HeldTiles:
    """Tiles of one layer that do not arrive until they are let go."""

    def __init__(self, reader: Reader, layer: str) -> None:
        self.routes: list[playwright.Route] | None = []
        reader.page.route(f"**/tiles/{layer}/**", self._hold)

    def _hold(self, route: "playwright.Route") -> None:
        if self.routes is None:
            route.continue_()
        else:
            self.routes.append(route)

    def let_go(self) -> None:
        held, self.routes = self.routes, None
        for route in held:
            route.continue_()


@pytest.mark.parametrize(
    ("key", "layer", "said"),
    [("2", "beer-lambert", "digitally stained: beer-lambert"), ("reflectance", "reflectance", "not stained")],
)
def test_the_caption_changes_with_the_picture(reader: Reader, key: str, layer: str, said: str) -> None:
    page = reader.open()
    reader.until(lambda: page.locator(".pane .stain").inner_text() == "digitally stained: gareau")
    reader.settle()
    before = reader.image()
    held = HeldTiles(reader, layer)
    page.locator(f'[data-layer="{layer}"]').click()
    reader.until(lambda: held.routes)
    page.locator(".pane .loading", has_text="is loading").wait_for(timeout=WAIT)
    assert page.locator(".pane .stain").inner_text() == "digitally stained: gareau"
    assert page.locator("#stained").inner_text() == "digitally stained: gareau"
    assert (reader.image() == before).all()
    held.let_go()
    reader.until(lambda: page.locator(".pane .stain").inner_text() == said)
    reader.settle()
    assert (reader.image() != before).any()
    assert page.locator(".pane .loading").inner_text() == ""


def test_a_snapshot_waits_until_the_view_is_complete(reader: Reader) -> None:
    page = reader.open()
    reader.until(lambda: page.locator(".pane .stain").inner_text() == "digitally stained: gareau")
    held = HeldTiles(reader, "reflectance")
    page.locator('[data-layer="reflectance"]').click()
    reader.until(lambda: held.routes)
    with page.expect_download(timeout=WAIT) as pending:
        page.keyboard.press("x")
        page.get_by_text("The snapshot waits until the view is complete.").wait_for(timeout=WAIT)
        assert not [text for text in page.evaluate("window.texts") if "stained" in text]
        held.let_go()
    with open(pending.value.path(), "rb") as file:  # noqa: PTH123
        picture = rgb(io.BytesIO(file.read()))
    assert colour(picture[100:500, 100:600]) < 1
    (caption,) = {text for text in page.evaluate("window.texts") if "stained" in text}
    assert caption == "Reflectance  ·  not stained"


def test_without_a_server_the_last_picture_stays_and_the_page_says_so(reader: Reader, scan_server: Server) -> None:
    page = reader.open()
    reader.until(lambda: page.locator(".pane .stain").inner_text() == "digitally stained: gareau")
    reader.settle()
    before = reader.image()
    scan_server.kill()
    try:
        page.locator("#lost").wait_for(timeout=WAIT)
        page.locator('[data-layer="fluorescence"]').click()
        page.locator(".pane .loading", has_text="Fluorescence is loading").wait_for(timeout=WAIT)
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowLeft")
        reader.settle()
        assert page.locator(".pane .stain").inner_text() == "digitally stained: gareau"
        assert (reader.image() == before).mean() > 0.99
    finally:
        scan_server.start()
    page.locator("#lost").wait_for(state="hidden", timeout=WAIT)
    reader.until(lambda: page.locator(".pane .stain").inner_text() == "not stained")
    reader.until(lambda: colour(reader.image()) < 1 < reader.image().std())


def test_without_pixel_size_lengths_are_in_pixels(unscaled: Reader) -> None:
    page = unscaled.page
    slide = unscaled.state()["slide"]
    unscaled.open(f"#slide={slide}&mode=single&layers=reflectance&x=450&y=350&px=0.5")
    unscaled.settle()
    page.keyboard.press("m")
    page.mouse.click(400, 300)
    page.mouse.click(600, 300)
    page.keyboard.press("Enter")
    page.keyboard.press("a")
    for corner in ((400, 400), (600, 400), (600, 500), (400, 500)):
        page.mouse.click(*corner)
    page.keyboard.press("Enter")
    colleague = Colleague(unscaled.address, slide)
    unscaled.until(lambda: len(colleague.features()) == 2)
    length, region = (one["properties"]["measurements"] for one in colleague.features())
    assert length == {"Length px": pytest.approx(100, abs=0.2)}
    assert region == {"Area px^2": pytest.approx(5000, rel=0.01), "Perimeter px": pytest.approx(300, rel=0.01)}
    page.locator("#notes-toggle").click()
    texts = page.locator(".note output").all_inner_texts()
    assert texts[0] in ("100 px", "99.9 px")
    assert texts[1].endswith(" px²")
    colleague.write([])


def test_without_pixel_size_there_is_no_magnification(unscaled: Reader) -> None:
    page = unscaled.page
    assert all(button.is_disabled() for button in page.locator("[data-magnification]").all())
    before = unscaled.state()
    page.keyboard.press("Shift+Digit3")
    unscaled.settle()
    assert unscaled.state() == before
    assert "pixel size unknown" in page.locator("#magnification").inner_text()
    assert page.locator(".scale div").first.get_attribute("data-text").endswith(" px")
    page.keyboard.press("s")
    facts = [text.replace("\u00d7", "x") for text in page.locator(".slide small").all_inner_texts()]
    assert facts == ["900 x 700 px, pixel size unknown", "real H&E, 0.5 x 0.4 mm"]
    seen = page.locator("body").inner_text()
    assert not [word for word in ("Infinity", "NaN", "null", "undefined") if word in seen]


def test_a_slide_without_pixel_size_beside_one_with_it(unscaled: Reader) -> None:
    """Each has the unit of its own, and they keep the scales at which they stood."""
    page = unscaled.page
    page.keyboard.press("e")
    unscaled.until(lambda: page.locator(".pane").count() == 3)
    unscaled.settle()

    def scales() -> list[str]:
        return [bar.get_attribute("data-text") for bar in page.locator(".scale div").all()]

    assert [text.split()[1] for text in scales()] == ["px", "px", "µm"]
    page.keyboard.press("+")
    unscaled.settle()
    assert all(unscaled.image(i).std() > 3 for i in range(3))
    assert [text.split()[1] for text in scales()] == ["px", "px", "µm"]
    shown = httpx.get(f"{unscaled.address}api/slides").json()
    assert json.dumps([slide["microns_per_pixel"] for slide in shown]) == "[null, 0.5]"
