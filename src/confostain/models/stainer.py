"""Stainers ready to run: closed forms, and networks with the stages before them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from confostain.arrays import Image, Pair, Rgb
from confostain.imaging.linear_stain import beer_lambert, gareau, gareau_composite
from confostain.imaging.stain_colours import StainColours
from confostain.models.card import ModelCard
from confostain.models.despeckler import Despeckler


class Model(Protocol):
    """A stainer of tiles; any object with these attributes can be given to `confostain.stain`.

    Attributes:
        name: what the user calls it.
        stride: inputs start and end at multiples of this many pixels, in slide coordinates.
        receptive_field: side in pixels of the square of input that one output pixel depends on; 1: only itself.
        weights_sha256: hash of the weights that make the result, None for a closed form.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def stride(self) -> int: ...  # noqa: D102
    @property
    def receptive_field(self) -> int: ...  # noqa: D102
    @property
    def weights_sha256(self) -> str | None: ...  # noqa: D102

    def __call__(self, pair: Pair) -> Rgb:
        """Stain a tile: float32 (2, h, w) in [0, 1], R then F, to uint8 (h, w, 3). Called from several threads."""


@dataclass(frozen=True)
class LinearStain:
    """A closed-form stain, computed pixel by pixel.

    Attributes:
        card: see `ModelCard`.
        formula: maps float32 (2, h, w) to uint8 (h, w, 3).
    """

    card: ModelCard
    formula: Callable[[Pair], Rgb]
    stride: int = 1
    receptive_field: int = 1
    weights_sha256: None = None

    @property
    def name(self) -> str:
        """The name of the stain."""
        return self.card.name

    def __call__(self, pair: Pair) -> Rgb:
        """Stain a tile."""
        return self.formula(pair)


@dataclass(frozen=True)
class NetworkStain:
    """A staining network, with the stages before it, as one model.

    Every stage stands on the same grid: tiles begin at multiples of all strides in slide coordinates, so that a
    pixel comes out the same in any tile.

    Attributes:
        card: see `ModelCard`; its stride and receptive field are those of the network alone.
        network: float32 (c, h, w) to uint8 (h, w, 3); or to the density of one dye, float32 (h, w, 1).
        despeckler: cleans R first, or None.
        colours: of the laboratory in which it stains; None where the network gives RGB.
    """

    card: ModelCard
    network: Callable[[Image], npt.NDArray[Any]]
    despeckler: Despeckler | None = None
    colours: StainColours | None = None

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.card.name

    @property
    def stride(self) -> int:
        """Least common multiple of the strides of all stages."""
        return self.card.stride if self.despeckler is None else math.lcm(self.card.stride, self.despeckler.stride)

    @property
    def receptive_field(self) -> int:
        """Receptive field of all stages."""
        return 2 * (self._despeckler_halo + self.card.receptive_field // 2) + 1

    @property
    def weights_sha256(self) -> str | None:
        """Hash of the network's weights, and of the despeckler's where there is one."""
        if self.despeckler is None:
            return self.card.weights_sha256
        return f"{self.card.weights_sha256}, after {self.despeckler.name} {self.despeckler.weights_sha256}"

    def __call__(self, pair: Pair) -> Rgb:
        """Stain a tile. Where its edge lies within the halo of the stages, the outcome means nothing."""
        _, height, width = pair.shape
        edge, inner = self._edge, self.network(self.network_input(pair))
        if not edge:
            return inner
        made = np.zeros((height, width, *inner.shape[2:]), inner.dtype)
        made[edge : height - edge, edge : width - edge] = inner
        return made

    def network_input(self, pair: Pair) -> Image:
        """The network's input for a tile, float32 (c, h, w).

        Without the edge, along the network's grid, for which the despeckler's receptive field is not complete.
        """
        if self.despeckler is not None:
            _, height, width = pair.shape
            clean = np.stack([np.minimum(self.despeckler(pair[:1])[0], 1), pair[1]])
            pair = clean[:, self._edge : height - self._edge, self._edge : width - self._edge]
        return gareau_composite(pair) if self.card.input == "gareau" else pair

    @property
    def _despeckler_halo(self) -> int:
        return 0 if self.despeckler is None else self.despeckler.receptive_field // 2

    @property
    def _edge(self) -> int:
        return self._despeckler_halo // self.card.stride * self.card.stride


def linear_stain(name: str, formula: Callable[[Pair], Rgb], description: str) -> LinearStain:
    """A closed form with its card."""
    card = ModelCard(name=name, kind="closed form", description=description, input="pair", stride=1, receptive_field=1)
    return LinearStain(card, formula)


LINEAR_STAINS = (
    linear_stain("gareau", gareau, "linear composite of R and F in H&E colours (Gareau 2009)"),
    linear_stain("beer-lambert", beer_lambert, "absorption of two virtual dyes (Giacomelli et al. 2016)"),
)
