"""Contact sheet: thumbnails of many patches in one image, each with a caption."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

Thumbnail = npt.NDArray[np.uint8]  # (SIDE, SIDE, 3)

SIDE = 128  # px
LINE = 14  # px above each thumbnail, for its caption
COLUMNS = 12
MAX_THUMBNAILS = 240  # on one sheet, whatever the number of patches


class ContactSheet:
    """Bounded collection of thumbnails, spread evenly over all that were added."""

    def __init__(self) -> None:
        self._kept: list[tuple[Thumbnail, str]] = []
        self._added, self._step = 0, 1

    def __len__(self) -> int:
        return self._added

    def add(self, thumbnail: Thumbnail, caption: str) -> None:
        """Add a thumbnail, uint8 (128, 128, 3), with a caption."""
        if self._added % self._step == 0:
            self._kept.append((thumbnail, caption))
        self._added += 1
        if len(self._kept) > MAX_THUMBNAILS:
            self._kept = self._kept[::2]
            self._step *= 2

    @property
    def shown(self) -> list[tuple[Thumbnail, str]]:
        """Thumbnails and captions on the sheet, in the order added."""
        return self._kept


def thumbnail_of(rgb: npt.NDArray[np.uint8]) -> Thumbnail:
    """Thumbnail of an image, uint8 (h, w, 3) to (128, 128, 3)."""
    from PIL import Image

    return np.asarray(Image.fromarray(rgb).resize((SIDE, SIDE), Image.Resampling.BOX))


def write_sheet(path: Path, title: str, sheets: list[ContactSheet]) -> None:
    """Write one PNG with the thumbnails of several sheets, and the number shown of the total."""
    from PIL import Image, ImageDraw

    shown = [entry for sheet in sheets for entry in sheet.shown]
    total = sum(map(len, sheets))
    rows = -(-len(shown) // COLUMNS)
    picture = Image.new("RGB", (COLUMNS * (SIDE + 4), LINE + 6 + rows * (SIDE + LINE + 4)), (255, 255, 255))
    draw = ImageDraw.Draw(picture)
    count = f"{total}" if total == len(shown) else f"{len(shown)} of {total}"
    draw.text((2, 2), f"{title}: {count}", fill=(0, 0, 0))
    for index, (thumbnail, caption) in enumerate(shown):
        x, y = index % COLUMNS * (SIDE + 4) + 2, LINE + 6 + index // COLUMNS * (SIDE + LINE + 4)
        draw.text((x, y), caption[:21], fill=(0, 0, 0))  # about as many characters as fit above a thumbnail
        picture.paste(Image.fromarray(thumbnail), (x, y + LINE))
    picture.save(path, format="PNG")
