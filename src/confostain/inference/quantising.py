"""Convolutions in 8-bit integers, which many processors compute several times faster than floating point.

Weights are scaled per output channel, inputs per tensor. The ranges of the inputs are measured once, on typical
images, and stand in the card of a network; what is to be rounded is said by FakeQuantize, and OpenVINO does the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from confostain.errors import ModelError

Ranges = dict[str, tuple[float, float]]  # least and largest input of each convolution, by its name in the ONNX


def measured_ranges(onnx: Path, images: Iterable[npt.NDArray[np.float32]]) -> Ranges:
    """What the convolutions of a network see in images, float32 (c, h, w), h and w multiples of the stride."""
    import openvino

    core = openvino.Core()
    model = core.read_model(onnx)
    convolutions = _convolutions(model)
    watched = openvino.Model([one.input_value(0) for one in convolutions.values()], model.get_parameters(), "watched")
    request = core.compile_model(watched, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    ranges: Ranges = {}
    for image in images:
        seen = request.infer([np.ascontiguousarray(image)[np.newaxis]])
        for place, name in enumerate(convolutions):
            low, high = ranges.get(name, (0.0, 0.0))
            ranges[name] = min(low, float(seen[place].min())), max(high, float(seen[place].max()))
    return ranges


def quantise(model: Any, ranges: Ranges) -> None:
    """Have the convolutions of an OpenVINO model that `ranges` names computed in 8-bit integers.

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
        edges = [op.constant(-largest), op.constant(largest)]
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
