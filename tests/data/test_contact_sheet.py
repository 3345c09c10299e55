from pathlib import Path

import numpy as np
from PIL import Image

from confostain.data.contact_sheet import COLUMNS, LINE, MAX_THUMBNAILS, SIDE, ContactSheet, thumbnail_of, write_sheet


def grey(level: int) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), level, np.uint8)


def test_thumbnails_stand_side_by_side_with_their_captions(tmp_path: Path) -> None:
    sheet = ContactSheet()
    for level in range(COLUMNS + 1):
        sheet.add(grey(level * 10), "ink")
    write_sheet(tmp_path / "sheet.png", "left out", [sheet, ContactSheet()])
    picture = np.asarray(Image.open(tmp_path / "sheet.png"))
    top = LINE + 6
    for index in range(COLUMNS + 1):
        x, y = index % COLUMNS * (SIDE + 4) + 2, top + index // COLUMNS * (SIDE + LINE + 4)
        assert (picture[y + LINE : y + LINE + SIDE, x : x + SIDE] == index * 10).all()
        assert picture[y : y + LINE, x : x + SIDE].min() < 100  # something is written there


def test_an_empty_sheet_is_written_all_the_same(tmp_path: Path) -> None:
    write_sheet(tmp_path / "sheet.png", "left out", [])
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.height == LINE + 6


def test_a_sheet_stays_small_and_shows_all_parts() -> None:
    sheet = ContactSheet()
    total = 10 * MAX_THUMBNAILS + 7
    for number in range(total):
        sheet.add(grey(0), str(number))
    shown = [int(caption) for _, caption in sheet.shown]
    assert len(sheet) == total
    assert MAX_THUMBNAILS / 2 <= len(shown) <= MAX_THUMBNAILS
    assert len(set(np.diff(shown))) == 1
    assert total - shown[-1] <= shown[1] - shown[0]


def test_a_thumbnail_is_the_patch_made_small() -> None:
    patch = np.kron(np.arange(4).reshape(2, 2) * 60, np.ones((512, 512)))[..., None].repeat(3, -1).astype(np.uint8)
    assert np.array_equal(thumbnail_of(patch), patch[::8, ::8])
