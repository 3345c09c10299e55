"""CUDA engine: networks run by PyTorch on a GPU. Loaded only when a GPU is used.

Convolutions run in bfloat16 where the network bears it, in float32 (TF32) else, channels last. Most tiles of a slide
have one shape: its launches are recorded once as a CUDA graph and then played back.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from confostain.models.build import trained_network
from confostain.models.card import ModelCard, Precision
from confostain.models.engines.picture import Picture
from confostain.networks.colours import picture_of

RECORD_AFTER = 3  # tiles of one shape; edges of a slide come in other shapes, seldom
MOST_RECORDED = 2  # shapes; each keeps the memory of its activations


def is_usable() -> bool:
    """Whether PyTorch finds a GPU."""
    return torch.cuda.is_available()


def open_torch_network(
    folder: Path, card: ModelCard, precision: Precision, *, picture: Picture | None = None, device: str = "cuda"
) -> TorchNetwork:
    """The network in a folder, built as its card says, with its weights.

    Raises:
        ModelError: the weights are missing, damaged, or another network's than the card says.
    """
    return TorchNetwork(trained_network(folder, card), torch.device(device), precision, picture=picture)


class TorchNetwork:
    """A network on a device, one tile at a time; like `confostain.models.engines.cpu.OpenVinoNetwork`.

    Args:
        network: (1, c, h, w) to (1, c', h, w).
        device: "cuda"; on "cpu" the same arithmetic, slowly.
        precision: of the convolutions.
        picture: how its result becomes uint8 (h, w, 3); None: it stays as it is.
    """

    def __init__(
        self, network: nn.Module, device: torch.device, precision: Precision, *, picture: Picture | None
    ) -> None:
        network = network.eval().requires_grad_(False).to(device)
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._device, self._precision, self._picture = device, precision, picture
        self._lock = threading.Lock()
        self._seen: Counter[torch.Size] = Counter()
        self._recorded: dict[torch.Size, Recording] = {}

    def __call__(self, tile: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Run the network on one tile."""
        image = torch.from_numpy(np.ascontiguousarray(tile))[None]
        with self._lock, torch.inference_mode():
            return self._run(image.to(self._device)).cpu().numpy()

    def _run(self, image: Tensor) -> Tensor:
        if self._device.type != "cuda":
            return self._computed(image)
        shape = image.shape
        self._seen[shape] += 1
        if shape not in self._recorded:
            if self._seen[shape] < RECORD_AFTER or len(self._recorded) == MOST_RECORDED:
                return self._computed(image)
            self._recorded[shape] = Recording(self._computed, image)
        return self._recorded[shape].played(image)

    def _computed(self, image: Tensor) -> Tensor:
        with self._arithmetic():
            made: Tensor = self._network(image.contiguous(memory_format=torch.channels_last))[0]
        made = made.float()
        if self._picture is None:
            return made
        if self._picture.matrix is not None:
            made = picture_of(made[None], self._picture.matrix)[0]
        return (made.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous()

    def _arithmetic(self) -> AbstractContextManager[object]:
        is_bf16 = self._precision == "bf16"
        return torch.autocast(self._device.type, torch.bfloat16, enabled=is_bf16, cache_enabled=False)


class Recording:
    """The launches for one shape of tile, recorded as a CUDA graph."""

    def __init__(self, compute: Any, image: Tensor) -> None:
        """Record `compute`, which has run on this shape before."""
        self._input = image.clone()
        self._graph = torch.cuda.CUDAGraph()
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            compute(self._input)  # what is prepared on first use must not be recorded
        torch.cuda.current_stream().wait_stream(aside)
        with torch.cuda.graph(self._graph):
            self._output: Tensor = compute(self._input)

    def played(self, image: Tensor) -> Tensor:
        """The result for an image of that shape; overwritten by the next."""
        self._input.copy_(image)
        self._graph.replay()
        return self._output
