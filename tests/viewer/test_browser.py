"""The page in a real browser: a headless Chromium opens a phantom slide and works with it as a user would."""

import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from confostain.geometry import Size
from confostain.io.writers.vivascope import write_mosaic
from confostain.simulation.phantom import Phantom
from confostain.viewer.serving import OPENSEADRAGON
from headless_browser import WAIT, Reader, chromium, colour, needs_chromium, playwright, rgb, serving

pytestmark = [
    needs_chromium,
    pytest.mark.skipif(not OPENSEADRAGON.exists(), reason="installed without npm: no OpenSeadragon"),
]
MPP = 0.75
RESEARCH_USE = "For Research Use Only. Not for use in diagnostic procedures."


def write_scan(folder: Path, size: Size, seed: int) -> Path:
    phantom = Phantom(size, seed=seed)
    folder.mkdir(parents=True)
    write_mosaic(folder, phantom.size, phantom.recorded_bands(), MPP)
    return folder / "mosaic"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("watched")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, watched: Path) -> Iterator[str]:
    scan = write_scan(tmp_path_factory.mktemp("slides") / "first", Size(1300, 900), seed=4)
    with serving("view", str(scan), "--watch", str(watched)) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def reader(browser: "playwright.Browser", address: str) -> Iterator[Reader]:
    one = Reader(browser, address)
    yield one
    one.page.unroute_all(behavior="wait")  # a route still at work when the window closes is an error
    if "slide" in one.state():
        one.clear()
    one.context.close()
    assert one.problems == []
    assert one.hosts <= {one.own_host, ""}  # a blob: address of a download has no host


def test_opens_stained_then_pans_zooms_and_switches_layers(reader: Reader) -> None:
    page = reader.open()
    assert colour(reader.image()) > 10
    before = reader.state()
    page.mouse.move(500, 400)
    page.mouse.down()
    page.mouse.move(400, 340, steps=5)
    page.mouse.up()
    reader.until(lambda: float(reader.state()["x"]) > float(before["x"]))
    page.keyboard.press("Shift+Digit3")
    reader.until(lambda: reader.state()["mpp"] == "0.5")
    page.keyboard.press("ArrowDown")
    reader.until(lambda: float(reader.state()["y"]) > float(before["y"]))
    page.get_by_role("radio", name="Fluorescence").click()
    reader.until(lambda: colour(reader.image()) < 1 and reader.image().std() > 5)
    reader.until(lambda: reader.state()["layers"] == "fluorescence")


def test_research_use_and_the_stains_name_are_in_sight(reader: Reader) -> None:
    page = reader.open()
    assert page.get_by_text(RESEARCH_USE).first.is_visible()
    assert re.fullmatch(r"digitally stained: [\w-]+", page.locator("#stained").inner_text())
    page.keyboard.press("w")
    reader.until(lambda: page.locator(".pane .stain").count() == 2)
    reader.until(lambda: page.locator(".pane .stain").all_inner_texts()[0] == "not stained")
    assert page.locator(".pane .stain").all_inner_texts()[1].startswith("digitally stained: ")


def test_a_region_is_drawn_measured_saved_exported_undone(reader: Reader) -> None:
    page = reader.open()
    page.keyboard.press("Shift+Digit2")
    reader.until(lambda: reader.state()["mpp"] == "1")
    page.keyboard.press("a")
    for x, y in ((500, 300), (600, 300), (600, 400), (500, 400)):
        page.mouse.click(x, y)
    page.keyboard.press("Enter")
    reader.until(lambda: reader.saved()["features"])
    exported = json.loads(reader.download("g"))
    assert exported == reader.saved()
    (feature,) = exported["features"]
    ring = np.array(feature["geometry"]["coordinates"][0])
    assert feature["geometry"]["type"] == "Polygon"
    assert feature["properties"]["objectType"] == "annotation"
    assert (ring[0] == ring[-1]).all()
    np.testing.assert_allclose(np.ptp(ring, axis=0), 100 / MPP, atol=0.5)  # 100 screen pixels at 1 um each
    assert feature["properties"]["measurements"]["Area µm^2"] == pytest.approx(100 * 100, rel=0.01)
    page.keyboard.press("Control+z")
    reader.until(lambda: reader.saved()["features"] == [])
    page.keyboard.press("Control+y")
    reader.until(lambda: reader.saved() == exported)
    page.reload()
    page.keyboard.press("n")
    reader.until(lambda: page.locator(".note").count() == 1)
    page.get_by_role("button", name="Delete annotation 1").click()
    reader.until(lambda: reader.saved()["features"] == [])


def test_annotations_by_keyboard_alone(reader: Reader) -> None:
    page = reader.open()
    page.keyboard.press("m")
    page.keyboard.press(" ")
    before = [float(reader.state()[axis]) for axis in "xy"]
    page.keyboard.press("ArrowRight")
    reader.until(lambda: float(reader.state()["x"]) > before[0] + 50)
    reader.settle()
    page.keyboard.press(" ")
    page.keyboard.press("Enter")
    reader.until(lambda: reader.saved()["features"])
    (start, end) = reader.saved()["features"][0]["geometry"]["coordinates"]
    np.testing.assert_allclose(start, before, atol=1)
    assert end[0] == pytest.approx(float(reader.state()["x"]), abs=1)
    page.keyboard.press("Escape")
    page.keyboard.press("Delete")
    reader.until(lambda: reader.saved()["features"] == [])


def test_a_corner_is_dragged_while_the_slide_stays(reader: Reader) -> None:
    page = reader.open()
    page.keyboard.press("m")
    page.mouse.click(400, 300)
    page.mouse.click(600, 300)
    page.keyboard.press("Enter")
    page.keyboard.press("v")
    reader.until(lambda: reader.saved()["features"])
    ((_, before),) = (one["geometry"]["coordinates"] for one in reader.saved()["features"])
    place = reader.state()
    page.mouse.move(600, 300)
    page.mouse.down()
    page.mouse.move(600, 400, steps=4)
    page.mouse.up()
    reader.until(lambda: reader.saved()["features"][0]["geometry"]["coordinates"][1] != before)
    after = reader.saved()["features"][0]["geometry"]["coordinates"][1]
    assert after[0] == pytest.approx(before[0], abs=0.5)
    assert after[1] - before[1] == pytest.approx(100 * float(place["mpp"]) / MPP, rel=0.01)
    assert reader.state() == place
    page.keyboard.press("Control+z")  # the whole movement at once
    reader.until(lambda: reader.saved()["features"][0]["geometry"]["coordinates"][1] == before)


def test_two_who_annotate_at_once_keep_both(browser: "playwright.Browser", address: str) -> None:
    one, other = Reader(browser, address), Reader(browser, address)
    for reader in (one, other):
        reader.open()
        reader.page.keyboard.press("p")
    one.page.mouse.click(500, 400)
    one.until(lambda: len(one.saved()["features"]) == 1)
    first = one.saved()["features"][0]["id"]
    other.page.mouse.click(600, 300)
    other.page.get_by_text("changed elsewhere too").wait_for(timeout=WAIT)
    other.until(lambda: len(one.saved()["features"]) == 2)
    other.page.keyboard.press("Control+z")  # takes back its own point, not the other's
    other.until(lambda: len(one.saved()["features"]) == 1)
    assert one.saved()["features"][0]["id"] == first
    one.clear()
    for reader in (one, other):
        reader.context.close()


POINT = {"type": "Point", "coordinates": [300, 300]}
SQUARE = [[200, 200], [400, 200], [400, 400], [200, 200]]
ODD = [
    {"geometry": POINT},
    {"geometry": POINT, "properties": None},
    {"geometry": POINT, "properties": {"name": "<b>&", "classification": None, "metadata": None}},
    {
        "geometry": POINT,
        "properties": {"classification": {"name": None, "color": None}, "metadata": {"kind": "toString"}},
    },
    {"geometry": POINT, "properties": {"metadata": {"kind": "margin", "centre": "x", "twelve": ","}}},
    {"geometry": {"type": "LineString", "coordinates": SQUARE}, "properties": {"metadata": {"kind": "__proto__"}}},
    {"geometry": {"type": "MultiPoint", "coordinates": SQUARE}, "properties": {"metadata": {"kind": "length"}}},
    {"geometry": {"type": "MultiLineString", "coordinates": [SQUARE]}, "properties": {"metadata": {"kind": "point"}}},
    {"geometry": {"type": "MultiPolygon", "coordinates": [[SQUARE]]}, "id": 3},
    {"geometry": {"type": "Polygon", "coordinates": [SQUARE, SQUARE]}, "id": 3},
]


def test_whatever_the_schema_lets_through_is_shown_and_saved_again(reader: Reader) -> None:
    page = reader.open()
    body = {"type": "FeatureCollection", "features": [{"type": "Feature"} | feature for feature in ODD]}
    status = page.evaluate(
        """async ([path, body]) => {
          const headers = { "If-Match": (await fetch(path)).headers.get("ETag") };
          return (await fetch(path, { method: "PUT", headers, body: JSON.stringify(body) })).status;
        }""",
        [f"/api/slides/{reader.state()['slide']}/annotations", body],
    )
    assert status == 200
    page.reload()
    reader.open()
    page.keyboard.press("n")
    reader.until(lambda: page.locator("#note-list li").count() == len(ODD))
    page.keyboard.press("p")
    page.mouse.click(500, 400)
    reader.until(lambda: len(reader.saved()["features"]) == len(ODD) + 1)


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "merged"),
    [
        ("", "a1", "b1", "b1 a1"),
        ("a1 b1", "a2 b1", "a1 b2", "a2 b2"),
        ("a1 b1", "b1", "a1 b1 c1", "b1 c1"),
        ("a1 b1", "a1 b1 c1", "b1", "b1 c1"),
        ("a1", "", "a2", "a?"),
        ("a1", "a2", "", "a2 a?"),
        ("a1", "a2", "a2", "a2"),
        ("a1", "a2", "a3", "a2 a?"),
    ],
    ids=["added", "changed", "removed here", "removed there", "changed there", "changed here", "alike", "differently"],
)
def test_changes_of_both_sides_are_merged(reader: Reader, base: str, mine: str, theirs: str, merged: str) -> None:
    """Features are written as their id and their version; a ? instead of it asks which one stays."""
    sides = [[{"id": word[0], "version": word[1]} for word in side.split()] for side in (base, mine, theirs)]
    script = """async (sides) => {
      const { features, conflicts } = (await import('/static/merge.js')).merge(...sides);
      return [...features.map(({ id, version }) => id + version), ...[...conflicts.keys()].map((id) => `${id}?`)];
    }"""
    assert " ".join(reader.open().evaluate(script, sides)) == merged


def test_a_margin_is_named_by_the_clock_also_on_a_mirrored_slide(reader: Reader) -> None:
    page = reader.open()
    for flip in ("", "f"):
        if flip:
            page.keyboard.press(flip)
            reader.until(lambda: reader.state().get("flip") == "1")
        page.keyboard.press("c")
        for x, y in ((600, 400), (600, 250), (750, 400), (600, 550)):  # centre, 12, 3 and 6 o'clock as seen
            page.mouse.click(x, y)
        reader.until(lambda: reader.saved()["features"])
        names = [feature["properties"]["name"] for feature in reader.saved()["features"]]
        assert names == ["Margin 3:00 to 6:00"]
        page.keyboard.press("Escape")
        page.keyboard.press("Delete")
        reader.until(lambda: reader.saved()["features"] == [])


def test_a_snapshot_shows_the_stain_and_carries_the_line(reader: Reader) -> None:
    reader.open()
    picture = rgb(io.BytesIO(reader.download("x")))
    height, width = picture.shape[:2]
    stage = reader.page.locator("#stage").bounding_box()
    assert (width, height) == (round(stage["width"]), round(stage["height"]) + 58)
    assert colour(picture[: height - 58]) > 8
    foot = picture[height - 56 :]
    assert np.median(foot) < 40
    assert 0.005 < (foot > 200).mean() < 0.2  # bright letters on it
    bar = picture[height - 58 - 30 : height - 58 - 18, 10:190]
    assert (bar.min(axis=-1) > 240).sum(axis=1).max() > 30  # the scale bar, a white line


def test_under_the_curtain_lies_the_other_layer(reader: Reader) -> None:
    page = reader.open()
    page.keyboard.press("w")
    reader.settle()

    def sides() -> tuple[float, float]:
        middle = reader.screen()[250:450]
        width = middle.shape[1]
        return colour(middle[:, width // 3 : width // 2 - 30]), colour(middle[:, width // 2 + 30 : 2 * width // 3])

    reader.until(lambda: sides()[0] < 2 < 10 < sides()[1])
    page.locator("#divider").focus()
    page.keyboard.press("Home")
    reader.until(lambda: sides()[0] > 10)


def test_side_by_side_panes_move_as_one(reader: Reader) -> None:
    page = reader.open()
    page.keyboard.press("Shift+Digit1")
    reader.until(lambda: reader.state()["mpp"] == "2")
    page.keyboard.press("e")
    reader.until(lambda: page.locator(".pane").count() == 2 and "," in reader.state()["layers"])
    reader.settle()
    assert reader.state()["mpp"] == "2"
    stain = page.locator(".pane select").nth(1).input_value()
    page.locator(".pane select").nth(0).select_option(stain)
    page.keyboard.press("]")
    page.keyboard.press("Shift+Digit3")
    page.keyboard.press("ArrowLeft")

    def differ() -> float:
        left, right = reader.image(0).astype(float), reader.image(1).astype(float)
        return float(np.abs(left - right).mean())

    reader.settle()
    reader.until(lambda: differ() < 1)
    reader.until(lambda: reader.state()["turn"] == "15")
    page.keyboard.press("l")
    page.keyboard.press("ArrowLeft")
    reader.until(lambda: differ() > 5)


def test_a_link_leads_back_to_the_view(reader: Reader) -> None:
    slide = reader.open() and reader.state()["slide"]
    link = f"#slide={slide}&mode=single&layers=reflectance&x=600&y=400&mpp=0.8&turn=30&flip=1"
    reader.page.goto("about:blank")
    reader.open(link)
    reader.until(lambda: reader.state().get("turn") == "30")
    assert reader.page.url.endswith(link)
    assert colour(reader.image()) < 1
    assert reader.page.get_by_role("radio", name="Reflectance").get_attribute("aria-checked") == "true"


def test_brightness_and_gamma_change_the_view_and_say_so(reader: Reader) -> None:
    page = reader.open()
    page.get_by_role("radio", name="Reflectance").click()
    reader.until(lambda: colour(reader.image()) < 1)
    page.keyboard.press("b")
    reader.settle()
    before = reader.screen()[200:500, 200:600].mean()
    page.get_by_role("slider", name="Gamma").fill("0.7")
    page.get_by_text("adjusted:").wait_for(timeout=WAIT)
    reader.until(lambda: reader.screen()[200:500, 200:600].mean() > before * 1.2)
    page.get_by_role("button", name="Reset").click()
    page.get_by_text("adjusted:").wait_for(state="hidden", timeout=WAIT)


def test_a_new_scan_shows_up(reader: Reader, watched: Path, tmp_path: Path) -> None:
    page = reader.open()
    shutil.copytree(write_scan(tmp_path / "second", Size(500, 400), seed=9).parent, watched / "second")
    page.get_by_role("button", name="Show", exact=True).click(timeout=WAIT)
    reader.until(lambda: page.title().startswith("second"))


def test_what_cannot_be_shown_is_listed_with_the_reason(reader: Reader, watched: Path) -> None:
    page = reader.open()
    page.keyboard.press("s")
    assert page.locator("#refused").is_hidden()
    (watched / "notes.txt").write_text("hello")
    page.get_by_text("Not shown: 1").click(timeout=WAIT)
    assert re.fullmatch(r"notes\.txt\s*notes\.txt: .+", page.locator("#refused li").inner_text(), re.DOTALL)
    (watched / "notes.txt").unlink()
    page.locator("#refused").wait_for(state="hidden", timeout=WAIT)


def test_everything_has_a_name_and_fingers_can_hit_it(browser: "playwright.Browser", address: str) -> None:
    reader = Reader(browser, address, viewport={"width": 820, "height": 1180}, has_touch=True)
    page = reader.open()
    page.tap("#notes-toggle")
    page.tap("#slides-toggle")
    nameless, small = page.evaluate(
        """() => {
          const controls = [...document.querySelectorAll("button, select, input, [role=slider]")];
          const seen = controls.filter((one) => one.offsetParent);
          const label = (one) => one.getAttribute("aria-label") || one.labels?.[0]?.textContent;
          const nameless = seen.filter((one) => !(label(one) || one.textContent.trim()));
          const side = ({ width, height }) => Math.min(width, height);
          const small = seen.filter((one) => side(one.getBoundingClientRect()) < 44);
          return [nameless, small].map((list) => list.map((one) => one.outerHTML.slice(0, 120)));
        }"""
    )
    assert (nameless, small, reader.problems) == ([], [], [])
    page.tap("#tool-point")
    page.touchscreen.tap(400, 700)
    reader.until(lambda: reader.saved()["features"])
    page.tap("#undo")
    reader.until(lambda: reader.saved()["features"] == [])
    reader.clear()
    reader.context.close()


def test_geometry_of_the_page(reader: Reader) -> None:
    """There and back again, at any turn, mirrored or not; and the page's numbers for eyes."""
    page = reader.page
    page.goto(reader.address)
    worst, link, texts = page.evaluate(
        """async () => {
          const { toScreen, toSlide } = await import("/static/geometry.js");
          const { formatLink, parseLink } = await import("/static/link.js");
          const units = await import("/static/units.js");
          let worst = 0;
          for (const rotation of [0, 15, 90, 200, -45]) for (const flipped of [false, true]) {
            const view = { x: 5000, y: 7000, scale: 0.37, rotation, flipped, width: 900, height: 700 };
            for (const point of [[0, 0], [5000, 7000], [20000, 3]]) {
              const back = toSlide(view, toScreen(view, point));
              worst = Math.max(worst, Math.hypot(back[0] - point[0], back[1] - point[1]));
            }
          }
          const panes = [{ slide: "a", layer: "swift" }, { slide: "b", layer: "histology" }];
          const place = { x: 12, y: 34, mpp: 0.25, rotation: 30, flipped: true };
          const given = { slide: "a", mode: "side", panes, view: place };
          const same = JSON.stringify(parseLink(formatLink(given))) === JSON.stringify(given);
          const bar = units.scaleBar(0.5, 1, 140);
          const sizes = [units.lengthText(1234, 1), units.areaText(2.5e6, 1)];
          const texts = [...sizes, bar.text, bar.pixels, units.micronsAt(20)];
          return [worst, same, texts];
        }"""
    )
    assert worst < 1e-6
    assert link
    assert texts == ["1.23 mm", "2.50 mm²", "50 µm", 100, 0.5]


def test_the_page_says_what_an_overview_shows(reader: Reader) -> None:
    page = reader.page
    page.goto(reader.address)
    texts = page.evaluate(
        """async () => {
          const { describeSource } = await import("/static/words.js");
          const network = { kind: "stain", closed_form: false };
          const seen = [["network", "closed-form"], ["average"], ["network"]];
          return seen.map((said) => describeSource(network, new Set(said)).state);
        }"""
    )
    assert texts == ["preview", "network", "network"]


def test_a_preview_says_so_until_the_network_has_been_there(reader: Reader) -> None:
    """The server's answers are altered on their way: a closed form poses as a network that is not done yet."""
    done = False

    def slides(route: "playwright.Route") -> None:
        answer = route.fetch()
        described = answer.json()
        for layer in described[0]["layers"]:
            layer["closed_form"] = False
        route.fulfill(response=answer, json=described)

    def tile(route: "playwright.Route") -> None:
        answer = route.fetch()
        source = "average" if done else "closed-form"
        route.fulfill(response=answer, headers={**answer.headers, "x-confostain-source": source})

    reader.page.route("**/api/slides", slides)
    reader.page.route("**/tiles/**", tile)
    reader.page.route("**/status/*", lambda route: route.fulfill(json=dict.fromkeys(range(9), float(done))))
    page = reader.open()
    page.get_by_text("Approximate stain until computed").wait_for(timeout=WAIT)
    done = True
    page.get_by_text("Computed; averaged for this overview").wait_for(timeout=WAIT)
