"""Export of trained networks: safetensors for training and GPUs, ONNX for the CPU engine, and the card."""

from __future__ import annotations

import copy
import io
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from confostain.models.card import CARD, ONNX, WEIGHTS, ModelCard, file_hashes


def save_model(network: nn.Module, folder: Path, card: Mapping[str, Any]) -> ModelCard:
    """Write weights.safetensors, network.onnx and card.json of a trained network into a folder, the card last.

    Both files hold half precision: the networks are trained in bfloat16 and lose nothing by it.

    Args:
        network: says its `inputs` (channels), `stride` and `receptive_field`.
        folder: exists; files of those names are replaced, each complete or not at all.
        card: fields of `ModelCard`, but for what the network says itself and the hashes.
    """
    from safetensors.torch import save

    network = copy.deepcopy(network).cpu().float().eval()
    half = {name: value.half() if value.is_floating_point() else value for name, value in network.state_dict().items()}
    write_whole(folder / WEIGHTS, save({name: value.contiguous() for name, value in half.items()}))
    network.load_state_dict(half)
    write_onnx(network, folder / ONNX, network.inputs)  # type: ignore[arg-type]
    measured = {
        "stride": network.stride,
        "receptive_field": network.receptive_field,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "files": file_hashes(folder),
    }
    return write_card(folder, ModelCard.model_validate_json(json.dumps({**card, **measured})))


def write_card(folder: Path, card: ModelCard) -> ModelCard:
    """Write card.json and give the card back, named after the folder."""
    write_whole(folder / CARD, card.json_text().encode())
    return card.model_copy(update={"name": folder.name})


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that is there complete or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    part.replace(path)


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
