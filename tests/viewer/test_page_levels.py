"""Black and white point, histogram, composite and captions of colours in a real browser."""

import io
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from annotated_slides import write_scan
from confostain.viewer.serving import OPENSEADRAGON
from headless_browser import WAIT, Reader, chromium, needs_chromium, playwright, rgb, serving

pytestmark = [
    needs_chromium,
    pytest.mark.skipif(not OPENSEADRAGON.exists(), reason="installed without npm: no OpenSeadragon"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving("view", str(write_scan(tmp_path_factory.mktemp("slides") / "scan")), "--model", "gareau") as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def reader(browser: "playwright.Browser", address: str) -> Iterator[Reader]:
    one = Reader(browser, address)
    yield one
    one.context.close()
    assert one.problems == []


def link(address: str, layer: str, more: str = "") -> str:
    (slide,) = httpx.get(f"{address}api/slides").json()
    return f"#slide={slide['id']}&mode=single&layers={layer}&x=450&y=350&mpp=0.75{more}"


@pytest.mark.parametrize(
    ("black", "white", "said"),
    [
        (40, 255, "adjusted: black 40"),
        (0, 120, "adjusted: white 120"),
        (30, 100, "adjusted: black 30, white 100"),
    ],
)
def test_picture_snapshot_caption_and_link_follow_black_and_white_point(
    reader: Reader, address: str, black: int, white: int, said: str
) -> None:
    page = reader.open(link(address, "reflectance"))
    page.keyboard.press("b")
    for which, value in (("Black", black), ("White", white)):
        page.get_by_label(f"{which} point, 0 to 255").fill(str(value))
        page.keyboard.press("Tab")
    page.locator(".pane-caption", has_text=said).wait_for(timeout=WAIT)
    reader.until(lambda: reader.state().get("adjust") == f"1:1:{black}:{white}")
    page.locator("#stage").focus()
    picture = rgb(io.BytesIO(reader.download("x")))
    reader.settle()
    seen, stored = reader.screen(), reader.image()
    expected = np.rint(255 * np.clip((stored.astype(float) - black) / (white - black), 0, 1))
    middle = np.s_[150:450, 300:500]
    for got in (seen, picture):
        assert np.abs(got[middle].astype(int) - expected[middle]).max() <= 3
    assert stored[middle].std() > 5
    page.reload()
    page.locator(".pane-caption", has_text=said).wait_for(timeout=WAIT)


@pytest.mark.parametrize(("black", "white", "kept"), [(300, 255, 254), (-5, 255, 0), (200, 100, 99)])
def test_the_black_point_stays_below_the_white_one(
    reader: Reader, address: str, black: int, white: int, kept: int
) -> None:
    page = reader.open(link(address, "reflectance"))
    page.keyboard.press("b")
    for which, value in (("White", white), ("Black", black)):
        page.get_by_label(f"{which} point, 0 to 255").fill(str(value))
        page.keyboard.press("Tab")
    assert page.get_by_label("Black point, 0 to 255").input_value() == str(kept)
    page.get_by_role("button", name="Reset").click()
    assert page.get_by_label("Black point, 0 to 255").input_value() == "0"
    assert page.get_by_label("White point, 0 to 255").input_value() == "255"
    page.locator(".pane-caption .adjusted").first.wait_for(state="hidden", timeout=WAIT)


@pytest.mark.parametrize(
    ("pixels", "counts"),
    [
        ([[1, 2, 3, 255]], [{1: 1}, {2: 1}, {3: 1}]),
        ([[9, 9, 9, 0], [0, 255, 7, 255], [0, 0, 7, 255]], [{0: 2}, {255: 1, 0: 1}, {7: 2}]),
        ([[5, 5, 5, 254]], [{}, {}, {}]),
    ],
    ids=["one pixel", "one outside the slide", "at its border"],
)
def test_histogram(reader: Reader, pixels: list[list[int]], counts: list[dict[int, int]]) -> None:
    reader.page.goto(reader.address)
    script = "async (data) => (await import('/static/levels.js')).histogramOf({ data }).map((one) => [...one])"
    found = reader.page.evaluate(script, [value for pixel in pixels for value in pixel])
    assert [{value: count for value, count in enumerate(one) if count} for one in found] == counts


def test_the_histogram_is_of_the_view_or_of_the_whole_slide(reader: Reader, address: str) -> None:
    page = reader.open(link(address, "composite"))
    page.locator(".pane-caption", has_text="not stained, reflectance magenta, fluorescence green").wait_for(
        timeout=WAIT
    )
    page.keyboard.press("b")
    histogram = page.locator(".histogram")
    reader.until(lambda: int(histogram.get_attribute("data-pixels") or 0) > 10_000)
    of_view = histogram.get_attribute("data-pixels")
    page.get_by_role("button", name="Histogram of the whole slide").click()
    reader.until(lambda: histogram.get_attribute("data-pixels") not in (of_view, "0"))
    assert int(histogram.get_attribute("data-pixels") or 0) == 225 * 175


@pytest.mark.parametrize(
    ("layer", "caption"),
    [
        (
            {"kind": "histology", "label": "H&E", "colours": "in sRGB by its profile"},
            "real H&E, in sRGB by its profile",
        ),
        ({"kind": "histology", "label": "H&E", "colours": ""}, "real H&E"),
        ({"kind": "channel", "label": "Fluorescence", "colours": ""}, "not stained"),
    ],
)
def test_captions_say_what_colours_mean(reader: Reader, layer: dict[str, str], caption: str) -> None:
    reader.page.goto(reader.address)
    script = "async (layer) => (await import('/static/words.js')).caption(null, layer)"
    assert reader.page.evaluate(script, layer) == caption
