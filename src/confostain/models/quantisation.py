"""Quantisation: convolutions in 8-bit integers, which many processors compute faster than floating point.

Weights are scaled per output channel, inputs per tensor. The ranges of the inputs are measured once, on typical
images, and stand in the card of a network; what is to be rounded is said by FakeQuantize, and OpenVINO does the rest.

Processors without an instruction for sums of 8-bit products (VNNI) add pairs of them in 16 bits, which saturate:
255 * 127 * 2 > 32767. With weights held to 7 bits the sums fit, 255 * 64 * 2 = 32640, and are exact everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from confostain.errors import ModelError
from confostain.models.card import Ranges

SAMPLED = 1 << 16  # values of one image that are looked at
LARGEST_WEIGHT = {8: 127, 7: 64}  # in steps of the 8-bit scale, by the bits that weights are held to


def measured_ranges(
    onnx: Path, images: Sequence[npt.NDArray[np.float32]], tails: Sequence[float] = (0.0,)
) -> list[Ranges]:
    """What the convolutions of a network see in images, float32 (c, h, w), h and w multiples of the stride.

    Args:
        onnx: path of the network.
        images: typical ones.
        tails: shares of the values, at either end, that ranges leave out: one outlier makes the steps coarse for all.

    Returns:
        Ranges for each of the tails. Zero always belongs to a range.
    """
    import openvino

    core = openvino.Core()
    model = core.read_model(onnx)
    convolutions = _convolutions(model)
    watched = openvino.Model([one.input_value(0) for one in convolutions.values()], model.get_parameters(), "watched")
    request = core.compile_model(watched, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    sampled: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in convolutions}
    for image in images:
        seen = request.infer([np.ascontiguousarray(image)[np.newaxis]])
        for place, name in enumerate(convolutions):
            values = seen[place].ravel()
            some = values[:: max(1, values.size // SAMPLED)]
            sampled[name].append(np.append(some, (values.min(), values.max())))
    pooled = {name: np.concatenate(values) for name, values in sampled.items()}
    return [{name: _range_of(values, tail) for name, values in pooled.items()} for tail in tails]


def _range_of(values: npt.NDArray[np.float32], tail: float) -> tuple[float, float]:
    low, high = np.quantile(values, (tail, 1 - tail))
    return min(0.0, float(low)), max(0.0, float(high))


def quantise(model: Any, ranges: Ranges, weight_bits: int = 8) -> None:
    """Have the convolutions of an OpenVINO model that `ranges` names computed in 8-bit integers.

    Args:
        model: changed in place.
        ranges: of the inputs of those convolutions.
        weight_bits: 8, or 7 for processors whose sums of 8-bit products saturate.

    Raises:
        ModelError: there is no convolution of such a name.
    """
    from openvino import opset13 as op

    convolutions = _convolutions(model)
    if unknown := ranges.keys() - convolutions.keys():
        raise ModelError(f"no convolution is called {sorted(unknown)[0]!r}: the card belongs to another network")
    for name, (low, high) in ranges.items():
        convolution = convolutions[name]
        if low < 0:  # signed values, the same scale on both sides of zero
            high = max(-low, high)
            low = -high * 128 / 127
        edges = [op.constant(np.full((1, 1, 1, 1), edge, np.float32)) for edge in (low, high)]
        rounded = op.fake_quantize(convolution.input_value(0), *edges, *edges, 256)
        convolution.input(0).replace_source_output(rounded.output(0))
        weights = _values(convolution.input_value(1))
        largest = np.maximum(np.abs(weights).max(axis=(1, 2, 3), keepdims=True), np.float32(1e-12))
        edge = largest * np.float32(127 / LARGEST_WEIGHT[weight_bits])
        edges = [op.constant(-edge), op.constant(edge)]
        convolution.input(1).replace_source_output(
            op.fake_quantize(op.constant(weights), *edges, *edges, 255).output(0)
        )
    model.validate_nodes_and_infer_types()


def _convolutions(model: Any) -> dict[str, Any]:
    operations = [one for one in model.get_ordered_ops() if one.get_type_name() == "Convolution"]
    return {one.get_friendly_name().removesuffix("/WithoutBiases"): one for one in operations}


def _values(constant: Any) -> npt.NDArray[np.float32]:
    """What weights are, which may be stored in half precision."""
    import openvino
    from openvino import opset13 as op

    weights = openvino.Model([op.result(constant)], [], "weights")
    values: npt.NDArray[np.float32] = np.array(openvino.Core().compile_model(weights, "CPU")([])[0], np.float32)
    return values
