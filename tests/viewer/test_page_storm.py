"""Two readers annotate one slide at random, each in a browser, while the server is killed now and then.

A short run by default; ANNOTATION_STORM=600 pytest -s tests/viewer/test_page_storm.py makes 600 steps and says more.
"""

import os
import random
from collections.abc import Iterator

import httpx
import pytest

from annotated_slides import SCAN_MPP, Colleague, point, write_scan
from confostain.viewer.serving import OPENSEADRAGON
from headless_browser import Reader, Server, chromium, needs_chromium, playwright

pytestmark = [
    needs_chromium,
    pytest.mark.skipif(not OPENSEADRAGON.exists(), reason="installed without npm: no OpenSeadragon"),
    pytest.mark.timeout(0 if "ANNOTATION_STORM" in os.environ else 300),
]
STEPS = int(os.environ.get("ANNOTATION_STORM", "24"))
STEPS_UP, STEPS_DOWN = 8, 4  # between two kills, and until the server is back
CENTRE = (450, 350)  # of the view, in level-0 pixels, which are as large as CSS pixels
SHARED = 4  # annotations that one reader renames while the other one moves them


class Annotator:
    """A reader who remembers what should be there in the end."""

    def __init__(self, browser: "playwright.Browser", address: str, slide: str, number: int) -> None:
        self.number, self.chance = number, random.Random(number)
        self.window = Reader(browser, address)
        self.page = self.window.page
        self.link = f"#slide={slide}&mode=single&layers=reflectance&x={CENTRE[0]}&y={CENTRE[1]}&mpp={SCAN_MPP}"
        self.names: set[str] = set()  # of annotations that only this reader changes
        self.shared: dict[int, object] = {}  # number of an annotation of both -> its new name or place
        self.count = 0
        self.away = False

    def come(self) -> None:
        self.window.open(self.link)
        self.page.locator("#notes-toggle").click()
        self.window.until(lambda: self.page.locator("#saved").inner_text() == "saved")
        box = self.page.locator(".pane-image").bounding_box()
        self.middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.away = False

    def leave(self) -> None:
        self.page.goto("about:blank")
        self.away = True

    def step(self) -> None:
        if self.away:
            return
        self.count += 1
        self.chance.choice([self.add, self.add, self.rename, self.remove, self.change_shared, self.undo_and_redo])()

    def _field(self, start: str) -> "playwright.Locator":
        inputs = self.page.locator(".note input")
        names = inputs.evaluate_all("inputs => inputs.map((one) => one.value)")
        return inputs.nth(next(i for i, name in enumerate(names) if name.startswith(start)))

    def _click(self, xy: tuple[float, float]) -> None:
        self.page.mouse.click(*self._place(xy))

    def _place(self, xy: tuple[float, float]) -> tuple[float, float]:
        return self.middle[0] + xy[0] - CENTRE[0], self.middle[1] + xy[1] - CENTRE[1]

    def add(self) -> None:
        name = f"{self.number}-{self.count}."
        self.page.keyboard.press("p")
        self._click((self.chance.randint(250, 600), self.chance.randint(380, 500)))
        self.page.locator(".note.selected input").press_sequentially(name)
        self.page.locator(".note.selected input").blur()
        self.page.keyboard.press("v")
        self.names.add(name)

    def rename(self) -> None:
        if self.names:
            old, new = self.chance.choice(sorted(self.names)), f"{self.number}-{self.count}!"
            field = self._field(old)
            field.fill(new)
            field.blur()
            self.names = self.names - {old} | {new}

    def remove(self) -> None:
        if len(self.names) > 2:
            name = self.chance.choice(sorted(self.names))
            self._field(name).locator("xpath=..").get_by_role("button").click()
            self.names.remove(name)

    def undo_and_redo(self) -> None:
        if self.names and not self.page.locator("#undo").is_disabled():
            self.page.locator("#undo").click()
            self.page.locator("#redo").click()

    def change_shared(self) -> None:
        number = self.chance.randrange(SHARED)
        if self.number == 0:
            self.shared[number] = f"shared {number} by {self.count}"
            field = self._field(f"shared {number}")
            field.fill(self.shared[number])
            field.blur()
        else:
            old = self.shared.get(number, start_of(number))
            new = (old[0], self.chance.randint(180, 320))
            self.page.keyboard.press("v")
            self._click(old)
            self.page.mouse.move(*self._place(old))
            self.page.mouse.down()
            self.page.mouse.move(*self._place(new), steps=3)
            self.page.mouse.up()
            self.shared[number] = new


def start_of(number: int) -> tuple[int, int]:
    return 260 + 80 * number, 250


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server("view", str(write_scan(tmp_path_factory.mktemp("slides") / "scan")), "--model", "gareau") as server:
        yield server


def test_two_readers_and_a_killed_server_lose_nothing(server: Server) -> None:
    slide = httpx.get(f"{server.address}api/slides").json()[0]["id"]
    file = Colleague(server.address, slide)
    shared = [point(f"s{i}", f"shared {i}") for i in range(SHARED)]
    for i, feature in enumerate(shared):
        feature["geometry"] = {"type": "Point", "coordinates": list(start_of(i))}
    file.write(shared)
    chance, kills = random.Random(5), 0
    with chromium() as browser:
        readers = [Annotator(browser, server.address, slide, number) for number in range(2)]
        for reader in readers:
            reader.come()
        for step in range(STEPS):
            if step % (STEPS_UP + STEPS_DOWN) == STEPS_UP:
                server.kill()
                kills += 1
                if chance.random() < 0.5:
                    chance.choice(readers).leave()
            elif step and step % (STEPS_UP + STEPS_DOWN) == 0:
                server.start()
                for reader in readers:
                    if reader.away:
                        reader.come()
            for reader in readers:
                reader.step()
        server.kill()
        server.start()
        for reader in readers:
            if reader.away:
                reader.come()
        check(readers, file)
    print(f"{STEPS} steps of each reader, {kills + 1} kills, {len(file.features())} annotations")  # noqa: T201


def check(readers: list[Annotator], file: Colleague) -> None:
    """Everything is in the file, and both pages show it."""
    for reader in readers:
        reader.window.until(lambda page=reader.page: page.locator("#saved").inner_text() == "saved")
        drafts = "Object.keys(localStorage).filter((key) => key.startsWith('confostain.draft'))"
        assert reader.page.evaluate(drafts) == []
        assert reader.page.locator(".conflict").count() == 0
    features = file.features()
    own = sorted(one["properties"]["name"] for one in features if not str(one["id"]).startswith("s"))
    assert own == sorted(readers[0].names | readers[1].names)
    for one in (one for one in features if str(one["id"]).startswith("s")):
        number = int(one["id"][1:])
        assert one["properties"]["name"] == readers[0].shared.get(number, f"shared {number}")
        place = readers[1].shared.get(number, start_of(number))
        assert one["geometry"]["coordinates"] == pytest.approx(place, abs=1)
    assert len(features) == len(own) + SHARED
    for reader in readers:
        reader.page.reload()
        reader.page.locator("#notes-toggle").click()
        reader.window.until(lambda page=reader.page: page.locator(".note").count() == len(features))
