"""Runs a network on the CPU through OpenVINO: ONNX in, numpy to numpy, no torch.

One compiled network serves several threads; each call takes a free request of its own.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from confostain.errors import ModelError

Precision = Literal["f32", "bf16"]


class OpenVinoNetwork:
    """An ONNX network with one input (1, c, h, w) and one output, h and w free.

    Args:
        onnx: path of the network.
        parallel: how many threads will call at the same time.
        precision: "f32", or "bf16" where the processor computes in it and the network has been shown to bear it.

    Raises:
        ModelError: the file is missing or is not a network OpenVINO can read.
    """

    def __init__(self, onnx: Path, parallel: int = 1, precision: Precision = "f32") -> None:
        import openvino

        if not onnx.is_file():
            raise ModelError(f"{onnx}: no such file; expected the ONNX weights of a model")
        self.sha256 = hashlib.sha256(onnx.read_bytes()).hexdigest()
        try:
            compiled = openvino.Core().compile_model(
                onnx, "CPU", {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "THROUGHPUT"}
            )
        except RuntimeError as error:
            raise ModelError(f"{onnx}: not a network that can be run ({str(error).splitlines()[0]})") from error
        self._free: SimpleQueue[Any] = SimpleQueue()
        for _ in range(parallel):
            self._free.put(compiled.create_infer_request())

    def __call__(self, tile: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Run the network on one tile: float32 (c, h, w) to float32 (c', h', w')."""
        request = self._free.get()
        try:
            result = request.infer([np.ascontiguousarray(tile[np.newaxis])])
            return np.array(result[0][0], dtype=np.float32)
        finally:
            self._free.put(request)


def usable_processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
