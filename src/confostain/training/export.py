"""Trained networks to files: safetensors for further training, ONNX for use without torch, a card to read."""

from __future__ import annotations

import copy
import io
import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from confostain.errors import ModelError
from confostain.training.run import commit, write_whole


def save_network(network: nn.Module, folder: Path, config: dict[str, Any], facts: dict[str, Any] | None = None) -> None:
    """Write weights.safetensors, network.onnx and card.json of a trained network into `folder`.

    Both files hold half precision: the networks are trained in bfloat16 and lose nothing by it. The network
    says its `inputs` (channels), `stride` and `receptive_field`; `facts` go into the card.
    """
    from safetensors.torch import save

    network = copy.deepcopy(network).cpu().float().eval()
    half = {name: value.half() if value.is_floating_point() else value for name, value in network.state_dict().items()}
    write_whole(folder / "weights.safetensors", save({name: value.contiguous() for name, value in half.items()}))
    network.load_state_dict(half)
    write_onnx(network, folder / "network.onnx", network.inputs)  # type: ignore[arg-type]
    card = (facts or {}) | {
        "stride": network.stride,
        "receptive_field": network.receptive_field,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "commit": commit(),
        "config": config,
    }
    write_whole(folder / "card.json", (json.dumps(card, indent=2) + "\n").encode())


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill a network with weights from a safetensors file.

    Raises:
        ModelError: the file cannot be read, or its weights are those of another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        network.load_state_dict({name: value.float() for name, value in load_file(os.fspath(path)).items()})
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: not readable as safetensors ({error}); expected trained weights") from error
    except RuntimeError as error:
        raise ModelError(f"{path}: weights of another network; expected {type(network).__name__}") from error


def write_onnx(network: nn.Module, path: Path, channels: int) -> None:
    """Write a network for float32 images (1, channels, h, w), h and w free, as ONNX with weights in half precision."""
    import onnx

    image = torch.zeros(1, channels, 64, 64)
    plain = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is called legacy, but needs no second exporter package
        torch.onnx.export(
            folded(network),
            (image,),
            plain,  # type: ignore[arg-type]  # takes a file object too
            dynamo=False,
            input_names=["image"],
            output_names=["result"],
            dynamic_axes={"image": {2: "h", 3: "w"}, "result": {2: "h", 3: "w"}},
        )
    model = onnx.load_from_string(plain.getvalue())
    _halve(model.graph)
    write_whole(path, model.SerializeToString())


def _halve(graph: Any) -> None:
    """Store the weights of an ONNX graph in half precision; it casts them back, and computes as before."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype == np.float32 and values.size > 16:
            name = weight.name
            weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + ".half"))
            casts.append(helper.make_node("Cast", [weight.name], [name], to=TensorProto.FLOAT))
    for position, cast in enumerate(casts):
        graph.node.insert(position, cast)


def folded(network: nn.Module) -> nn.Module:
    """A copy for inference whose batch normalisations are part of the convolutions before them."""
    network = copy.deepcopy(network).eval()
    for parent in network.modules():
        if isinstance(parent, nn.Sequential):
            for index in range(len(parent) - 1, 0, -1):
                before, layer = parent[index - 1], parent[index]
                if isinstance(layer, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
                    parent[index - 1] = fuse_conv_bn_eval(before, layer)
                    del parent[index]
    return network
