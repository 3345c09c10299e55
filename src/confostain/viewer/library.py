"""The slides that may be shown: those named when the program starts, and those that a watched folder brings.

A slide is known to the page by an id. Nothing that comes from the page is ever taken for a path.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from confostain.arrays import Rgb
from confostain.geometry import Size
from confostain.imaging.linear_stain import gareau
from confostain.io.readers.histology import HistologySlide, open_histology
from confostain.io.writers.pyramid import TILE, level_sizes
from confostain.models.despeckler import Despeckler
from confostain.models.registry import DEFAULT_DESPECKLER, list_models, load_despeckler, load_model
from confostain.models.stainer import linear_stain
from confostain.slide import Slide, open_slide
from confostain.viewer.annotations import AnnotationFile
from confostain.viewer.layers import HistologyLayer, Layer, LayerInfo, PaintedLayer
from confostain.viewer.preview import Preview
from confostain.viewer.store import BlockStore
from confostain.viewer.watching import Watcher

Kind = Literal["confocal", "histology"]


@dataclass
class Entry:
    """One slide of the library.

    Attributes:
        id: what the page calls it.
        name: what people call it.
        kind: a raw scan or an H&E slide.
        path: where it came from, and where its annotations lie beside it.
        slide: the open slide.
        infos: its layers, the one to be shown first in front.
        layers: those, by their ids, once the slide has been surveyed: an exception where it could not be.
    """

    id: str
    name: str
    kind: Kind
    path: Path
    slide: Slide | HistologySlide
    infos: list[LayerInfo]
    layers: Future[dict[str, Layer]] = field(default_factory=Future)

    def __post_init__(self) -> None:
        self.annotations = AnnotationFile(self.path)

    @property
    def size(self) -> Size:
        """Of level 0."""
        return Size(*self.slide.size)

    def described(self) -> dict[str, object]:
        """What there is to know of it, ready for JSON."""
        stains = [info.id for info in self.infos if info.kind == "stain"]
        is_ready = self.layers.done() and self.layers.exception() is None
        return {
            "id": self.id,
            "name": self.name,
            "kind": self.kind,
            "width": self.size.width,
            "height": self.size.height,
            "microns_per_pixel": self.slide.microns_per_pixel,
            "tile": TILE,
            "levels": len(level_sizes(self.size)),
            "layers": [asdict(info) for info in self.infos],
            "models": stains,
            "ready": is_ready,
            "tissue_share": self.slide.tissue.share if is_ready and isinstance(self.slide, Slide) else None,
            "label": f"digitally stained: {stains[0]}" if stains else "H&E",
        }


class Library:
    """The slides at hand, in the order they came."""

    def __init__(self, model: str) -> None:
        """Show the stain of `model` first: one at hand by its name, or the folder of a trained one.

        Raises ModelError where there is none.
        """
        self._stains = stain_layers(model)
        self._first = model
        self._store = BlockStore()
        self.entries: dict[str, Entry] = {}
        self.listeners: list[Callable[[], object]] = []  # called from any thread when a slide has come
        self._watchers: list[Watcher] = []
        self._lock = threading.Lock()

    def add_confocal(self, slide: Slide, path: Path) -> None:
        """Add an open slide; its survey goes on by itself."""
        infos = [*self._stains, *channel_layers()]
        self._add(Entry(_id_of(path), _name_of(path), "confocal", path, slide, infos), lambda: self._layers(slide))

    def add_histology(self, path: Path, microns_per_pixel: float | None = None) -> None:
        """Open an H&E slide and add it."""
        slide = open_histology(path, microns_per_pixel)
        layer = HistologyLayer(slide)
        entry = Entry(_id_of(path), path.stem, "histology", path, slide, [layer.info])
        self._add(entry, lambda: {layer.info.id: layer})

    def watch(self, folder: Path, open_: Callable[[Path], Slide] = open_slide) -> None:
        """Add the slides in a folder, and those that come."""
        self._watchers.append(Watcher(folder, open_, self.add_confocal))

    def __enter__(self) -> Library:
        """Close at the end of a `with` statement."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close, whatever happened."""
        self.close()

    def close(self) -> None:
        """Close every slide and remove what was kept on disk."""
        for watcher in self._watchers:
            watcher.close()
        for entry in self.entries.values():
            entry.slide.close()
        self._store.close()

    def _add(self, entry: Entry, layers: Callable[[], dict[str, Layer]]) -> None:
        with self._lock:
            self.entries = self.entries | {entry.id: entry}
        threading.Thread(target=_fulfil, args=(entry.layers, layers), name="survey", daemon=True).start()
        for tell in list(self.listeners):
            tell()

    def _layers(self, slide: Slide) -> dict[str, Layer]:
        slide.overview  # noqa: B018  # measured here, once, before several threads ask for it
        layers: list[Layer] = [self._stain(slide, info) for info in self._stains]
        layers += [self._channel(slide, info) for info in channel_layers()]
        return {layer.info.id: layer for layer in layers}

    def _stain(self, slide: Slide, info: LayerInfo) -> Layer:
        load = partial(load_model, self._first if info is self._stains[0] else info.id)
        formula = load() if info.closed_form else gareau
        return PaintedLayer(info, slide, load, Preview(slide, formula, tissue_only=True), self._store)

    def _channel(self, slide: Slide, info: LayerInfo) -> Layer:
        raw = linear_stain(info.id, partial(_grey, int(info.id == "fluorescence")), info.note)
        load = (lambda: raw) if info.closed_form else Despeckled.load
        return PaintedLayer(info, slide, load, Preview(slide, raw, tissue_only=False), self._store)


@dataclass(frozen=True)
class Despeckled:
    """The reflectance without its speckle, in grey, where a stain is expected."""

    despeckler: Despeckler
    name: str = "despeckled"
    weights_sha256: str | None = None

    @classmethod
    def load(cls) -> Despeckled:
        """With the despeckler that is used by default."""
        return cls(load_despeckler())

    @property
    def stride(self) -> int:
        """As the network's."""
        return self.despeckler.stride

    @property
    def receptive_field(self) -> int:
        """As the network's."""
        return self.despeckler.receptive_field

    def __call__(self, pair: npt.NDArray[np.float32]) -> Rgb:
        """Despeckle a tile: float32 (2, h, w) to uint8 (h, w, 3)."""
        return _grey(0, np.minimum(self.despeckler(pair[:1]), 1))


def stain_layers(first: str) -> list[LayerInfo]:
    """The stains there are, `first` first, which may be a folder; ModelError where there is no such stain."""
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


def channel_layers() -> list[LayerInfo]:
    """The channels as recorded, and the reflectance without speckle where there is a network for it."""
    layers = [
        LayerInfo("reflectance", "Reflectance", "raw", "channel", closed_form=True),
        LayerInfo("fluorescence", "Fluorescence", "raw", "channel", closed_form=True),
    ]
    if DEFAULT_DESPECKLER in [card.name for card in list_models("despeckle")]:
        layers.insert(1, LayerInfo("despeckled", "Despeckled", "reflectance without speckle", "channel", False))
    return layers


def _grey(band: int, pair: npt.NDArray[np.float32]) -> Rgb:
    grey = np.rint(pair[band] * 255).astype(np.uint8)
    return np.repeat(grey[..., np.newaxis], 3, axis=2)


def _id_of(path: Path) -> str:
    """The same for the same path, so that a link to a position stays good."""
    return hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]


def _name_of(path: Path) -> str:
    """The file's or folder's name; of a mosaic, which all scanners call so, that of its scan."""
    path = path.resolve()
    return path.parent.name if path.name.startswith("mosaic") else path.stem


def _fulfil(future: Future[Any], work: Callable[[], Any]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:  # whoever waits for the result shall hear of it
        future.set_exception(error)
