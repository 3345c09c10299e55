"""Hands on the page, in a real browser: fingers, keys of other keyboards, links, panels, windows of all sizes."""

import io
import json
import re
import shutil
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import numpy as np
import pytest
from PIL import Image

from annotated_slides import write_scan
from confostain.geometry import Size
from confostain.viewer.serving import OPENSEADRAGON
from headless_browser import WAIT, Reader, chromium, colour, needs_chromium, playwright, rgb, serving

pytestmark = [
    needs_chromium,
    pytest.mark.skipif(not OPENSEADRAGON.exists(), reason="installed without npm: no OpenSeadragon"),
]
SIZES = {"laptop": (1440, 900), "tablet": (1024, 768), "screen": (2560, 1440), "window": (1200, 800)}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("watched")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, watched: Path) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("slides")
    scans = [write_scan(folder / name, Size(1300, 900), seed) for name, seed in (("first", 4), ("second", 5))]
    section = folder / "section.png"
    noise = np.random.default_rng(0).integers(120, 255, (75, 100, 3), np.uint8)
    Image.fromarray(np.kron(noise, np.ones((8, 8, 1), np.uint8))).save(section, dpi=(25400 / 0.75, 25400 / 0.75))
    with serving("view", *map(str, scans), "--histology", str(section), "--watch", str(watched)) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def window(browser: "playwright.Browser", address: str) -> Iterator[Callable[..., Reader]]:
    """Opens windows, which must not report errors."""
    opened: list[Reader] = []

    def open_window(size: str = "laptop", **options: object) -> Reader:
        width, height = SIZES[size]
        opened.append(Reader(browser, address, viewport={"width": width, "height": height}, **options))
        return opened[-1]

    yield open_window
    for one in opened:
        one.page.unroute_all(behavior="wait")
        one.context.close()
    assert [one.problems for one in opened if one.problems] == []


@pytest.fixture
def reader(window: Callable[..., Reader]) -> Reader:
    return window()


class Fingers:
    """Two fingers on a touch screen."""

    def __init__(self, reader: Reader) -> None:
        self._session = reader.context.new_cdp_session(reader.page)
        self._reader = reader

    def _send(self, kind: str, points: list[tuple[float, float]]) -> None:
        touches = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    def move(self, start: list[tuple[float, float]], end: list[tuple[float, float]], steps: int = 20) -> None:
        """Put both down, one after the other, move them in a circle or along a line, and lift them."""
        self._send("touchStart", start[:1])
        self._send("touchStart", start)
        for i in range(1, steps + 1):
            self._send("touchMove", [_between(a, b, i / steps) for a, b in zip(start, end, strict=True)])
            self._reader.page.wait_for_timeout(10)
        self._send("touchEnd", [])
        self._reader.settle()

    def turn(self, centre: tuple[float, float], degrees: float, radius: float = 120, spread: float = 1.0) -> None:
        """Turn both about the point between them, and move them apart by a factor."""
        steps, start = 20, self._pair(centre, 20, radius)
        self._send("touchStart", start[:1])
        self._send("touchStart", start)
        for i in range(1, steps + 1):
            share = i / steps
            self._send("touchMove", self._pair(centre, 20 + degrees * share, radius * (1 + (spread - 1) * share)))
            self._reader.page.wait_for_timeout(10)
        self._send("touchEnd", [])
        self._reader.settle()

    @staticmethod
    def _pair(centre: tuple[float, float], degrees: float, radius: float) -> list[tuple[float, float]]:
        dx, dy = radius * np.cos(np.radians(degrees)), radius * np.sin(np.radians(degrees))
        return [(centre[0] + dx, centre[1] + dy), (centre[0] - dx, centre[1] - dy)]


def _between(start: tuple[float, float], end: tuple[float, float], share: float) -> tuple[float, float]:
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


@pytest.mark.parametrize(
    ("size", "fingers", "spread", "turn"),
    [
        ("tablet", 40, 1.0, 40),
        ("laptop", -60, 1.2, -60),
        ("screen", 90, 0.8, 90),
        ("tablet", 8, 1.6, 0),  # a pinch: fingers never keep their angle exactly
        ("tablet", 14, 1.0, 0),  # back to upright
    ],
)
def test_two_fingers_turn_by_their_own_angle(
    window: Callable[..., Reader], size: str, fingers: float, spread: float, turn: float
) -> None:
    reader = window(size, has_touch=True)
    reader.open()
    reader.settle()
    before = float(reader.state()["mpp"])
    box = reader.page.locator("#stage").bounding_box()
    Fingers(reader).turn((box["x"] + box["width"] / 2, box["y"] + box["height"] / 2), fingers, spread=spread)
    turned = (float(reader.state().get("turn", 0)) + 180) % 360 - 180
    assert turned == pytest.approx(turn, abs=2)
    if spread != 1:
        assert float(reader.state()["mpp"]) == pytest.approx(before / spread, rel=0.1)


@pytest.mark.parametrize(
    "start",
    [((-150, 0), (150, 0)), ((0, -180), (200, -180)), ((-200, 160), (0, 160))],
    ids=["astride", "on it", "last on it"],
)
def test_a_pinch_about_the_curtain_zooms(window: Callable[..., Reader], start: tuple[tuple[float, float], ...]) -> None:
    reader = window("tablet", has_touch=True)
    page = reader.open()
    page.keyboard.press("w")
    page.locator("#divider").wait_for(timeout=WAIT)
    reader.settle()
    before, share = float(reader.state()["mpp"]), page.locator("#divider").get_attribute("aria-valuenow")
    box = page.locator("#stage").bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    places = [(middle[0] + x, middle[1] + y) for x, y in start]
    centre = ((places[0][0] + places[1][0]) / 2, (places[0][1] + places[1][1]) / 2)
    Fingers(reader).move(places, [_between(centre, place, 1.6) for place in places])
    assert float(reader.state()["mpp"]) == pytest.approx(before / 1.6, rel=0.1)
    assert page.locator("#divider").get_attribute("aria-valuenow") == share


def test_the_curtain_is_dragged_by_one_finger(window: Callable[..., Reader]) -> None:
    reader = window("tablet", has_touch=True)
    page = reader.open()
    page.keyboard.press("w")
    page.locator("#divider").wait_for(timeout=WAIT)
    reader.settle()
    box = page.locator("#divider").bounding_box()
    place = (box["x"] + 22, box["y"] + 100)
    Fingers(reader).move([place], [(place[0] - 200, place[1])])
    assert int(page.locator("#divider").get_attribute("aria-valuenow")) < 35


PRESS = """({ key, code, ...held }) => {
  const { altGraph, ...rest } = held;
  const all = { key, code, bubbles: true, cancelable: true, modifierAltGraph: altGraph, ...rest };
  const event = new KeyboardEvent("keydown", all);
  document.body.dispatchEvent(event);
  return event.defaultPrevented;
}"""


@pytest.mark.parametrize(
    ("event", "field", "value"),
    [
        ({"key": "]", "code": "Digit9", "altGraph": True, "ctrlKey": True, "altKey": True}, "turn", "15"),  # German
        ({"key": "]", "code": "Minus", "altGraph": True}, "turn", "15"),  # AZERTY, Linux
        ({"key": "]", "code": "Digit6", "altKey": True}, "turn", "15"),  # macOS, German
        ({"key": "\u00e9", "code": "Digit2"}, "layers", "beer-lambert"),  # AZERTY: unshifted digits
        ({"key": "2", "code": "Digit2", "shiftKey": True}, "mpp", "1"),  # and shifted ones
        ({"key": "2", "code": "Numpad2"}, "layers", "beer-lambert"),
        ({"key": "\u0430", "code": "KeyF"}, "flip", "1"),  # Cyrillic
    ],
)
def test_keys_of_other_keyboards(reader: Reader, event: dict[str, object], field: str, value: str) -> None:
    page = reader.open()
    second = page.evaluate("fetch('api/slides').then((answer) => answer.json()).then((all) => all[0].layers[1].id)")
    assert page.evaluate(PRESS, event)
    reader.until(lambda: reader.state().get(field) == value.replace("beer-lambert", second))


@pytest.mark.parametrize(
    "event",
    [
        {"key": "@", "code": "KeyQ", "altGraph": True, "ctrlKey": True, "altKey": True},
        {"key": "ArrowLeft", "code": "ArrowLeft", "altKey": True},  # back in the browser's history
        {"key": "z", "code": "KeyZ", "altKey": True},
        {"key": "w", "code": "KeyW", "ctrlKey": True},
    ],
)
def test_keys_that_belong_to_the_browser_do_nothing_here(reader: Reader, event: dict[str, object]) -> None:
    assert not reader.open().evaluate(PRESS, event)


def test_keys_work_after_a_slider(reader: Reader) -> None:
    page = reader.open()
    page.keyboard.press("b")
    slider = page.get_by_role("slider", name="Brightness")
    slider.focus()
    for _ in range(9):
        page.keyboard.press("ArrowRight")
    page.get_by_text("adjusted:").wait_for(timeout=WAIT)
    x = reader.state()["x"]
    page.keyboard.press("]")
    reader.until(lambda: reader.state().get("turn") == "15")
    assert reader.state()["x"] == x  # the arrow key was the slider's
    page.keyboard.press("w")
    reader.until(lambda: reader.state()["mode"] == "curtain")


@pytest.mark.parametrize(
    ("group", "keys", "chosen"),
    [
        ("#modes", ["ArrowRight"], "Curtain"),
        ("#modes", ["ArrowLeft"], "Side by side"),
        ("#tools", ["ArrowDown", "ArrowDown"], "Length"),
        ("#tools", ["End"], "Eraser"),
        ("#layers", ["End"], None),
    ],
)
def test_radio_groups_go_by_arrow_keys(reader: Reader, group: str, keys: list[str], chosen: str | None) -> None:
    page = reader.open()
    radios = page.locator(f"{group} [role=radio]")
    assert [radio.get_attribute("tabindex") for radio in radios.all()].count("0") == 1
    radios.and_(page.locator("[aria-checked=true]")).focus()
    x = reader.state()["x"]
    for key in keys:
        page.keyboard.press(key)
    now = page.locator(f"{group} [aria-checked=true]")
    reader.until(lambda: now.evaluate("(one) => one === document.activeElement"))
    assert now.evaluate("(one) => one.ariaLabel ?? one.textContent").strip() == (chosen or radios.last.inner_text())
    assert now.get_attribute("tabindex") == "0"
    assert reader.state()["x"] == x


@pytest.mark.parametrize("link", ["#slide=0123456789ab&mode=single&layers=swift", "#slide=../x", "#slide="])
@pytest.mark.parametrize("open_before", [False, True], ids=["at first", "later"])
def test_a_link_to_an_unknown_slide_shows_none(reader: Reader, link: str, open_before: bool) -> None:
    page = reader.page
    if open_before:
        reader.open()
        page.evaluate("(link) => { location.hash = link; }", link)
    else:
        page.goto(reader.address + link)
    page.get_by_text("The link names a slide that is not here").wait_for(timeout=WAIT)
    reader.settle()
    assert page.locator(".pane").count() == 0
    assert page.locator("#slide-name").inner_text() == "confostain"
    assert page.url.endswith(link)
    for key in "qwexgfu0123.,tl]":
        page.keyboard.press(key)
    page.get_by_role("button", name="Slides", exact=True).last.click()
    page.locator("#slide-list button").first.click()
    reader.until(lambda: page.locator(".pane").count() == 1 and reader.image().std() > 5)
    assert page.locator(".notice").count() == 0


def test_a_link_to_an_unknown_layer_says_so(reader: Reader) -> None:
    slide = reader.open() and reader.state()["slide"]
    reader.page.goto("about:blank")
    page = reader.open(f"#slide={slide}&mode=single&layers=nothing&x=600&y=400&mpp=0.8")
    page.get_by_text("The link names layers that are not here").wait_for(timeout=WAIT)


def test_brightness_belongs_to_one_slide_and_to_the_link(reader: Reader) -> None:
    page = reader.open()
    page.get_by_role("radio", name="Reflectance").click()
    reader.until(lambda: colour(reader.image()) < 1)
    page.keyboard.press("b")
    page.get_by_role("slider", name="Brightness").fill("0.5")
    page.get_by_text("adjusted:").wait_for(timeout=WAIT)
    reader.until(lambda: re.fullmatch(r"1\.6\d+:1", reader.state().get("adjust", "")))
    link = page.url
    page.locator("#stage").focus()  # the key belongs to the slider while that has the focus
    page.keyboard.press("PageDown")
    reader.until(lambda: page.title().startswith("second"))
    reader.settle()
    assert page.locator('[data-part="adjusted"]').is_hidden()
    assert page.locator(".pane-image canvas").first.evaluate("(canvas) => canvas.style.filter") == ""
    assert "adjust" not in reader.state()
    page.goto("about:blank")
    page.goto(link)
    page.get_by_text("adjusted:").wait_for(timeout=WAIT)
    reader.until(lambda: "url" in page.locator(".pane-image canvas").first.evaluate("(canvas) => canvas.style.filter"))
    page.keyboard.press("b")
    assert page.locator("#adjust output").first.inner_text() in {"1.64", "1.65"}


@pytest.mark.parametrize(("size", "panes"), [("tablet", 2), ("laptop", 3), ("screen", 3)])
def test_side_by_side_fits_the_window_and_has_one_scale_bar(
    window: Callable[..., Reader], size: str, panes: int
) -> None:
    reader = window(size)
    page = reader.open()
    page.keyboard.press("e")
    reader.until(lambda: page.locator(".pane").count() == panes)
    reader.settle()
    bars = page.locator(".scale:visible")
    assert bars.count() == 1
    page.keyboard.press("l")
    reader.until(lambda: bars.count() == panes)
    page.keyboard.press("+")
    reader.settle()
    assert (
        len(set(bars.locator("div").evaluate_all("(all) => all.map((bar) => bar.style.width + bar.dataset.text)"))) > 1
    )
    page.keyboard.press("l")  # from now on one bar is true of all
    reader.until(lambda: bars.count() == 1)
    reader.settle()
    every = page.locator(".scale div").evaluate_all("(all) => all.map((bar) => [bar.style.width, bar.dataset.text])")
    assert {text for _, text in every} == {every[0][1]}
    np.testing.assert_allclose([float(width[:-2]) for width, _ in every], float(every[0][0][:-2]), rtol=1e-3)


def truncated(scan: Path) -> None:
    path = scan / "mosaic" / "DET#2" / "highres_raw.tif"
    path.write_bytes(path.read_bytes()[:5000])


def empty(scan: Path) -> None:
    (scan / "mosaic" / "DET#1" / "highres_raw.tif").write_bytes(b"")


def no_image(scan: Path) -> None:
    (scan / "mosaic" / "DET#2" / "highres_raw.tif").write_bytes(bytes(range(256)) * 9)


def half_there(scan: Path) -> None:
    (scan / "mosaic" / "DET#2" / "highres_raw.tif").unlink()


DAMAGES = {
    truncated: "truncated, 5000 bytes",
    empty: "an empty file",
    no_image: "cannot be read",
    half_there: "both detectors",
}


def test_corrupt_scans_are_listed_with_their_reasons(reader: Reader, watched: Path, tmp_path: Path) -> None:
    page = reader.open()
    whole = write_scan(tmp_path / "whole", Size(500, 400), seed=9).parent
    for damage in DAMAGES:
        copy = shutil.copytree(whole, tmp_path / "damaged" / damage.__name__)
        damage(copy)
        shutil.move(copy, watched / damage.__name__)
    page.keyboard.press("s")
    page.get_by_text(f"Not shown: {len(DAMAGES)}").click(timeout=WAIT)
    said = dict(text.split("\n", 1) for text in page.locator("#refused li").all_inner_texts())
    assert {
        name: words in said[name] for name, words in ((damage.__name__, DAMAGES[damage]) for damage in DAMAGES)
    } == {damage.__name__: True for damage in DAMAGES}
    for damage in DAMAGES:
        shutil.rmtree(watched / damage.__name__)


@pytest.mark.parametrize("panel", ["slides", "notes", "adjust", "bookmarks"])
@pytest.mark.parametrize("size", ["laptop", "tablet", "screen"])
def test_panels_stand_beside_the_image(window: Callable[..., Reader], size: str, panel: str) -> None:
    reader = window(size)
    page = reader.open()
    page.locator(f"#{panel}-toggle").click()
    reader.settle()
    own, stage = (page.locator(f"#{name}").bounding_box() for name in (panel, "stage"))
    assert own["x"] + own["width"] <= stage["x"] or own["x"] >= stage["x"] + stage["width"]
    background = page.locator(f"#{panel}").evaluate("(panel) => getComputedStyle(panel).backgroundColor")
    assert re.fullmatch(r"rgb\(\d+, \d+, \d+\)", background)  # opaque
    page.locator(f"#{panel}-toggle").click()
    assert page.locator(f"#{panel}").is_hidden()


@pytest.mark.parametrize("size", SIZES)
def test_hints_and_scale_bars_do_not_meet(window: Callable[..., Reader], size: str) -> None:
    reader = window(size)
    page = reader.open()
    stage = page.locator("#stage").bounding_box()
    for tool in "pmac":
        page.keyboard.press(tool)
        page.mouse.click(stage["x"] + 200, stage["y"] + 200)  # the hint then also says how to take it back
        assert page.locator("#hint").bounding_box()["y"] >= stage["y"] + stage["height"]
        assert page.locator("#stage").bounding_box() == stage  # the image keeps its size
        page.keyboard.press("Escape")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.get_by_text("For Research Use Only.").first.is_visible()


def test_bookmarks_lead_back_and_stay(reader: Reader) -> None:
    page = reader.open()
    page.keyboard.press("Shift+Digit3")
    page.keyboard.press("]")
    reader.until(lambda: reader.state().get("turn") == "15" and reader.state()["mpp"] == "0.5")
    place = reader.state()
    page.keyboard.press("k")
    page.get_by_label("Name of the bookmark").fill("nest <b>")
    page.get_by_role("button", name="Bookmark this view").click()
    page.locator("#stage").focus()
    page.keyboard.press("u")
    page.keyboard.press("0")
    reader.until(lambda: "turn" not in reader.state())
    page.reload()
    reader.until(lambda: reader.state().get("mpp"))
    page.keyboard.press("k")
    page.locator("#bookmark-list .plain", has_text="nest <b>").click()
    reader.until(lambda: reader.state() == place)
    page.get_by_role("button", name="Delete bookmark nest").click()
    assert page.locator("#bookmark-list li").count() == 0


def test_full_screen(reader: Reader) -> None:
    page = reader.open()
    page.keyboard.press("z")
    page.wait_for_function("document.fullscreenElement !== null")
    page.keyboard.press("z")
    page.wait_for_function("document.fullscreenElement === null")


def test_each_matter_has_a_notice_of_its_own(reader: Reader) -> None:
    page = reader.open()
    page.evaluate(
        """async () => {
          const { Notices } = await import("./static/notices.js");
          const notices = new Notices(document.getElementById("notices"));
          for (const [matter, text] of [["a", "first"], ["b", "second"], ["a", "third"]]) notices.show(matter, text);
        }"""
    )
    assert page.locator(".notice span").all_inner_texts() == ["second", "third"]
    page.locator(".notice button").first.click()
    assert page.locator(".notice span").all_inner_texts() == ["third"]


def test_thumbnails_have_a_place_before_they_come_and_without(reader: Reader) -> None:
    page = reader.page
    page.route("**/thumbnail/**", lambda route: route.fulfill(status=409))
    page.on("console", lambda message: None)
    reader.open()
    page.keyboard.press("s")
    page.locator(".thumbnail .icon").first.wait_for(timeout=WAIT)
    assert page.locator(".thumbnail.loaded").count() == 0
    page.unroute("**/thumbnail/**")
    reader.problems.clear()
    page.reload()
    page.keyboard.press("s")
    reader.until(lambda: page.locator(".thumbnail.loaded").count() == page.locator("#slide-list button").count())


def as_a_network(reader: Reader, share: float, previews: Callable[[str], bool]) -> None:
    """Alter the server's answers on their way: a closed form poses as a network that is not done yet."""

    def slides(route: "playwright.Route") -> None:
        answer = route.fetch()
        described = answer.json()
        for layer in described[0]["layers"]:
            layer["closed_form"] = False
        route.fulfill(response=answer, json=described)

    def tile(route: "playwright.Route") -> None:
        answer = route.fetch()
        source = "closed-form" if previews(route.request.url) else "average"
        route.fulfill(response=answer, headers={**answer.headers, "x-confostain-source": source})

    reader.page.route("**/api/slides", slides)
    reader.page.route("**/tiles/**", tile)
    reader.page.route("**/status/*", lambda route: route.fulfill(json=dict.fromkeys(range(9), share)))


@pytest.mark.parametrize(
    ("layer", "turn", "words"),
    [
        ("", 0, "Approximate stain until computed"),
        ("", 30, "Approximate stain until computed"),
        ("Despeckled", 0, "Approximate image until computed"),
    ],
)
def test_what_is_not_computed_is_hatched_and_says_how_far_it_is(
    reader: Reader, layer: str, turn: int, words: str
) -> None:
    as_a_network(reader, 0.37, lambda url: re.search(r"/0/0_\d+\.jpg", url) is not None)
    page = reader.open()
    if layer:
        page.get_by_role("radio", name=layer).click()
    page.keyboard.press("Shift+Digit2")
    for _ in range(turn // 15):
        page.keyboard.press("]")
    page.get_by_text(words).wait_for(timeout=WAIT)
    page.get_by_text("37 %").wait_for(timeout=WAIT)
    reader.until(lambda: reader.state().get("turn", "0") == str(turn) and reader.state()["mpp"] == "1")
    reader.until(lambda: _only_the_first_column_is_hatched(reader))


def _only_the_first_column_is_hatched(reader: Reader) -> bool:
    """Whether lines lie above the first column of tiles of level 0, and nowhere else."""
    drawn = reader.page.locator('[data-part="unfinished"]').evaluate("(canvas) => canvas.toDataURL()")
    alpha = np.asarray(Image.open(io.BytesIO(b64decode(drawn.partition(",")[2]))))[..., 3]
    mpp, x, y, turn = (float(reader.state().get(name, 0)) for name in ("mpp", "x", "y", "turn"))
    rows, columns = np.mgrid[: alpha.shape[0], : alpha.shape[1]]
    dx, dy = (columns - alpha.shape[1] / 2) * mpp / 0.75, (rows - alpha.shape[0] / 2) * mpp / 0.75
    angle = np.radians(turn)
    slide_x, slide_y = x + np.cos(angle) * dx + np.sin(angle) * dy, y - np.sin(angle) * dx + np.cos(angle) * dy
    first = (slide_x > 5) & (slide_x < 251) & (slide_y > 5) & (slide_y < 895)
    other = (slide_x < -5) | (slide_x > 261) | (slide_y < -5) | (slide_y > 905)
    return 0.1 < float((alpha[first] > 100).mean()) < 0.6 and not alpha[other].any()


def test_a_snapshot_of_a_preview_is_hatched_too(reader: Reader) -> None:
    pictures = []
    for previews in (False, True):
        as_a_network(reader, 0.5, lambda url, previews=previews: previews)
        reader.page.goto("about:blank")
        reader.open()
        reader.settle()
        pictures.append(rgb(io.BytesIO(reader.download("x"))).astype(int))
        reader.page.unroute_all(behavior="wait")
    assert np.abs(pictures[0] - pictures[1])[200:500, 400:900].mean() > 5


def test_commands_have_one_entry_each(reader: Reader) -> None:
    """Every button of the page acts once, every key is in the help once."""
    page = reader.open()
    page.keyboard.press("?")
    keys = json.loads(
        page.evaluate("JSON.stringify([...document.querySelectorAll('#keys dt')].map((one) => one.textContent))")
    )
    assert len(keys) == len(set(keys)) > 25


class CuttingProxy(BaseHTTPRequestHandler):
    """A proxy that shows a server at a path of its own, and cuts that path off, as nginx and JupyterHub do."""

    upstream = ""

    def _pass_on(self) -> None:
        host, _, port = self.upstream.partition(":")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kept = {name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection"}}
        kept["X-Forwarded-Host"] = self.headers["Host"]
        with closing(HTTPConnection(host, int(port), timeout=60)) as connection:
            connection.request(self.command, self.path.removeprefix(ROOT_PATH), body, kept)
            with closing(connection.getresponse()) as answer, suppress(OSError, HTTPException):
                self._answer(answer)

    def _answer(self, answer: HTTPResponse) -> None:
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"transfer-encoding", "connection"}:
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        while part := answer.read1():
            self.wfile.write(part)
            self.wfile.flush()

    do_GET = do_PUT = _pass_on

    def log_message(self, *words: object) -> None:
        """Say nothing."""


ROOT_PATH = "/user/anna/proxy/viewer"


@pytest.mark.parametrize("cuts", [True, False], ids=["cuts the path", "keeps the path"])
def test_behind_a_proxy_at_a_sub_path(
    browser: "playwright.Browser", tmp_path: Path, cuts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = write_scan(tmp_path / "scan", Size(700, 500), seed=3)
    with serving("view", str(scan), "--root-path", ROOT_PATH) as url, ExitStack() as stack:
        if cuts:
            monkeypatch.setattr(CuttingProxy, "upstream", urlsplit(url).netloc)
            proxy = ThreadingHTTPServer(("127.0.0.1", 0), CuttingProxy)
            proxy.daemon_threads = True
            threading.Thread(target=proxy.serve_forever, daemon=True).start()
            stack.callback(proxy.server_close)
            stack.callback(proxy.shutdown)
            url = urlunsplit(urlsplit(url)._replace(netloc=f"127.0.0.1:{proxy.server_address[1]}"))
        reader = Reader(browser, url)
        asked: list[str] = []
        reader.page.on("request", lambda request: asked.append(urlsplit(request.url).path))
        page = reader.open()
        assert urlsplit(page.url)._replace(netloc="", scheme="", fragment="").geturl() == f"{ROOT_PATH}/"
        page.keyboard.press("p")
        page.mouse.click(500, 400)
        page.keyboard.press("n")
        page.get_by_text("saved", exact=True).wait_for(timeout=WAIT)
        page.keyboard.press("s")
        page.locator(".thumbnail.loaded").wait_for(timeout=WAIT)
        assert [path for path in asked if not path.startswith(f"{ROOT_PATH}/")] == []
        assert reader.problems == []
        reader.context.close()
    assert list(tmp_path.rglob("*.geojson"))
