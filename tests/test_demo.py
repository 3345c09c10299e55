"""The demo: its pictures, the sample in the package, and results that are complete or absent."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import confostain
from confostain import demo
from confostain.errors import OutputError
from confostain.geometry import Size
from confostain.simulation import from_histology

RESULTS = ("scan/mosaic", "stained.ome.tif", "before-after.png", "sample.png")
LEFT = demo.GAP + (demo.PANEL.width + demo.GAP) * np.arange(4)  # px, of the panels of the sample's picture
TOP = demo.GAP + demo.LINE


@pytest.fixture(scope="module")
def panels() -> list[np.ndarray]:
    sheet = np.asarray(demo.simulated_sample())
    return [sheet[TOP : TOP + demo.PANEL.height, x : x + demo.PANEL.width] for x in LEFT]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "SIZE", Size(600, 500))


def test_the_sample_is_small_and_carries_its_credit() -> None:
    assert demo.SAMPLE.stat().st_size < 200_000
    with Image.open(demo.SAMPLE) as file:
        assert file.size == demo.PANEL  # no pixel is resampled
    credit = demo.SAMPLE.with_suffix(".txt").read_text(encoding="utf-8")
    for text in (credit, demo.SAMPLE_NOTE):
        assert "OpenSlide / Carnegie Mellon University" in text
        assert "CMU-1" in text
        assert "CC0" in text
    assert demo.SAMPLE_NOTE.startswith("Simulated from H&E")


def test_the_sample_is_stained_beside_its_true_histology(panels: list[np.ndarray]) -> None:
    with Image.open(demo.SAMPLE) as file:
        histology = np.asarray(file.convert("RGB"))
    pair = from_histology.simulate(histology, demo.SAMPLE_SEED, domain_randomisation=0)
    above_bar = slice(0, -50)
    for channel, panel in zip(pair, panels[:2], strict=True):
        np.testing.assert_array_equal(panel[above_bar, :, 0], np.rint(channel[above_bar] * 255).astype(np.uint8))
        assert (panel[..., 0] == panel[..., 2]).all()
    np.testing.assert_array_equal(panels[2], confostain.stain(pair))
    np.testing.assert_array_equal(panels[3], histology)


@pytest.mark.parametrize(("part", "least"), [("white", 0.6), ("tissue", 0.9), ("dark", 0.3)])
def test_the_stain_of_the_sample_is_where_the_histology_is(part: str, least: float, panels: list[np.ndarray]) -> None:
    masks = {
        "white": lambda rgb: rgb.min(-1) > 200,
        "tissue": lambda rgb: rgb.min(-1) <= 200,
        "dark": lambda rgb: rgb[..., 0] < 130,
    }
    stain, truth = (masks[part](panel) for panel in panels[2:])
    assert (stain & truth).sum() > least * truth.sum()


@pytest.mark.parametrize(
    ("columns", "microns", "bar"), [(4, 0.75, 100), (3, 0.75, 100), (1, 0.25, 20), (2, 3.0, 500), (1, 0.1, 10)]
)
def test_the_scale_bar_has_its_length(columns: int, microns: float, bar: int) -> None:
    grey = np.full((demo.PANEL.height, demo.PANEL.width, 3), 128, np.uint8)
    sheet = np.asarray(demo._sheet(("title",) * columns, [[grey] * columns], microns, ("note",)))
    row = sheet[TOP + demo.PANEL.height - demo.GAP - 2, : demo.GAP + demo.PANEL.width]
    white = np.flatnonzero((row == 255).all(-1) & (np.arange(len(row)) >= demo.GAP))
    assert (white.max() - white.min() + 1) * microns == pytest.approx(bar, abs=2 * microns)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("result", RESULTS)
def test_nothing_is_written_where_a_result_exists(result: str, tmp_path: Path) -> None:
    path = tmp_path / result
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        demo.run_demo(tmp_path)
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]
    assert path.read_text() == "mine"


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("overwrite", "left"), [(False, None), (True, b"earlier")])
def test_a_picture_is_complete_or_absent(
    overwrite: bool, left: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(image: Image.Image, path: Path, **_: object) -> None:
        Path(path).write_bytes(b"half of a picture")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", save)
    if left:
        (tmp_path / "sample.png").write_bytes(left)
    with pytest.raises(OutputError, match=r"before-after\.png"):
        demo.run_demo(tmp_path, overwrite=overwrite)
    assert sorted(path.name for path in tmp_path.glob("*.png")) == (["sample.png"] if left else [])
    assert not left or (tmp_path / "sample.png").read_bytes() == left
