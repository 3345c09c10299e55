import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from confostain.data.rank import rank_slides
from confostain.errors import SlideError


@pytest.fixture
def slides(tmp_path: Path) -> list[Path]:
    """Half glass, half tissue, with more haematoxylin from one to the next; and glass alone."""
    colours = {"eosin": (235, 90, 225), "both": (160, 90, 190), "haematoxylin": (89, 82, 161), "glass": (222, 222, 222)}
    for name, colour in colours.items():
        pixels = np.full((400, 600, 3), 222, np.uint8)
        pixels[:, 280:] = colour
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return [tmp_path / f"{name}.png" for name in colours]


def test_slides_stand_from_haematoxylin_to_eosin(slides: list[Path]) -> None:
    calls: list[tuple[int, int]] = []
    ranked = rank_slides(slides, 0.75, lambda *call: calls.append(call))
    assert [slide.path.stem for slide in ranked] == ["haematoxylin", "both", "eosin", "glass"]
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    pure, mixed, pink, none = (slide.proportion for slide in ranked)
    assert pure > 0.95
    assert pure > mixed > pink
    assert pink < 0.1
    assert math.isnan(none)
    assert ranked[0].tissue_mm2 == pytest.approx(320 * 400 * 0.75**2 / 1e6, rel=0.07)
    assert ranked[-1].tissue_mm2 == 0


def test_a_slide_without_pixel_size_is_refused(slides: list[Path]) -> None:
    with pytest.raises(SlideError, match="pixel size"):
        rank_slides(slides)
