"""Layers of a confocal slide: stains, channels, also despeckled and both in one picture, and dyes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from confostain.arrays import Image, Pair, Rgb
from confostain.imaging.linear_stain import gareau
from confostain.imaging.stain_colours import DYES
from confostain.models.card import ModelCard, read_card
from confostain.models.despeckler import Despeckler
from confostain.models.registry import (
    DEFAULT_DESPECKLER,
    list_models,
    load_despeckler,
    load_dye,
    load_model,
    model_folder,
)
from confostain.models.stainer import linear_stain
from confostain.slide import Slide
from confostain.viewer.block_store import BlockStore
from confostain.viewer.layer import Layer, LayerInfo
from confostain.viewer.preview import Preview
from confostain.viewer.stained_layer import StainedLayer

COMPOSITE = LayerInfo(
    "composite", "R and F", "both channels, raw", "channel", True, "reflectance magenta, fluorescence green"
)


class ConfocalLayers:
    """Factory of layers, the same for every confocal slide."""

    def __init__(self, model: str) -> None:
        """Put the stain of `model` first: the name of a model, or the folder of a trained one.

        Raises ModelError if there is no such model.
        """
        self._model = model
        self._stains = stain_infos(model)
        self._dyes = dye_infos(model)

    def infos_of(self, slide: Slide) -> list[LayerInfo]:
        """Descriptions of the layers of a slide: stains, channels, dyes; no model that refuses its pixel size."""
        return [*self._stains_of(slide), *channel_infos(), *self._dyes_of(slide), COMPOSITE]

    def of(self, slide: Slide, store: BlockStore) -> dict[str, Layer]:
        """Layers of a slide by their ids; they keep their blocks in `store`."""
        slide.overview  # noqa: B018  # measured here, once, before several threads ask for it
        layers: list[Layer] = [self._stain(slide, info, store) for info in self._stains_of(slide)]
        layers += [_channel(slide, info, store) for info in channel_infos()]
        layers += [self._dye(slide, info, store) for info in self._dyes_of(slide)]
        layers.append(_closed_form(slide, COMPOSITE, _composite, store))
        return {layer.info.id: layer for layer in layers}

    def _stains_of(self, slide: Slide) -> list[LayerInfo]:
        scale = slide.microns_per_pixel
        return [info for info in self._stains if not _card(self._model_of(info)).refuses(scale)]

    def _dyes_of(self, slide: Slide) -> list[LayerInfo]:
        return [] if _card(self._model).refuses(slide.microns_per_pixel) else self._dyes

    def _stain(self, slide: Slide, info: LayerInfo, store: BlockStore) -> Layer:
        load = partial(load_model, self._model_of(info))
        formula = load() if info.closed_form else gareau
        reduction = _card(self._model_of(info)).reduction(slide.microns_per_pixel)
        return StainedLayer(info, slide, load, Preview(slide, formula, tissue_only=True), store, reduction)

    def _model_of(self, info: LayerInfo) -> str:
        """Name or folder of the model of a stain."""
        return self._model if info is self._stains[0] else info.id

    def _dye(self, slide: Slide, info: LayerInfo, store: BlockStore) -> Layer:
        load = partial(load_dye, self._model, next(dye for dye in DYES if dye == info.id))
        reduction = _card(self._model).reduction(slide.microns_per_pixel)
        return StainedLayer(info, slide, load, Preview(slide, gareau, tissue_only=True), store, reduction)


def _card(model: str) -> ModelCard:
    named = {card.name: card for card in list_models("stain")}
    return named[model] if model in named else read_card(model_folder(model, "stain"))


def _channel(slide: Slide, info: LayerInfo, store: BlockStore) -> Layer:
    grey = partial(_grey_rgb, int(info.id == "fluorescence"))
    if info.closed_form:
        return _closed_form(slide, info, grey, store)
    raw = linear_stain(info.id, grey, info.note)
    return StainedLayer(info, slide, DespeckledReflectance.load, Preview(slide, raw, tissue_only=False), store)


def _closed_form(slide: Slide, info: LayerInfo, formula: Callable[[Pair], Rgb], store: BlockStore) -> Layer:
    raw = linear_stain(info.id, formula, info.note)
    return StainedLayer(info, slide, lambda: raw, Preview(slide, raw, tissue_only=False), store)


@dataclass(frozen=True)
class DespeckledReflectance:
    """Despeckled reflectance in grey, with the interface of a model that stains."""

    despeckler: Despeckler
    name: str = "despeckled"
    weights_sha256: str | None = None

    @classmethod
    def load(cls) -> DespeckledReflectance:
        """Use the default despeckler."""
        return cls(load_despeckler())

    @property
    def stride(self) -> int:
        """Stride of the network in pixels."""
        return self.despeckler.stride

    @property
    def receptive_field(self) -> int:
        """Receptive field of the network in pixels."""
        return self.despeckler.receptive_field

    def __call__(self, pair: Pair) -> Rgb:
        """Despeckle a tile: float32 (2, h, w) in [0, 1] to uint8 (h, w, 3)."""
        return _grey_rgb(0, np.minimum(self.despeckler(pair[:1]), 1))


def stain_infos(first: str) -> list[LayerInfo]:
    """Descriptions of all stains, that of `first` first, which may be a folder.

    Raises ModelError if there is no such stain.
    """
    infos = [
        LayerInfo(card.name, card.name, card.description, "stain", card.kind == "closed form")
        for card in list_models("stain")
    ]
    if first not in [info.id for info in infos]:
        folder = load_model(first)
        infos.append(LayerInfo(folder.name[:64], folder.name, f"trained, from {first}", "stain", closed_form=False))
        first = folder.name[:64]
    chosen = next(info for info in reversed(infos) if info.id == first)
    return [chosen, *(info for info in infos if info.id != first)]


def dye_infos(model: str) -> list[LayerInfo]:
    """Descriptions of what each dye alone absorbs, where the stain of `model` is made of densities of dyes."""
    if _card(model).colours is None:
        return []
    return [LayerInfo(dye, dye.capitalize(), "what this dye alone absorbs", "channel", False) for dye in DYES]


def channel_infos() -> list[LayerInfo]:
    """Descriptions of the raw channels, and of the despeckled reflectance if a despeckler is installed."""
    infos = [
        LayerInfo("reflectance", "Reflectance", "raw", "channel", closed_form=True),
        LayerInfo("fluorescence", "Fluorescence", "raw", "channel", closed_form=True),
    ]
    if DEFAULT_DESPECKLER in [card.name for card in list_models("despeckle")]:
        infos.insert(1, LayerInfo("despeckled", "Despeckled", "reflectance without speckle", "channel", False))
    return infos


def _grey_rgb(channel: int, image: Image) -> Rgb:
    """One channel of float32 (c, h, w) in [0, 1] as grey uint8 (h, w, 3)."""
    grey = np.rint(image[channel] * 255).astype(np.uint8)
    return np.repeat(grey[..., np.newaxis], 3, axis=2)


def _composite(pair: Pair) -> Rgb:
    """Reflectance in magenta and fluorescence in green, which colour-blind readers tell apart; both give white."""
    return np.rint(np.stack([pair[0], pair[1], pair[0]], axis=-1) * 255).astype(np.uint8)
