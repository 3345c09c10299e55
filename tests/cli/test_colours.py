"""The commands `prepare colours`, `stain --colours-of` and `stain --density`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from command_line import answered, refused
from confostain.data.reference_colours import read_stain_colours
from confostain.geometry import Size
from confostain.imaging.stain_colours import NEUTRAL
from confostain.simulation.phantom import Phantom

COLOURS = {"nucleus": list(NEUTRAL.nucleus), "stroma": list(NEUTRAL.stroma)}


@pytest.fixture
def stainer(make_stainer: Callable[..., Path]) -> Path:
    return make_stainer(colours=COLOURS)


@pytest.fixture
def section(tmp_path: Path) -> Path:
    size = Size(900, 700)
    Image.fromarray(Phantom(size, 1).histology(size.region)).save(tmp_path / "section.png")
    return tmp_path / "section.png"


def test_colours_are_saved_and_used(section: Path, stainer: Path, phantom_scan: Path, tmp_path: Path, capsys) -> None:
    saved = tmp_path / "ours.toml"
    assert "nucleus" in answered(capsys, "prepare", "colours", section, "-o", saved)
    assert read_stain_colours(saved) == read_stain_colours(section)
    assert "--overwrite" in refused(capsys, "prepare", "colours", section, "-o", saved)
    made = {}
    for name, options in {"own": (), "saved": ("--colours-of", saved), "fitted": ("--colours-of", section)}.items():
        out = tmp_path / f"{name}.ome.tif"
        answered(capsys, "stain", phantom_scan, "-o", out, "--model", stainer, "--lossless", *options)
        made[name] = tifffile.imread(out)
    np.testing.assert_array_equal(made["saved"], made["fitted"])
    assert np.abs(made["saved"].astype(int) - made["own"]).mean() > 1


def test_the_density_of_a_dye_is_written(stainer: Path, phantom_scan: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "h.ome.tif"
    answered(capsys, "stain", phantom_scan, "-o", out, "--model", stainer, "--density", "haematoxylin")
    assert tifffile.imread(out).dtype == np.float32
    assert "density of haematoxylin" in answered(capsys, "info", out)
    assert "density of haematoxylin" in refused(capsys, "stain", out, "-o", tmp_path / "again.ome.tif")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--colours-of", "missing.svs"), "no such file"),
        (("--colours-of", "ours.toml", "--density", "eosin"), "leave one of them out"),
        (("--density", "dapi"), "dapi"),
        (("--colours-of", "ours.toml", "--model", "gareau"), "colours of its own"),
        (("--density", "eosin", "--model", "cyclegan"), "colours of its own"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    options: tuple[str, ...], message: str, phantom_scan: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ours.toml").write_text("nucleus = [0.4, 0.6, 0.3]\nstroma = [0.1, 0.3, 0.1]\n")
    assert message in refused(capsys, "stain", phantom_scan, "-o", "a.ome.tif", *options)
    assert not Path("a.ome.tif").exists()
