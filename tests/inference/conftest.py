"""Networks made on the spot: small stainers in folders like those of a training."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[np.float32]
MakeStainer = Callable[..., Path]


def tiny_network(channels: int, seed: int = 0) -> onnx.ModelProto:
    """A network of stride 2: pixels are folded into channels, convolved twice, unfolded. It sees 15 px around."""
    rng = np.random.default_rng(seed)
    folded, width = 4 * channels, 8
    weights = {
        "first.w": rng.normal(0, (9 * folded) ** -0.5, (width, folded, 3, 3)),
        "first.b": rng.normal(0, 0.1, width),
        "second.w": rng.normal(0, (25 * width) ** -0.5, (12, width, 5, 5)),
        "second.b": np.full(12, 0.55),
    }
    nodes = [
        helper.make_node("SpaceToDepth", ["image"], ["folded"], blocksize=2),
        helper.make_node("Conv", ["folded", "first.w", "first.b"], ["seen"], "/first/Conv", pads=[1] * 4),
        helper.make_node("Relu", ["seen"], ["positive"]),
        helper.make_node("Conv", ["positive", "second.w", "second.b"], ["made"], "/second/Conv", pads=[2] * 4),
        helper.make_node("DepthToSpace", ["made"], ["result"], blocksize=2, mode="CRD"),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, channels, "h", "w"])],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.fixture
def make_stainer(tmp_path: Path) -> MakeStainer:
    """Write a stainer's folder; keyword arguments go into its card."""

    def make(name: str = "tiny", **card: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        defaults = {"kind": "stainer", "input": "pair", "despeckler": None, "stride": 2, "receptive_field": 15}
        card = {**defaults, "description": "made in a test", **card}
        (folder / "card.json").write_text(json.dumps(card))
        channels = 2 if card["input"] == "pair" else 3
        (folder / "network.onnx").write_bytes(tiny_network(channels).SerializeToString())
        return folder

    return make
