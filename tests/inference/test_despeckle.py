import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

import confostain
from confostain.errors import ModelError, OutputError, SlideError
from confostain.inference.despeckle import despeckle, despeckle_plane
from confostain.io.readers.layouts import open_grey, open_reflectance
from confostain.models.card import ModelCard
from confostain.models.despeckler import Despeckler
from confostain.models.registry import list_models, load_despeckler
from confostain.simulation.speckle import Image, Speckle

DEFAULT, PAPER = "despeckler", "despeckler-paper"
SECTION_2 = Path(__file__).parents[3] / "shared/data/he/skin_section2.tif"


def painted(height: int, width: int, seed: int = 0) -> Image:
    """Tissue of smooth brightness with sharp-edged cells."""
    rng = np.random.default_rng(seed)
    slow, cells = (gaussian_filter(rng.standard_normal((height, width)), sigma) for sigma in (20, 4))
    return (0.35 + 0.12 * slow / slow.std() + 0.2 * (cells > cells.std())).clip(0.03, 0.95).astype(np.float32)


def described(name: str, median: bool = False) -> ModelCard:
    facts = {"kind": "despeckler", "input": "reflectance", "stride": 1, "receptive_field": 1}
    return ModelCard(name=name, median=median, **facts)


def psnr(made: Image, truth: Image) -> float:
    return float(-10 * np.log10(np.square(made - truth).mean()))


def test_the_shipped_despecklers_are_small_and_have_cards() -> None:
    cards = list_models("despeckle")
    assert [card.name for card in cards] == [DEFAULT, PAPER]
    for card in cards:
        assert all((card.description, card.data, card.licence, card.schedule, card.commit, card.figures, card.files))
    weights = Path(confostain.__file__).with_name("weights")
    files = [path for card in cards for path in (weights / card.name).iterdir()]
    assert max(path.stat().st_size for path in files) <= 2 << 20
    assert {path.suffix for path in files} <= {".onnx", ".safetensors", ".json", ".md", ".py"}


@pytest.mark.parametrize(
    ("looks", "grain", "gain"), [(1, 0, 1.2), (4, 0, 1.5), (10, 0, 3), (10, 0.55, 2), (45, 0.55, 1.2)]
)
def test_painted_tissue_comes_out_cleaner(looks: float, grain: float, gain: float) -> None:
    """The error falls by at least the factor `gain`; the mean stays."""
    clean = painted(256, 256)
    noisy = Speckle(looks, grain).recorded(clean, 1)
    made = despeckle(noisy)
    assert made.shape == clean.shape
    assert made.dtype == np.float32
    assert np.square(noisy - clean).mean() > gain * np.square(made - clean).mean()
    assert made.mean() == pytest.approx(noisy.mean(), rel=0.02)


def test_real_tissue_reaches_the_stated_quality() -> None:
    if not SECTION_2.exists():
        pytest.skip("the H&E sections in ../shared are not at hand")
    from confostain.io.readers.histology import open_histology

    with open_histology(SECTION_2) as slide:
        rgb = slide.read_region((1600, 3200), (384, 384), 0.75).astype(np.float32)
    clean = (1 - rgb @ np.array([0.299, 0.587, 0.114], np.float32) / 255).astype(np.float32)
    noisy = Speckle(10).recorded(clean, 2)
    assert psnr(despeckle(noisy), clean) > psnr(noisy, clean) + 7


@pytest.mark.parametrize("model", [DEFAULT, PAPER])
@given(height=st.integers(1, 150), width=st.integers(1, 150), tile=st.integers(16, 120))
@settings(max_examples=6, deadline=None)
def test_the_tile_size_changes_no_pixel(model: str, height: int, width: int, tile: int) -> None:
    noisy = Speckle(8).recorded(painted(150, 150)[:height, :width], 3)
    assert np.array_equal(despeckle(noisy, model), despeckle(noisy, model, tile=tile))


@pytest.mark.parametrize("level", [0.0, 0.08, 0.5, 1.0])
def test_constant_images_stay_constant(level: float) -> None:
    made = despeckle(np.full((96, 80), level, np.float32))
    assert np.abs(made - level).max() < 0.012


def test_dead_and_saturated_pixels_vanish_into_their_surroundings() -> None:
    image = Speckle(45, 0.5).recorded(np.full((96, 96), 0.4, np.float32), 0)
    spoilt = image.copy()
    spoilt[20, 30], spoilt[60, 50] = 0, 1
    made, reference = despeckle(spoilt), despeckle(image)
    assert np.isfinite(made).all()
    assert np.abs(made - reference).max() < 0.3
    far = np.ones_like(made, bool)
    far[:, 10:70] = False
    assert np.abs(made - reference)[far].max() < 0.02


def test_a_clean_edge_neither_rings_nor_moves() -> None:
    image = np.full((96, 96), 0.25, np.float32)
    image[:, 48:] = 0.7
    made = despeckle(image)[16:-16]
    assert made.min() > 0.25 - 0.03
    assert made.max() < 0.7 + 0.03
    assert np.array_equal(made > 0.475, image[16:-16] > 0.475)


def test_integers_keep_their_scale() -> None:
    noisy = Speckle(20).recorded(painted(128, 128), 5)
    for dtype, top in ((np.uint8, 200), (np.uint16, 3000)):
        raw = (noisy.clip(0, 1) * top).astype(dtype)
        made = despeckle(raw)
        assert made.dtype == np.float32
        assert made.mean() == pytest.approx(raw.mean(), rel=0.02)


@pytest.mark.parametrize(
    "array",
    [np.zeros((2, 5, 5)), np.zeros((0, 4)), np.array([[np.nan]]), np.array([[-1.0]]), np.zeros((4, 4), complex)],
)
def test_what_is_no_image_is_refused(array: np.ndarray) -> None:
    with pytest.raises(SlideError, match="expected"):
        despeckle(array)


def test_unknown_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="expected one of despeckler"):
        despeckle(np.zeros((4, 4)), "nobody")
    (tmp_path / "card.json").write_text('{"stride": 4, "receptive_field": 9}')
    with pytest.raises(ModelError, match="kind: Field required"):
        despeckle(np.zeros((4, 4)), str(tmp_path))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_plane_goes_through_a_file(dtype: type, tmp_path: Path) -> None:
    noisy = Speckle(20).recorded(painted(300, 523), 5).clip(0, 1)
    raw = (noisy * (1 if dtype is np.float32 else 250)).astype(dtype)
    tifffile.imwrite(tmp_path / "raw.tif", raw, resolution=(1e4 / 0.75, 1e4 / 0.75), resolutionunit="CENTIMETER")
    told: list[tuple[int, int]] = []
    plane = open_grey(tmp_path / "raw.tif")
    despeckle_plane(plane, tmp_path / "a.tif", tile=256, progress=lambda *pixels: told.append(pixels))
    despeckle_plane(plane, tmp_path / "b.tif", tile=512)
    made = tifffile.imread(tmp_path / "a.tif")
    assert (made.dtype, made.shape) == (raw.dtype, raw.shape)
    assert np.array_equal(made, tifffile.imread(tmp_path / "b.tif"))
    assert np.abs(made - despeckle(raw)).max() <= (1e-6 if dtype is np.float32 else 0.501)
    assert open_grey(tmp_path / "a.tif").microns_per_pixel == pytest.approx(0.75)
    assert told[-1] == (raw.size, raw.size)
    assert told == sorted(told)


def test_results_are_complete_or_absent(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "raw.tif", np.full((70, 50), 9, np.uint8))
    plane, out = open_grey(tmp_path / "raw.tif"), tmp_path / "out.tif"

    def broken(tile: Image) -> Image:
        raise RuntimeError("out of order")

    with pytest.raises(RuntimeError):
        despeckle_plane(plane, out, model=Despeckler(described("broken"), broken))
    assert {path.name for path in tmp_path.iterdir()} == {"raw.tif"}
    identity = Despeckler(described("identity"), lambda tile: tile)
    despeckle_plane(plane, out, model=identity)
    assert np.array_equal(tifffile.imread(out), tifffile.imread(tmp_path / "raw.tif"))
    with pytest.raises(OutputError, match="exists"):
        despeckle_plane(plane, out, model=identity)
    despeckle_plane(plane, out, model=identity, overwrite=True)
    with pytest.raises(OutputError, match=r"\.tif"):
        despeckle_plane(plane, tmp_path / "out.jpg", model=identity)


def test_the_median_takes_out_single_pixels() -> None:
    identity = Despeckler(described("identity", median=True), lambda tile: tile)
    spot = np.zeros((9, 9), np.float32)
    spot[4, 4] = 1
    assert despeckle(spot, identity).max() == 0
    assert despeckle(spot, replace(identity, card=described("identity"))).max() == 1


def test_the_paper_network_only_darkens() -> None:
    paper = load_despeckler(PAPER)
    paper = replace(paper, card=paper.card.model_copy(update={"median": False}))
    noisy = Speckle(8).recorded(painted(96, 96), 3)
    assert (despeckle(noisy, paper) <= noisy + 1e-6).all()


def test_a_slides_reflectance_is_found(phantom_scan: Path) -> None:
    files = [phantom_scan / detector / "highres_raw.tif" for detector in ("DET#1", "DET#2")]
    region = open_reflectance(phantom_scan).size.region
    for swap in (False, True):
        plane = open_reflectance(phantom_scan, swap_channels=swap)
        assert np.array_equal(plane.read(region), tifffile.imread(files[swap]))


def test_it_runs_without_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None; import numpy as np, confostain; "
        "print(confostain.despeckle(np.full((40, 30), 0.5)).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    assert done.stdout == "(40, 30)\n", done.stderr
