import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from ome_types import from_xml
from scipy.ndimage import gaussian_filter

import confostain
from confostain.errors import ConfostainWarning, ModelError, OptionError, OutputError, SlideError
from confostain.geometry import Region, Size
from confostain.imaging.intensity import image_range
from confostain.inference.despeckle import despeckle, despeckle_slide, despeckle_stored
from confostain.io.readers.layouts import open_grey, open_reflectance
from confostain.models.card import ModelCard
from confostain.models.despeckler import Despeckler
from confostain.models.registry import list_models, load_despeckler
from confostain.simulation.speckle import Image, Speckle
from confostain.slide import open_slide

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


IDENTITY = Despeckler(described("identity"), lambda tile: tile)


def write_scan(path: Path, raw: np.ndarray) -> Path:
    tifffile.imwrite(path, raw, resolution=(1e4 / 0.75, 1e4 / 0.75), resolutionunit="CENTIMETER")
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".tif", ".ome.tif"])
def test_a_grey_image_goes_through_a_file(dtype: type, suffix: str, tmp_path: Path) -> None:
    raw = (Speckle(20, pedestal=0.1).recorded(painted(300, 523), 5).clip(0, 1) * 250).astype(dtype)
    scan, told = write_scan(tmp_path / "raw.tif", raw), []
    out, other = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    written = despeckle_slide(scan, out, tile=256, progress=lambda *pixels: told.append(pixels))
    despeckle_slide(str(scan), other, tile=512)
    made = tifffile.imread(out)
    assert (made.dtype, made.shape) == (raw.dtype, raw.shape)
    assert np.array_equal(made, tifffile.imread(other))
    assert np.abs(made - despeckle(raw)).max() <= 0.501
    assert open_grey(out).microns_per_pixel == pytest.approx(0.75)
    assert told[-1] == (raw.size, raw.size)
    assert told == sorted(told)
    assert (written.path, written.size, written.model) == (out, Size(523, 300), DEFAULT)
    assert written.levels == (3 if suffix == ".ome.tif" else 1)
    assert written.microns_per_pixel == pytest.approx(0.75)


def test_floats_in_a_file_are_measured_too(tmp_path: Path) -> None:
    """A file says nothing about what stands for 1; here it is 800."""
    share = Speckle(20).recorded(painted(300, 300), 5)
    scan = write_scan(tmp_path / "raw.tif", share * 800 + 100)
    despeckle_slide(scan, tmp_path / "a.tif")
    made = (tifffile.imread(tmp_path / "a.tif") - 100) / 800
    assert made.dtype == np.float32
    assert np.abs(made - despeckle(share)).mean() < 0.01
    assert np.square(made - painted(300, 300)).mean() < np.square(share - painted(300, 300)).mean() / 3


def test_a_slide_is_despeckled_with_its_own_range(phantom_scan: Path, tmp_path: Path) -> None:
    with open_slide(phantom_scan) as slide:
        intensity, raw = slide.ranges[0], slide.reflectance_plane.read(Region(0, 0, *slide.size))
        despeckle_slide(slide, tmp_path / "a.ome.tif")
        expected = despeckle_stored(raw, intensity, load_despeckler())
    assert np.abs(tifffile.imread(tmp_path / "a.ome.tif") - expected).max() <= 0.501
    assert intensity != image_range(raw)  # whose top is that of all pixels, not of the tissue


def test_a_region_holds_the_pixels_of_the_whole(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "raw.tif", (painted(300, 523) * 250).astype(np.uint8))
    despeckle_slide(scan, tmp_path / "whole.tif")
    written = despeckle_slide(scan, tmp_path / "part.tif", region=(101, 57, 333, 201))
    whole, part = tifffile.imread(tmp_path / "whole.tif"), tifffile.imread(tmp_path / "part.tif")
    assert np.array_equal(part, whole[57 : 57 + 201, 101 : 101 + 333])
    assert written.size == Size(333, 201)
    with pytest.raises(OptionError, match="inside the slide"):
        despeckle_slide(scan, tmp_path / "none.tif", region=(500, 0, 100, 10))


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif"])
def test_provenance_is_written_into_the_file(suffix: str, phantom_scan: Path, tmp_path: Path) -> None:
    out = tmp_path / f"clean{suffix}"
    with open_slide(phantom_scan) as slide:
        despeckle_slide(slide, out, region=(8, 16, 300, 200))
        dark, bright = slide.ranges[0].dark, slide.ranges[0].bright
    with tifffile.TiffFile(out) as tiff:
        assert tiff.pages[0].software == f"confostain {confostain.__version__}"
        text = tiff.pages[0].description
        assert tiff.is_ome == (suffix == ".ome.tif")
    if suffix == ".ome.tif":
        found = dict(from_xml(text).structured_annotations[0].value)
    else:
        found = json.loads(text)
        assert found.pop("name") == "Despeckled (despeckler)"
    assert found == {
        "label": "despeckled reflectance",
        "use": confostain.RESEARCH_USE,
        "software": f"confostain {confostain.__version__}",
        "model": DEFAULT,
        "weights SHA-256": load_despeckler().weights_sha256,
        "reflectance range": f"{dark:g} to {bright:g}",
        "region": "8,16,300,200",
    }


@given(gain=st.integers(1, 100), dark=st.integers(0, 5000))
@settings(max_examples=15, deadline=None)
def test_gain_and_dark_level_of_the_detector_do_not_matter(gain: int, dark: int) -> None:
    """Speckle multiplies the light above the dark level: what is added or multiplied by the detector comes back."""
    raw = np.rint(Speckle(20).recorded(painted(96, 96), 5) * 250 + 20).astype(np.uint16)
    made, plain = despeckle(gain * raw + np.uint16(dark)), despeckle(raw)
    apart = np.abs((made - dark) / gain - plain)
    assert apart.max() < 2  # of 250: in integers, the last bit of an input can move an intermediate value by one step
    assert apart.mean() < 0.05


def test_the_zeros_around_a_scan_stay_zeros_and_dead_pixels_do_not(tmp_path: Path) -> None:
    raw = np.rint(Speckle(45, 0.5).recorded(painted(160, 160), 5) * 2000 + 500).astype(np.uint16)
    raw[:, 100:] = 0
    raw[30, 40] = 0
    made = despeckle(raw)
    assert not made[:, 110:].any()
    assert made[30, 40] > 700
    assert made[:, :96].min() >= 499
    despeckle_slide(write_scan(tmp_path / "raw.tif", raw), tmp_path / "a.tif")
    assert not tifffile.imread(tmp_path / "a.tif")[:, 110:].any()


def test_models_are_named_by_path_too(tmp_path: Path) -> None:
    folder = Path(confostain.__file__).with_name("weights") / PAPER
    noisy = Speckle(8).recorded(painted(40, 50), 3)
    assert np.array_equal(despeckle(noisy, folder, "cpu"), despeckle(noisy, PAPER))
    copied = shutil.copytree(folder, tmp_path / "copied")
    written = despeckle_slide(write_scan(tmp_path / "raw.tif", noisy), tmp_path / "a.tif", model=copied, device="cpu")
    assert written.model == "copied"


def test_bad_options_are_refused(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "raw.tif", np.full((70, 50), 9, np.uint8))
    with pytest.raises(OptionError, match="expected auto, cpu or cuda"):
        despeckle(np.zeros((4, 4)), device="tpu")
    with pytest.raises(OptionError, match="expected auto, cpu or cuda"):
        despeckle_slide(scan, tmp_path / "a.tif", device="tpu")
    for tile in (0, 20_000):
        with pytest.raises(OptionError, match="tile of"):
            despeckle(np.zeros((4, 4)), tile=tile)
    assert [path.name for path in tmp_path.iterdir()] == ["raw.tif"]


def test_results_are_complete_or_absent(tmp_path: Path) -> None:
    scan, out = write_scan(tmp_path / "raw.tif", np.full((70, 50), 9, np.uint8)), tmp_path / "out.tif"

    def broken(tile: Image) -> Image:
        raise RuntimeError("out of order")

    with pytest.raises(RuntimeError):
        despeckle_slide(scan, out, model=Despeckler(described("broken"), broken))
    assert {path.name for path in tmp_path.iterdir()} == {"raw.tif"}
    despeckle_slide(scan, out, model=IDENTITY)
    assert np.array_equal(tifffile.imread(out), tifffile.imread(scan))
    with pytest.raises(OutputError, match="exists"):
        despeckle_slide(scan, out, model=IDENTITY)
    despeckle_slide(scan, out, model=IDENTITY, overwrite=True)
    with pytest.raises(OutputError, match=r"\.tif"):
        despeckle_slide(scan, tmp_path / "out.jpg", model=IDENTITY)


def test_a_result_never_takes_the_place_of_its_source(phantom_scan: Path, tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "raw.tif", np.full((70, 50), 9, np.uint8))
    (tmp_path / "link.tif").symlink_to(scan)
    for out in (scan, tmp_path / "link.tif"):
        with pytest.raises(OutputError, match="belongs to the slide"):
            despeckle_slide(scan, out, model=IDENTITY, overwrite=True)
    with open_slide(phantom_scan) as slide, pytest.raises(OutputError, match="belongs to the slide"):
        despeckle_slide(slide, slide.files.paths[0], model=IDENTITY, overwrite=True)


def test_a_pixel_size_far_from_the_training_is_said(tmp_path: Path) -> None:
    card = described("trained").model_copy(update={"microns_per_pixel": (0.2, 0.3)})
    with pytest.warns(ConfostainWarning, match=r"pixel size 0.75 um: model trained was trained at 0.2 to 0.3 um"):
        despeckle_slide(
            write_scan(tmp_path / "raw.tif", np.full((70, 50), 9, np.uint8)),
            tmp_path / "a.tif",
            model=Despeckler(card, lambda tile: tile),
        )


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
