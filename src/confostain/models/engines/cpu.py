"""CPU engine: ONNX networks run by OpenVINO, and the arithmetic precisions that the processor computes right."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt

from confostain.errors import ModelError, OptionError
from confostain.models.card import Precision, Ranges
from confostain.models.engines.picture import Picture
from confostain.models.engines.processors import usable_processors
from confostain.models.engines.signal_stack import kept_signal_stack
from confostain.models.quantisation import quantise

WEIGHT_BITS: dict[Precision, int] = {"i8": 8, "i7": 7}
PROBE = 64, 128  # channels, and side in pixels, of the convolution that tells which precision is the fastest


class OpenVinoNetwork:
    """An ONNX network with one input (1, c, h, w) and one output of the same height and width, on the processor.

    All processors work on one tile at a time: what the network needs in memory does not grow with their number, and
    other threads read and encode in the meantime.

    Args:
        onnx: path of the network.
        precision: "f32", or another that the network has been shown to bear.
        picture: how its result becomes uint8 (h, w, 3); None: it stays as it is.
        ranges: of the inputs of the convolutions that "i8" and "i7" compute in integers.

    Raises:
        ModelError: the file is missing or is not a network OpenVINO can read.
        OptionError: this processor does not compute in that precision, or gets sums of it wrong.
    """

    def __init__(
        self, onnx: Path, precision: Precision = "f32", *, picture: Picture | None = None, ranges: Ranges | None = None
    ) -> None:
        import openvino

        if not onnx.is_file():
            raise ModelError(f"{onnx}: no such file; expected the ONNX weights of a model")
        if not computes(precision):
            raise OptionError(f"precision {precision}: this processor does not compute in it; use another")
        try:
            model = openvino.Core().read_model(onnx)
            if precision in WEIGHT_BITS:
                quantise(model, ranges or {}, WEIGHT_BITS[precision])
            self._compiled = _compiled(model if picture is None else _with_picture_output(model, picture), precision)
        except RuntimeError as error:
            raise ModelError(f"{onnx}: not a network that can be run ({str(error).splitlines()[0]})") from error
        self.precision = precision
        self._free: SimpleQueue[Any] = SimpleQueue()

    def __call__(self, tile: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Run the network on one tile."""
        try:
            request = self._free.get_nowait()
        except Empty:
            request = self._compiled.create_infer_request()
        result = request.infer([np.ascontiguousarray(tile)[np.newaxis]], share_inputs=True, share_outputs=True)
        made = np.array(result[0][0])  # the memory of the request is used again
        self._free.put(request)
        return made


def fastest(precisions: Sequence[Precision]) -> Precision:
    """The precision in which this processor convolves fastest.

    Measured, in a tenth of a second, where there is a choice: processors without a matrix unit say that they have
    bfloat16, too, and some are twice as slow in it. 7-bit weights are for processors that add 8-bit products wrongly.
    """
    if len(precisions) == 1:
        return precisions[0]
    rates = {precision: convolution_rate(precision, *PROBE) for precision in precisions}
    if rates.get("i8"):
        rates.pop("i7", None)
    return max(rates, key=rates.__getitem__)


def computes(precision: Precision) -> bool:
    """Whether this processor computes in a precision, and gets it right."""
    return precision == "f32" or convolution_rate(precision, *PROBE) > 0


@cache
def convolution_rate(precision: Precision, channels: int, side: int, runs: int = 3) -> float:
    """Multiply-adds per second of a convolution 3 x 3 on all processors: the fastest of several runs.

    0 where the precision is refused, or the outcome is wrong: sums of 8-bit products saturate on processors that have
    no instruction for them.
    """
    import openvino
    from openvino import opset13 as op

    if precision == "bf16" and "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return 0.0  # it would be computed in float32 without a word
    image = op.parameter([1, channels, side, side], np.float32)
    weights = op.constant(np.full((channels, channels, 3, 3), 0.01, np.float32))
    convolved = op.convolution(image, weights, [1, 1], [1, 1], [1, 1], [1, 1])
    convolved.set_friendly_name("probe")
    model = openvino.Model([convolved], [image], "convolution")
    if precision in WEIGHT_BITS:
        quantise(model, {"probe": (0, 1)}, WEIGHT_BITS[precision])
    try:
        request = _compiled(model, precision).create_infer_request()
    except RuntimeError:
        return 0.0
    pixels, seconds = np.ones((1, channels, side, side), np.float32), []
    for _ in range(runs + 1):  # the first one prepares the weights
        begin = time.perf_counter()
        result = request.infer([pixels], share_inputs=True, share_outputs=True)[0]
        seconds.append(time.perf_counter() - begin)
    is_right = np.allclose(result[..., 1:-1, 1:-1], 0.09 * channels, rtol=0.01)
    return float(9 * channels**2 * side**2 / min(seconds[1:])) if is_right else 0.0


def _compiled(model: Any, precision: Precision) -> Any:
    import openvino

    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",  # of what is not rounded to integers
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": usable_processors(),
        "ENABLE_CPU_PINNING": False,  # the processors are shared with the threads that read and encode
    }
    with kept_signal_stack():
        return openvino.Core().compile_model(model, "CPU", settings)


def _with_picture_output(model: Any, picture: Picture) -> Any:
    """The network with its result as 8-bit colours, colours last."""
    import openvino
    from openvino import opset13 as op

    made = model.get_results()[0].input_value(0)
    if picture.matrix is not None:  # light is 10 to the power of minus the optical densities, which add up
        absorbed = -math.log(10) * picture.matrix.T
        kernels = np.ascontiguousarray(absorbed[..., np.newaxis, np.newaxis], np.float32)
        made = op.exp(op.convolution(made, op.constant(kernels), [1, 1], [0, 0], [0, 0], [1, 1]))
    # what a conversion makes of values beyond 0 and 255 is not the same everywhere
    rgb = op.clamp(made, 0.0, 1.0)
    levels = op.round(op.multiply(rgb, op.constant(np.float32(255))), "half_to_even")
    levels = op.transpose(op.convert(levels, np.uint8), op.constant(np.array([0, 2, 3, 1])))
    return openvino.Model([op.result(levels)], model.get_parameters(), model.get_friendly_name())
