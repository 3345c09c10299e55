"""Stains in a laboratory's colours, and densities of single dyes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

import confostain
from confostain.errors import ModelError, OptionError, OutputError
from confostain.imaging.stain_colours import NEUTRAL, StainColours
from confostain.models.card import ONNX
from confostain.models.engines.cpu import OpenVinoNetwork
from confostain.models.registry import load_density, load_dye, load_model

NEUTRAL_CARD = {"nucleus": list(NEUTRAL.nucleus), "stroma": list(NEUTRAL.stroma)}
OTHERS = StainColours(nucleus=(0.25, 0.38, 0.24), stroma=(0.03, 0.20, 0.11))
LEVELS = 1  # grey levels between two roundings


@pytest.fixture
def stainer(make_stainer: Callable[..., Path]) -> Path:
    return make_stainer(colours=NEUTRAL_CARD)


@pytest.fixture
def pair() -> np.ndarray:
    return np.random.default_rng(4).random((2, 64, 96), dtype=np.float32)


@pytest.mark.parametrize("colours", [None, NEUTRAL, OTHERS])
def test_densities_are_shown_in_the_colours_asked_for(stainer: Path, pair: np.ndarray, colours) -> None:
    made = load_model(stainer, "cpu", colours)(pair).astype(int)
    densities = OpenVinoNetwork(stainer / ONNX)(pair)
    assert np.abs(made - (colours or NEUTRAL).picture(densities)).max() <= LEVELS
    assert np.ptp(made) > 20


def test_arrays_and_slides_come_out_in_the_same_colours(stainer: Path, phantom_scan: Path, tmp_path: Path) -> None:
    region = (100, 100, 200, 150)
    with confostain.open_slide(phantom_scan) as slide:
        confostain.stain_slide(slide, tmp_path / "a.tif", model=stainer, colours=OTHERS, quality=None)
        rf = slide.read_region((0, 0), slide.size)
    x, y, width, height = region
    in_file = tifffile.imread(tmp_path / "a.tif")[y : y + height, x : x + width]
    in_memory = confostain.stain(rf, stainer, colours=OTHERS)[y : y + height, x : x + width]
    inside = (in_file != 255).any(axis=-1)
    assert inside.mean() > 0.5
    np.testing.assert_array_equal(in_file[inside], in_memory[inside])
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        text = file.ome_metadata
    assert "nucleus optical density" in text
    assert "0.25, 0.38, 0.24" in text


@pytest.mark.parametrize("model", ["gareau", "cyclegan", "RGB"])
def test_models_with_colours_of_their_own_are_refused(model: str, make_stainer: Callable[..., Path]) -> None:
    name = make_stainer("plain") if model == "RGB" else model
    for load in (lambda: load_model(name, "cpu", OTHERS), lambda: load_density(name, "eosin", "cpu")):
        with pytest.raises(ModelError, match="gives colours of its own"):
            load()


@pytest.mark.parametrize(("dye", "channel"), [("haematoxylin", 0), ("eosin", 1)])
def test_one_dye_alone_is_what_the_picture_holds_of_it(stainer: Path, pair: np.ndarray, dye, channel: int) -> None:
    densities = OpenVinoNetwork(stainer / ONNX)(pair)
    alone = np.zeros_like(densities)
    alone[channel] = densities[channel]
    made = load_dye(stainer, dye, "cpu")(pair).astype(int)
    assert np.abs(made - NEUTRAL.picture(alone)).max() <= LEVELS
    density = load_density(stainer, dye, "cpu")(pair)
    assert density.dtype == np.float32
    np.testing.assert_array_equal(density[..., 0], np.maximum(densities[channel], 0))


@pytest.mark.parametrize("tile", [256, 512, 1024])
def test_densities_of_a_slide_are_zero_outside_tissue(stainer: Path, phantom_scan: Path, tmp_path: Path, tile) -> None:
    with confostain.open_slide(phantom_scan) as slide:
        confostain.stain_slide(slide, tmp_path / "a.ome.tif", model=stainer, density="haematoxylin", tile=tile)
        rf = slide.read_region((0, 0), slide.size)
        coverage = slide.tissue.coverage(slide.size.region)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        stored, text = file.asarray(), file.ome_metadata
    assert (stored.dtype, stored.shape) == (np.float32, coverage.shape)
    assert (coverage == 0).any()
    assert not stored[coverage == 0].any()
    size = tuple(length // 2 * 2 for length in rf.shape[1:])
    whole = load_density(stainer, "haematoxylin", "cpu")(rf[:, : size[0], : size[1]])[..., 0]
    inner = (coverage[: size[0], : size[1]] == 1) & (np.indices(size).min(axis=0) > 16)
    inner[-20:], inner[:, -20:] = False, False
    np.testing.assert_array_equal(stored[: size[0], : size[1]][inner], whole[inner])
    assert "density of haematoxylin" in text
    assert "1 is a typical nucleus" in text


@pytest.mark.parametrize(
    ("out", "keywords", "error"),
    [
        ("a.png", {"density": "eosin"}, OutputError),
        ("a.ome.zarr", {"density": "eosin"}, OutputError),
        ("a.ome.tif", {"density": "dapi"}, OptionError),
        ("a.ome.tif", {"density": "eosin", "colours": OTHERS}, OptionError),
    ],
)
def test_densities_that_cannot_be_written_are_refused(
    stainer: Path, phantom_scan: Path, tmp_path: Path, out: str, keywords: dict, error: type[Exception]
) -> None:
    with confostain.open_slide(phantom_scan) as slide, pytest.raises(error, match=r"expected|give|leave"):
        confostain.stain_slide(slide, tmp_path / out, model=stainer, **keywords)
    assert not (tmp_path / out).exists()


def test_colours_for_a_model_that_is_loaded_already_are_refused(stainer: Path, pair: np.ndarray) -> None:
    with pytest.raises(OptionError, match="colours: expected a model given by name or folder"):
        confostain.stain(pair, load_model(stainer, "cpu"), colours=OTHERS)
