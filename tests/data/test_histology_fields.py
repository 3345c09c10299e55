from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from confostain.data.histology_fields import tissue_fields
from confostain.errors import SlideError


def section(path: Path, width: int = 640, height: int = 384, tissue_from: int = 256) -> Path:
    """Pink to the right of a column, each row of squares of 128 px a little darker than the one above."""
    rgb = np.full((height, width, 3), 243, np.uint8)
    rgb[:, tissue_from:] = (200, 120, 160)
    rgb[:, tissue_from:] -= (np.arange(height) // 128)[:, None, None].astype(np.uint8) * 10
    Image.fromarray(rgb).save(path)
    return path


def test_fields_of_h_and_e_are_tissue_evenly_from_all(tmp_path: Path) -> None:
    path = section(tmp_path / "he.png")
    fields = tissue_fields(path, 100, side=128)
    assert [int(field[0, 0, 0]) for field in fields] == [200] * 3 + [190] * 3 + [180] * 3
    assert all(field.shape == (128, 128, 3) and field.dtype == np.uint8 for field in fields)
    assert [int(field[0, 0, 0]) for field in tissue_fields(path, 3, side=128)] == [200, 190, 180]
    # A field of which 28 % is glass is still mostly tissue, one of which half is glass is not.
    assert len(tissue_fields(section(tmp_path / "more.png", tissue_from=164), 100, side=128)) == 12
    assert len(tissue_fields(section(tmp_path / "less.png", tissue_from=192), 100, side=128)) == 9


def test_a_section_without_a_field_of_tissue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match="at least 70% tissue"):
        tissue_fields(section(tmp_path / "he.png", tissue_from=600), 4, side=128)
    with pytest.raises(SlideError, match="at least 70% tissue"):
        tissue_fields(section(tmp_path / "he.png"), 4, side=1024)


def tiles(folder: Path, *levels: int) -> Path:
    """Folder of pictures of one colour each, darker at the right, and a file that is no picture."""
    folder.mkdir()
    (folder / "licence.txt").write_text("CC0")
    for index, level in enumerate(levels):
        rgb = np.full((256, 256, 3), (level, 120, 160), np.uint8)
        rgb[:, 200:] -= 20
        Image.fromarray(rgb).save(folder / f"tile{index}.png")
    return folder


def test_a_folder_of_pictures_is_one_slide(tmp_path: Path) -> None:
    path = tiles(tmp_path / "slide", 200, 190, 180)
    assert [int(field[0, 0, 0]) for field in tissue_fields(path, 12, side=256)] == [200, 190, 180]
    assert [int(field[0, 0, 0]) for field in tissue_fields(path, 2, side=256)] == [200, 180]
    assert [field.shape for field in tissue_fields(path, 12)] == [(256, 256, 3)] * 3  # smaller than 512 px: as they are
    small = tissue_fields(path, 12, side=256, assumed=0.375)
    assert [field.shape for field in small] == [(128, 128, 3)] * 3
    assert [int(field[0, -1, 0]) for field in small] == [180, 170, 160]  # the right edge of each picture
    assert len(tissue_fields(path, 12, side=128)) == 12


@pytest.mark.parametrize(("levels", "message"), [((), "no picture"), ((254, 254), "at least 70% tissue")])
def test_a_folder_without_h_and_e_is_refused(tmp_path: Path, levels: tuple[int, ...], message: str) -> None:
    path = tiles(tmp_path / "slide", *levels)
    for file in path.glob("*.png"):
        Image.new("RGB", (256, 256), "white").save(file)
    with pytest.raises(SlideError, match=message):
        tissue_fields(path, 4)
