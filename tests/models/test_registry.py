import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx.reference
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

import confostain
from confostain import cli
from confostain.errors import ModelError, OptionError
from confostain.evaluation.artefacts import empty_field_test
from confostain.geometry import Size
from confostain.imaging.linear_stain import gareau, gareau_composite
from confostain.inference.tile_stainer import TileStainer
from confostain.models import card as cards
from confostain.models.build import trained_network
from confostain.models.registry import list_models, load_despeckler, load_model
from confostain.models.stainer import Model, NetworkStain
from confostain.simulation.phantom import Phantom

MakeStainer = Callable[..., Path]
Pair = npt.NDArray[np.float32]
Rgb = npt.NDArray[np.uint8]


def painted(width: int, height: int, seed: int = 0) -> Pair:
    pair = gaussian_filter(np.random.default_rng(seed).standard_normal((2, height, width)), (0, 2, 2))
    return (0.5 + pair / np.abs(pair).max() / 2).astype(np.float32)


def through_tiles(pair: Pair, model: Model, tile: int) -> Rgb:
    size = Size(pair.shape[2], pair.shape[1])
    painter = TileStainer(lambda region: pair[(slice(None), *region.slices_in(size.region))], size, model)
    rgb = np.zeros((size.height, size.width, 3), np.uint8)
    for one in painter.grid(size.region, tile):
        core = painter.stain_tile(one)
        assert core is not None
        rgb[one.level0_core.slices_in(size.region)] = core
    return rgb


def test_a_folder_is_a_model(make_stainer: MakeStainer) -> None:
    folder, pair = make_stainer(), painted(64, 48)
    model = load_model(folder)
    assert (model.name, model.stride, model.receptive_field) == ("tiny", 2, 15)
    assert model.weights_sha256 == cards.sha256_of(folder / "network.onnx")
    evaluator = onnx.reference.ReferenceEvaluator(onnx.load(folder / "network.onnx"))
    expected = np.moveaxis(evaluator.run(None, {"image": pair[np.newaxis]})[0][0], 0, 2)
    made = model(pair)
    assert made.dtype == np.uint8
    assert made.std() > 10
    assert np.abs(made - np.clip(expected, 0, 1) * 255).max() < 0.51
    assert load_model(folder) is model


@pytest.mark.parametrize(
    "card",
    [
        {},
        {"input": "gareau"},
        {"input": "gareau", "despeckler": "despeckler"},
        {"despeckler": "despeckler-paper"},
        {"precisions": {"i7": {"within_2": 1.0, "ranges": {"/first/Conv": [0.0, 1.0], "/second/Conv": [0.0, 1.5]}}}},
    ],
    ids=["pair", "composite", "despeckled composite", "despeckled pair", "integers"],
)
@pytest.mark.parametrize("size", [(151, 114), (23, 90), (5, 7)], ids=str)
def test_the_tile_size_changes_no_pixel(make_stainer: MakeStainer, card: dict[str, object], size: Size) -> None:
    model, pair = load_model(make_stainer(**card)), painted(*size)
    first, *others = (through_tiles(pair, model, tile) for tile in (256, 97, 64))
    assert len(np.unique(first)) > 20
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_the_published_pipeline_despeckles_first_and_composes_then(make_stainer: MakeStainer) -> None:
    pair = painted(260, 240)
    whole = load_model(make_stainer("whole", input="gareau", despeckler="despeckler"))
    network = load_model(make_stainer("alone", input="gareau"))
    despeckler = load_despeckler()
    assert whole.stride == np.lcm(2, despeckler.stride)
    assert whole.receptive_field == despeckler.receptive_field // 2 * 2 + 15
    assert whole.weights_sha256 == f"{network.weights_sha256}, after despeckler {despeckler.weights_sha256}"
    clean = np.stack([np.minimum(despeckler(pair[:1])[0], 1), pair[1]])
    halo = whole.receptive_field // 2
    inner = (slice(halo, -halo), slice(halo, -halo))
    np.testing.assert_array_equal(whole(pair)[inner], network(clean)[inner])
    assert (network(pair) != network(clean)).any()


def test_each_stage_computes_a_tile_once(make_stainer: MakeStainer) -> None:
    model = load_model(make_stainer(input="gareau", despeckler="despeckler-paper"))
    assert isinstance(model, NetworkStain)
    seen: list[tuple[int, ...]] = []

    def watched(tile: Pair) -> Rgb:
        seen.append(tile.shape)
        return np.zeros((*tile.shape[1:], 3), np.uint8)

    watching = NetworkStain(model.card, watched, model.despeckler)
    through_tiles(painted(256, 128), watching, 128)
    assert seen == [(3, 128 + 2 * 8, 128 + 2 * 8)] * 2  # 7 px around, from an even pixel on


def test_the_composite_is_the_linear_stain() -> None:
    pair = painted(50, 40)
    composite = gareau_composite(pair)
    assert composite.dtype == np.float32
    assert composite.min() >= 0
    assert np.abs(np.moveaxis(composite, 0, 2) * 255 - gareau(pair)).max() < 0.501


def test_networks_stain_slides_and_arrays(make_stainer: MakeStainer, phantom_scan: Path, tmp_path: Path) -> None:
    import tifffile

    folder, out = make_stainer(), tmp_path / "a.ome.tif"
    with confostain.open_slide(phantom_scan) as slide:
        confostain.stain_slide(slide, out, model=folder, quality=None)
        pair, inside = slide.read_region((0, 0), slide.size), slide.tissue.coverage(Size(*slide.size).region) == 1
    np.testing.assert_array_equal(tifffile.imread(out)[inside], confostain.stain(pair, model=str(folder))[inside])
    assert cards.sha256_of(folder / "network.onnx") in tifffile.tiffcomment(out)


def test_new_weights_are_noticed(make_stainer: MakeStainer) -> None:
    folder, pair = make_stainer(), painted(32, 32)
    before = load_model(folder)(pair)
    (folder / "network.onnx").write_bytes(
        (make_stainer("other", input="gareau") / "network.onnx").read_bytes()  # as if another training had ended
    )
    (folder / "card.json").write_text((folder.parent / "other" / "card.json").read_text())
    assert (load_model(folder)(pair) != before).any()


def test_stainers_and_despecklers_are_told_apart(make_stainer: MakeStainer, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_stainer("swift-of-a-test")
    with pytest.raises(ModelError, match=r"is a stainer, where a despeckler is expected"):
        load_despeckler(folder)
    with pytest.raises(ModelError, match=r"is a despeckler, where a stainer is expected"):
        load_model(cards.SHIPPED / "despeckler")
    shutil.copytree(cards.SHIPPED / "despeckler", folder.parent / "despeckler")
    monkeypatch.setattr("confostain.models.registry.SHIPPED", folder.parent)
    assert [card.name for card in list_models("despeckle")] == ["despeckler"]
    assert [card.name for card in list_models()] == ["gareau", "beer-lambert", "swift-of-a-test", "despeckler"]
    card = list_models("stain")[-1]
    assert (card.name, card.kind, card.description) == ("swift-of-a-test", "stainer", "made in a test")
    assert card.weights_sha256 == load_model("swift-of-a-test").weights_sha256
    with pytest.raises(OptionError, match="task 'dye': expected 'stain' or 'despeckle'"):
        list_models("dye")


def test_models_that_there_are_not_are_refused(make_stainer: MakeStainer) -> None:
    with pytest.raises(ModelError, match="no model is called 'nobody'; expected one of despeckler"):
        load_model(make_stainer(despeckler="nobody"))
    with pytest.raises(ModelError, match=r"no model is called 'nowhere'.*gareau, beer-lambert.*folder"):
        load_model("nowhere")


def test_a_gpu_that_is_not_there_is_said_to_be_missing(
    make_stainer: MakeStainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("confostain.models.engines.device._cuda_is_usable", lambda: False)
    with pytest.raises(OptionError, match=r"device cuda: expected PyTorch with CUDA .* use --device cpu"):
        load_model(make_stainer(), "cuda")
    with pytest.raises(OptionError, match="expected auto, cpu or cuda"):
        load_model(make_stainer("other"), "tpu")


def test_networks_stain_without_torch(make_stainer: MakeStainer) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; import numpy as np, confostain; "
        f"print(confostain.stain(np.full((2, 40, 30), 0.5), model={str(make_stainer())!r}).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    assert done.stdout == "(40, 30, 3)\n", done.stderr


def test_the_command_line_takes_a_folder(
    make_stainer: MakeStainer,
    phantom_scan: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = ["stain", str(phantom_scan), "-o", str(tmp_path / "a.png"), "--model", str(make_stainer())]
    with pytest.raises(SystemExit) as done:
        cli.main([*command, "--region", "0,0,100,80"])
    assert (done.value.code, capsys.readouterr().err) == (0, "")
    monkeypatch.setattr("confostain.models.engines.device._cuda_is_usable", lambda: False)
    with pytest.raises(SystemExit) as done:
        cli.main([*command, "--device", "cuda", "--overwrite"])
    assert (done.value.code, capsys.readouterr().err.count("\n")) == (2, 1)


def test_shipped_stainers_are_small() -> None:
    names = [card.name for card in list_models("stain") if card.kind == "stainer"]
    sizes = {name: max(path.stat().st_size for path in (cards.SHIPPED / name).iterdir()) for name in names}
    assert sizes["swift"] <= 4 << 20
    assert max(sizes.values()) <= 16_000_000


@pytest.mark.parametrize("name", ["swift", "swift-hq", "cyclegan"])
def test_shipped_stainers_draw_no_grid(name: str) -> None:
    """A training once drew a hatch of 2 px that no measure of texture minded: one frequency 89 times the usual one."""
    recorded = np.concatenate(list(Phantom(Size(1024, 1024)).recorded_bands()), axis=1)[:, 256:768, 256:768]
    low, high = (np.percentile(recorded, q, axis=(1, 2), keepdims=True) for q in (0.5, 99.7))
    grey = confostain.stain(np.clip((recorded - low) / (high - low), 0, 1), model=name).mean(axis=-1)
    windows = np.lib.stride_tricks.sliding_window_view(grey, (64, 64))[::32, ::32]
    windows = (windows - windows.mean(axis=(2, 3), keepdims=True)) * np.outer(np.hanning(64), np.hanning(64))
    power = (np.abs(np.fft.fft2(windows)) ** 2).sum(axis=(0, 1))
    frequency = np.abs(np.fft.fftfreq(64))
    fine = power[np.hypot(frequency[:, np.newaxis], frequency) > 0.4]
    assert fine.max() < 35 * np.median(fine)  # swift 3, cyclegan 27 on smooth dermis


def test_glass_is_white_for_the_default() -> None:
    """Learnt, not painted by the tissue mask: the former default gave 243."""
    empty = empty_field_test(lambda pair: confostain.stain(pair, "swift"))
    assert empty.mean >= 253
    assert empty.below_white < 0.01


def test_the_default_costs_at_most_5500_multiply_adds_a_pixel() -> None:
    network, side = trained_network(cards.SHIPPED / "swift"), 64
    counted = []

    def count(layer: nn.Conv2d, _: object, made: Tensor) -> None:
        counted.append(layer.weight.numel() * made.shape[-2] * made.shape[-1])

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    network(torch.zeros(1, 2, side, side))
    assert 4000 < sum(counted) / side**2 <= 5500
