"""Choice of the device, and networks opened on it.

A network takes float32 (c, h, w), h and w multiples of its stride, and gives float32 (c', h, w) or a picture,
uint8 (h, w, 3). Several threads may call it.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from confostain.errors import OptionError
from confostain.models.card import ONNX, ModelCard, Precision
from confostain.models.engines.cpu import OpenVinoNetwork, fastest
from confostain.models.engines.picture import Picture

Device = Literal["cpu", "cuda"]
Network = Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]


def open_network(folder: Path, card: ModelCard, device: Device, picture: Picture | None) -> Network:
    """The network in a folder, ready to run in the fastest precision that its card allows and the device has.

    Args:
        folder: of the model.
        card: of the model.
        device: where it runs.
        picture: how its result becomes uint8 (h, w, 3); None: what the network gives, float32 (c', h, w).

    Raises:
        ModelError: a file is missing, damaged, or another network's than the card says.
    """
    if device == "cuda":
        from confostain.models.engines.cuda import open_torch_network

        precision: Precision = "bf16" if "bf16" in card.allowed_precisions else "f32"
        return open_torch_network(folder, card, precision, picture=picture)
    chosen = fastest(card.allowed_precisions)
    return OpenVinoNetwork(folder / ONNX, chosen, picture=picture, ranges=card.ranges(chosen))


def chosen_device(wanted: str) -> Device:
    """Where networks run: "auto" takes a GPU that PyTorch can use, else the processor.

    Raises:
        OptionError: "cuda", and there is no such GPU; or another word.
    """
    if wanted not in ("auto", "cpu", "cuda"):
        raise OptionError(f"device {wanted!r}: expected auto, cpu or cuda")
    if wanted == "cpu":
        return "cpu"
    if _cuda_is_usable():
        return "cuda"
    if wanted == "auto":
        return "cpu"
    raise OptionError(
        "device cuda: expected PyTorch with CUDA and an NVIDIA GPU, and one of them is missing; use --device cpu"
    )


@cache
def _cuda_is_usable() -> bool:
    """Whether PyTorch is installed and finds a GPU. PyTorch takes seconds to load, so the driver is asked first."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return False
    if find_spec("torch") is None:
        return False
    from confostain.models.engines.cuda import is_usable

    return is_usable()
