"""Makes the pictures of docs/viewer.md: a phantom slide in a headless Chromium, stained with the default model.

python scripts/viewer_pictures.py   # needs chromium and the packages that the tests need
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
from pathlib import Path

from PIL import Image

from confostain.geometry import Size

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # the browser that the tests use

from annotated_slides import write_scan  # noqa: E402
from headless_browser import Reader, chromium, serving  # noqa: E402

SIZES = {"viewer-curtain": (1440, 900), "viewer-annotations": (1440, 900)}  # CSS pixels
CLICKS = {
    "a": [(240, 420), (300, 390), (370, 430), (380, 500), (310, 540), (250, 510)],
    "m": [(520, 330), (820, 420)],
    "c": [(520, 620), (520, 510), (630, 620), (520, 730)],
}


def curtain(reader: Reader) -> None:
    """Fluorescence and stain under a curtain, beside the list of slides."""
    reader.page.keyboard.press("w")
    reader.page.keyboard.press("Shift+Digit2")
    reader.page.keyboard.press("s")


def annotations(reader: Reader) -> None:
    """A region, a length and a clock face, beside their list."""
    reader.page.keyboard.press("Shift+Digit2")
    reader.page.keyboard.press("n")
    for tool, places in CLICKS.items():
        reader.settle()
        reader.page.keyboard.press(tool)
        for x, y in places:
            reader.page.mouse.click(x, y, delay=60)
        reader.page.keyboard.press("Enter")
    reader.page.keyboard.press("v")


def main() -> None:
    """Paint a phantom, open it, and save what the window shows."""
    with tempfile.TemporaryDirectory() as folder:
        scan = write_scan(Path(folder) / "phantom", Size(2400, 1700), seed=11)
        with serving("view", str(scan)) as url, chromium() as browser:
            for name, arrange in (("viewer-curtain", curtain), ("viewer-annotations", annotations)):
                width, height = SIZES[name]
                reader = Reader(browser, url, viewport={"width": width, "height": height})
                reader.open()
                arrange(reader)
                reader.page.mouse.move(width / 2, height / 2)
                said = reader.page.locator(".pane-caption")
                reader.until(lambda said=said: not re.search("Approximate|loading", " ".join(said.all_inner_texts())))
                reader.settle()
                with Image.open(io.BytesIO(reader.page.screenshot())) as picture:
                    picture.convert("RGB").save(ROOT / "docs" / f"{name}.jpg", quality=85, optimize=True)
                reader.context.close()


if __name__ == "__main__":
    main()
