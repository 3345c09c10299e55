"""Makes the picture that opens the README: both pictures of the demo, the sample above, in docs/before-after.jpg.

python scripts/opening_picture.py   # stains with the default model as it is now
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image

from confostain.demo import run_demo

PICTURE = Path(__file__).parents[1] / "docs" / "before-after.jpg"
WIDTH = 1600  # px


def stacked(paths: list[Path]) -> Image.Image:
    """Pictures scaled to one width, one below the other."""
    pictures = []
    for path in paths:
        with Image.open(path) as file:
            height = round(file.height * WIDTH / file.width)
            pictures.append(file.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS))
    sheet = Image.new("RGB", (WIDTH, sum(picture.height for picture in pictures)), "white")
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    return sheet


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        demo = run_demo(Path(folder))
        stacked([demo.sample, demo.picture]).save(PICTURE, quality=85, optimize=True)
