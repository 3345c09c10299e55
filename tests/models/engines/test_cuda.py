"""The engine for a GPU, run on the processor: the same code but for the recording of launches."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the engine for a GPU needs PyTorch")

from confostain.errors import ModelError  # noqa: E402
from confostain.models.card import ONNX, SHIPPED, read_card  # noqa: E402
from confostain.models.engines.cpu import OpenVinoNetwork, Precision  # noqa: E402
from confostain.models.engines.cuda import open_torch_network  # noqa: E402
from confostain.models.engines.device import chosen_device  # noqa: E402
from confostain.models.engines.picture import Picture  # noqa: E402

GREY_LEVELS = 2


def smooth(channels: int, side: int) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(0).standard_normal((channels, side, side)), (0, 3, 3))
    return (0.5 + noise / np.abs(noise).max() / 2).astype(np.float32)


@pytest.fixture(scope="module", params=["swift", "resnet"])
def stainer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small stainer with weights that nobody trained, written as a training writes it."""
    from confostain.models.export import save_model
    from confostain.networks.generator import StainerDesign, build_generator

    torch.manual_seed(0)
    small = {"swift": {"channels": (8, 16), "blocks": (1, 1), "up": (1,)}, "resnet": {"width": 4, "blocks": (1,)}}
    design = StainerDesign(body=request.param, **small[request.param])
    pair = request.param == "swift"
    folder = tmp_path_factory.mktemp(request.param)
    facts = {"kind": "stainer", "input": "pair" if pair else "gareau", "despeckler": None}
    save_model(build_generator(design, 2 if pair else 3), folder, facts | {"design": asdict(design)})
    return folder


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_stainers_give_what_openvino_gives(stainer: Path, precision: Precision) -> None:
    card = read_card(stainer)
    image = smooth(2 if card.input == "pair" else 3, 96)
    expected = OpenVinoNetwork(stainer / ONNX, picture=Picture())(image)
    made = open_torch_network(stainer, card, precision, picture=Picture(), device="cpu")(image)
    assert (made.dtype, made.shape) == (np.uint8, (96, 96, 3))
    assert expected.std() > 5
    apart = np.abs(made.astype(int) - expected).max(axis=2)
    assert apart.max() <= 1 if precision == "f32" else (apart <= GREY_LEVELS).mean() > 0.999


@pytest.mark.parametrize("name", ["despeckler", "despeckler-paper"])
def test_despecklers_give_what_openvino_gives(name: str) -> None:
    folder, image = SHIPPED / name, smooth(1, 64)
    expected = OpenVinoNetwork(folder / ONNX)(image)
    made = open_torch_network(folder, read_card(folder), "f32", device="cpu")(image)
    assert made.dtype == np.float32
    assert np.abs(made - expected).max() < 1e-4


def test_weights_that_do_not_fit_are_refused(stainer: Path, tmp_path: Path) -> None:
    card = read_card(stainer)
    with pytest.raises(ModelError, match="not readable as safetensors"):
        open_torch_network(tmp_path, card, "f32", device="cpu")
    (tmp_path / "weights.safetensors").write_bytes((stainer / "weights.safetensors").read_bytes())
    other = card.model_copy(update={"design": card.design | {"width": 5, "channels": [8, 12]}})
    with pytest.raises(ModelError, match=r"weights of another network"):
        open_torch_network(tmp_path, other, "f32", device="cpu")
    other = card.model_copy(update={"design": card.design | {"depth": 3}})
    with pytest.raises(ModelError, match=r"design: describes no network of this version"):
        open_torch_network(tmp_path, other, "f32", device="cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that PyTorch can use")
def test_a_gpu_gives_the_same_pixels_recorded_or_not(stainer: Path) -> None:
    assert chosen_device("auto") == "cuda"
    card = read_card(stainer)
    image = smooth(2 if card.input == "pair" else 3, 96)
    expected = OpenVinoNetwork(stainer / ONNX, picture=Picture())(image).astype(int)
    network = open_torch_network(stainer, card, "bf16", picture=Picture())
    for turn in range(6):
        apart = np.abs(network(np.roll(image, turn, axis=2)) - np.roll(expected, turn, axis=1)).max(axis=2)
        assert (apart[32:-32, 32:-32] <= GREY_LEVELS).mean() > 0.99
