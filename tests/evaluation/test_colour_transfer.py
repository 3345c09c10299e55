import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from confostain.errors import ModelError
from confostain.evaluation import colour_transfer
from confostain.evaluation.colour_transfer import difference, evaluate_colours, white_glass
from confostain.geometry import Size
from confostain.imaging.stain_colours import NEUTRAL, StainColours
from confostain.models.stainer import LinearStain, linear_stain
from confostain.simulation.phantom import Phantom
from confostain.slide import open_slide

PALE = StainColours(nucleus=(0.25, 0.38, 0.24), stroma=(0.03, 0.20, 0.11))


@pytest.fixture(scope="module")
def densities() -> np.ndarray:
    size = Size(800, 600)
    return NEUTRAL.densities(Phantom(size, 5).histology(size.region), (243, 243, 243))


def test_the_same_colours_differ_by_nothing_and_others_by_much(densities: np.ndarray) -> None:
    neutral, pale = NEUTRAL.picture(densities), PALE.picture(densities)
    same, other = difference("a", [neutral], [neutral]), difference("a", [neutral], [pale])
    for name in ("nuclei", "stroma", "haematoxylin", "eosin"):
        assert getattr(same, name) == 0
        assert getattr(other, name) > 5


@pytest.mark.parametrize("glass", [(243.0, 243.0, 243.0), (250.0, 240.0, 245.0), (255.0, 255.0, 255.0)])
def test_glass_becomes_white(glass: tuple[float, float, float]) -> None:
    rgb = np.full((8, 8, 3), glass, np.float32).astype(np.uint8)
    assert (white_glass(rgb, glass) == 255).all()


def test_a_page_and_figures_are_written(phantom_scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dyes(name: str, device: str, colours: StainColours) -> LinearStain:
        return linear_stain(name, lambda pair: colours.picture(np.stack([pair[1], pair[0], 0 * pair[0]])), "")

    size = Size(700, 600)
    for name, seed in (("a.png", 1), ("b.png", 2)):
        Image.fromarray(Phantom(size, seed).histology(size.region)).save(tmp_path / name)
    references = [str(tmp_path / name) for name in ("a.png", "b.png")]
    monkeypatch.setattr(colour_transfer, "load_model", dyes)
    with open_slide(phantom_scan) as scan:
        rows = evaluate_colours(tmp_path / "out", "dyes", [scan], references)
    assert [row.reference for row in rows] == ["a.png", "b.png"]
    assert all(0 < row.nuclei < 40 for row in rows)
    assert len(json.loads((tmp_path / "out" / "colours.json").read_text())) == 2
    assert (tmp_path / "out" / "index.html").read_text().count("<img") == 2


def test_a_model_with_colours_of_its_own_is_refused(phantom_scan: Path, tmp_path: Path) -> None:
    size = Size(700, 600)
    Image.fromarray(Phantom(size, 1).histology(size.region)).save(tmp_path / "a.png")
    with open_slide(phantom_scan) as scan, pytest.raises(ModelError, match="colours of its own"):
        evaluate_colours(tmp_path / "out", "cyclegan", [scan], [str(tmp_path / "a.png")])
