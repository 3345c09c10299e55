"""The HTTP interface, through a socket."""

import io
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from confostain.inference.despeckle import despeckle
from confostain.inference.stain import stain_slide
from confostain.slide import Slide
from confostain.viewer.app import create_app
from confostain.viewer.guard import AccessRules
from confostain.viewer.library import Library
from confostain.viewer.priority_executor import PriorityExecutor
from confostain.viewer.stained_layer import StainedLayer


def pixels(response: httpx.Response) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(response.content)).convert("RGB"))


def test_slides_are_described(client: httpx.Client) -> None:
    client.get("/api/slides/x/status/y")
    (slide,) = client.get("/api/slides").json()
    assert (slide["width"], slide["height"], slide["levels"], slide["tile"]) == (4433, 1169, 6, 256)
    assert slide["microns_per_pixel"] == pytest.approx(0.75)
    assert [layer["id"] for layer in slide["layers"]][:1] == ["gareau"]
    assert {"reflectance", "fluorescence", "beer-lambert"} < {layer["id"] for layer in slide["layers"]}
    assert slide["label"] == "digitally stained: gareau"


def test_lossless_tiles_are_what_stain_writes(
    client: httpx.Client, slide_url: str, large_slide: Slide, tmp_path: Path
) -> None:
    stain_slide(large_slide, tmp_path / "part.png", model="gareau", region=(768, 256, 512, 256))
    expected = np.asarray(Image.open(tmp_path / "part.png"))
    for column in (3, 4):
        response = client.get(f"{slide_url}/tiles/gareau/0/{column}_1.png")
        x = column * 256 - 768
        np.testing.assert_array_equal(pixels(response), expected[:, x : x + 256])
        assert response.headers["x-confostain-source"] == "closed-form"


def test_jpeg_tiles_look_the_same_and_border_tiles_are_cut(client: httpx.Client, slide_url: str) -> None:
    lossless, lossy = (client.get(f"{slide_url}/tiles/gareau/1/8_2.{form}") for form in ("png", "jpg"))
    assert lossy.headers["content-type"] == "image/jpeg"
    assert pixels(lossless).shape == (585 - 512, 2217 - 2048, 3)
    assert np.abs(pixels(lossless).astype(int) - pixels(lossy)).mean() < 3


def test_channels_are_grey_and_shown_everywhere(client: httpx.Client, slide_url: str, large_slide: Slide) -> None:
    pair = large_slide.read_region((1024, 512), (256, 256))  # on glass, which no stain shows
    for channel, name in zip(pair, ("reflectance", "fluorescence"), strict=True):
        shown = pixels(client.get(f"{slide_url}/tiles/{name}/0/4_2.png"))
        np.testing.assert_array_equal(shown, np.rint(channel * 255).astype(np.uint8)[..., None].repeat(3, 2))


def test_the_despeckled_channel_is_what_the_network_makes(
    client: httpx.Client, slide_url: str, large_slide: Slide
) -> None:
    if "despeckled" not in {layer["id"] for layer in client.get("/api/slides").json()[0]["layers"]}:
        pytest.skip("no despeckler comes with this installation")
    reflectance = large_slide.read_region((0, 0), (1024, 512))[0]
    clean = np.rint(np.minimum(despeckle(reflectance), 1) * 255).astype(int)
    response = client.get(f"{slide_url}/tiles/despeckled/0/1_0.png")
    assert response.headers["x-confostain-source"] == "network"
    shown = pixels(response)[:200, :, 0].astype(int)  # nearer to the lower edge the two see different pixels
    assert np.abs(shown - clean[:200, 256:512]).max() <= 1


def test_a_known_tile_is_not_sent_again(client: httpx.Client, slide_url: str) -> None:
    first = client.get(f"{slide_url}/tiles/gareau/0/1_1.jpg")
    again = client.get(f"{slide_url}/tiles/gareau/0/1_1.jpg", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "private" in first.headers["cache-control"]


def test_previews_become_averages_and_the_status_says_so(client: httpx.Client, slide_url: str) -> None:
    first = client.get(f"{slide_url}/tiles/gareau/5/0_0.png")
    assert first.headers["x-confostain-source"] == "closed-form"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        status = client.get(f"{slide_url}/status/gareau").json()
        if status["5"] == 1:
            break
        time.sleep(0.05)
    last = client.get(f"{slide_url}/tiles/gareau/5/0_0.png")
    assert last.headers["x-confostain-source"] == "average"
    assert first.headers["etag"] != last.headers["etag"]
    assert status == {str(level): 1.0 for level in range(6)}
    assert np.abs(pixels(first).astype(int) - pixels(last)).mean() < 8


def test_thumbnails_are_small(client: httpx.Client, slide_url: str) -> None:
    assert pixels(client.get(f"{slide_url}/thumbnail/reflectance.jpg")).shape == (37, 139, 3)


@pytest.mark.parametrize(
    "path",
    [
        "/api/slides/nobody/tiles/gareau/0/0_0.jpg",
        "{slide}/tiles/nothing/0/0_0.jpg",
        "{slide}/tiles/gareau/6/0_0.jpg",
        "{slide}/tiles/gareau/0/18_0.jpg",
        "{slide}/tiles/gareau/0/0_5.jpg",
        "{slide}/tiles/gareau/0/0_0.tif",
        "{slide}/tiles/gareau/-1/0_0.jpg",
        "{slide}/tiles/gareau/0/0_0.jpg/..",
        "/api/slides/..%2f..%2fetc%2fpasswd/annotations",
        "/static/..%2f..%2fapp.py",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/..%2f..%2f..%2fetc/passwd",
    ],
)
def test_what_does_not_exist_is_refused(client: httpx.Client, slide_url: str, path: str) -> None:
    response = client.get(path.replace("{slide}", slide_url))
    assert response.status_code in (404, 422)
    assert "import" not in response.text
    assert "root:" not in response.text


def test_a_client_that_has_moved_on_gets_nothing(
    client: httpx.Client, slide_url: str, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All threads are held up; meanwhile three views of one client come, and only the last is rendered."""
    next(iter(library.entries.values())).layers.result(60)
    gate, rendered, render = threading.Event(), [], StainedLayer.render

    def held_up(self: StainedLayer, tile):  # type: ignore[no-untyped-def]
        rendered.append(tile.column)
        gate.wait(60)
        return render(self, tile)

    monkeypatch.setattr(StainedLayer, "render", held_up)
    monkeypatch.setattr(StainedLayer, "next_background_work", lambda self, focus: None)
    monkeypatch.setattr(StainedLayer, "preparation", lambda self, tile: None)  # one task for each request
    answers: dict[int, int] = {}
    arrived, submit = threading.Semaphore(0), PriorityExecutor.submit

    def submitted(self: PriorityExecutor, *arguments):  # type: ignore[no-untyped-def]
        task = submit(self, *arguments)
        arrived.release()
        return task

    monkeypatch.setattr(PriorityExecutor, "submit", submitted)

    def ask(column: int, view: int) -> None:
        headers = {"X-Confostain-Client": "anna", "X-Confostain-View": str(view), "X-Confostain-Focus": "10.5,20"}
        url = f"{client.base_url}{slide_url}/tiles/gareau/0/{column}_0.jpg"
        answers[column] = httpx.get(url, headers=headers, timeout=60).status_code

    threads = []
    for column, view in [(0, 1), (1, 1), (2, 1), (3, 1), (4, 2), (5, 3)]:
        threads.append(threading.Thread(target=ask, args=(column, view)))
        threads[-1].start()
        assert arrived.acquire(timeout=60)
    gate.set()
    for thread in threads:
        thread.join()
    begun = set(rendered) - {5}
    assert len(begun) <= 4
    assert answers[5] == 200
    assert {column for column, status in answers.items() if status == 204} == set(range(5)) - begun != set()


def test_slides_that_come_are_announced(client: httpx.Client, library: Library, phantom_scan: Path) -> None:
    library.watch(phantom_scan.parent)
    with client.stream("GET", "/api/events") as stream:
        lines = stream.iter_lines()
        assert next(line for line in lines if line.startswith("event")) == "event: slides"
    slides = client.get("/api/slides").json()
    assert len(slides) == 2
    assert slides[1]["name"] == phantom_scan.parent.name


def test_a_real_section_is_shown_at_every_level(client: httpx.Client, library: Library, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    picture = np.kron(rng.integers(0, 255, (75, 101, 3), np.uint8), np.ones((8, 8, 1), np.uint8))[:599, :801]
    Image.fromarray(picture).save(tmp_path / "section.png")
    library.add_histology(tmp_path / "section.png", 0.5)
    slide = client.get("/api/slides").json()[1]
    assert (slide["kind"], slide["label"], slide["levels"]) == ("histology", "H&E", 3)
    url = f"/api/slides/{slide['id']}/tiles/histology"
    np.testing.assert_array_equal(pixels(client.get(f"{url}/0/1_1.png")), picture[256:512, 256:512])
    assert pixels(client.get(f"{url}/1/1_1.png")).shape == (300 - 256, 401 - 256, 3)
    coarse = pixels(client.get(f"{url}/2/0_0.png")).astype(float)
    mean = picture[:596, :800].reshape(149, 4, 200, 4, 3).mean((1, 3))
    assert np.abs(coarse[:149, :200] - mean).mean() < 2


def test_the_page_and_the_interface_are_described(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    paths = client.get("/openapi.json").json()["paths"]
    assert "/api/slides/{slide}/tiles/{layer}/{level}/{column}_{row}.{form}" in paths
    assert client.get("/docs").status_code == 404


def test_create_app_starts_nothing_by_itself(library: Library) -> None:
    before = threading.active_count()
    create_app(library, AccessRules())
    assert threading.active_count() == before
