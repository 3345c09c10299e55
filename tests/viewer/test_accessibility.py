"""The page judged by axe-core, which comes from the npm registry for this test alone."""

import hashlib
import shutil
import subprocess
import tarfile
from collections.abc import Iterator

import pytest

from annotated_slides import write_scan
from confostain.geometry import Size
from confostain.viewer.serving import OPENSEADRAGON
from headless_browser import Reader, chromium, needs_chromium, playwright, serving

AXE = "axe-core@4.11.0"
SHA512 = (
    "8a561a9c453cbf1c417b1a4977c716338125490ab841cb422ca8a1d1349f8c87"
    "c24137b21ffeb356b98825f2cfaca4ca2516e21be71f9d96d02230252661758d"
)
pytestmark = [
    needs_chromium,
    pytest.mark.skipif(not OPENSEADRAGON.exists(), reason="installed without npm: no OpenSeadragon"),
]


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script; skips where npm cannot fetch it."""
    npm, folder = shutil.which("npm"), tmp_path_factory.mktemp("axe")
    if npm is None:
        pytest.skip("no npm")
    try:
        subprocess.run([npm, "pack", AXE, "--silent"], cwd=folder, check=True, capture_output=True, timeout=120)
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"npm could not fetch {AXE}: {error}")
    (packed,) = folder.glob("*.tgz")
    assert hashlib.sha512(packed.read_bytes()).hexdigest() == SHA512
    with tarfile.open(packed) as archive:
        script = archive.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    scan = write_scan(tmp_path_factory.mktemp("slides") / "first", Size(900, 700), seed=4)
    with serving("view", str(scan)) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with chromium() as browser:
        yield browser


STATES = {
    "single": "",
    "curtain and panels": "wsn",
    "side by side, brightness": "eb",
    "drawing, bookmarks": "ck",
    "overlays": "o",
    "viewed area and its map": "iy",
    "help": "?",
    "light": "dsb",
}


@pytest.mark.parametrize("size", [(1440, 900), (1024, 768), (2560, 1440)], ids=lambda size: "x".join(map(str, size)))
def test_axe_finds_no_violation(browser: "playwright.Browser", address: str, axe: str, size: tuple[int, int]) -> None:
    found: dict[str, list[str]] = {}
    for name, keys in STATES.items():
        reader = Reader(browser, address, viewport={"width": size[0], "height": size[1]})
        page = reader.open()
        for key in keys:
            page.keyboard.press(key)
        page.wait_for_timeout(500)
        page.evaluate(axe)
        violations = page.evaluate("axe.run().then(({ violations }) => violations)")
        found[name] = [f"{one['id']}: {one['nodes'][0]['html'][:150]}" for one in violations]
        reader.context.close()
    assert {name: violations for name, violations in found.items() if violations} == {}
