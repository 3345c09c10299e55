"""Slide library: the slides that the viewer may show, given at the start or found in watched folders.

The page names a slide by its id. Nothing that comes from the page is ever used as a path.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from confostain.geometry import Size
from confostain.io.readers.histology import HistologySlide, open_histology
from confostain.io.writers.output import printable
from confostain.io.writers.pyramid import TILE, level_sizes
from confostain.slide import Slide, open_slide
from confostain.viewer.annotation_schema import check_annotations
from confostain.viewer.annotations import VIEWED_SUFFIX, AnnotationFile
from confostain.viewer.block_store import BlockStore
from confostain.viewer.confocal_layers import ConfocalLayers
from confostain.viewer.folder_watcher import FolderWatcher
from confostain.viewer.histology_layer import HistologyLayer
from confostain.viewer.isolated_process import IsolatedProcess
from confostain.viewer.layer import Layer, LayerInfo
from confostain.viewer.overlays import Overlays

MAX_REFUSALS = 200  # listed
CHECK_SECONDS = 30.0  # s for checking annotations; the largest that may be saved take 1 s
CHECK_MEMORY = 192 << 20  # bytes for the same; the largest take 96 MB
OVERLAY_MEMORY = 512 << 20  # bytes for reading an overlay; a chunk of a map may have 256 MB

SlideKind = Literal["confocal", "histology"]


@dataclass
class SlideEntry:
    """A slide of the library.

    Attributes:
        id: its name in URLs.
        name: its name on the page.
        kind: a raw confocal scan or an H&E slide.
        path: file or folder; annotations are stored beside it.
        slide: the open slide.
        annotations: the file of its annotations.
        viewed: the file that records what has been seen of it.
        overlays: what lies beside it, or was given, to be shown above it.
        layer_infos: descriptions of its layers, the one to be shown at first in front.
        layers: the layers by their ids, once the slide has been surveyed; an exception if that failed.
    """

    id: str
    name: str
    kind: SlideKind
    path: Path
    slide: Slide | HistologySlide
    annotations: AnnotationFile
    viewed: AnnotationFile
    overlays: Overlays
    layer_infos: list[LayerInfo]
    layers: Future[dict[str, Layer]] = field(default_factory=Future)

    @property
    def size(self) -> Size:
        """Size of level 0."""
        return Size(*self.slide.size)

    def describe(self) -> dict[str, object]:
        """Description of the slide, ready for JSON."""
        stains = [info.id for info in self.layer_infos if info.kind == "stain"]
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
            "layers": [asdict(info) for info in self.layer_infos],
            "models": stains,
            "ready": is_ready,
            "problem": printable(str(self.layers.exception())) if self.layers.done() and not is_ready else None,
            "tissue_share": self.slide.tissue.share if is_ready and isinstance(self.slide, Slide) else None,
            "label": f"digitally stained: {stains[0]}" if stains else self.layer_infos[0].label,
        }


class Library:
    """Slides in the order in which they were added."""

    def __init__(self, model: str) -> None:
        """Show the stain of `model` first: the name of a model, or the folder of a trained one.

        Raises ModelError if there is no such model.
        """
        self._confocal = ConfocalLayers(model)
        self._store = BlockStore()
        self._isolated = IsolatedProcess(CHECK_SECONDS, CHECK_MEMORY)
        self._overlay_process = IsolatedProcess(CHECK_SECONDS, OVERLAY_MEMORY)  # saving annotations does not wait
        self.entries: dict[str, SlideEntry] = {}
        self.listeners: list[Callable[[], object]] = []  # called from any thread after a slide was added or refused
        self._watchers: list[FolderWatcher] = []
        self._lock = threading.Lock()

    def add_confocal(self, slide: Slide, path: Path, overlays: Sequence[Path] = ()) -> None:
        """Add an open slide, with overlays besides those beside it; it is surveyed in a thread of its own."""
        name, infos = _slide_name(path), self._confocal.infos_of(slide)
        entry = SlideEntry(_slide_id(path), name, "confocal", path, slide, *self._files(path, overlays), infos)
        self._add(entry, lambda: self._confocal.of(slide, self._store))

    def add_histology(
        self, path: Path, microns_per_pixel: float | None = None, label: str = "H&E", overlays: Sequence[Path] = ()
    ) -> None:
        """Open an H&E slide, or a stain that was written to a file and says what it is by `label`, and add it."""
        slide = open_histology(path, microns_per_pixel)
        layer = HistologyLayer(slide, label)
        name, infos = printable(path.stem), [layer.info]
        entry = SlideEntry(_slide_id(path), name, "histology", path, slide, *self._files(path, overlays), infos)
        self._add(entry, lambda: {layer.info.id: layer})

    def watch(self, folder: Path, open_: Callable[[Path], Slide] = open_slide) -> None:
        """Add the slides that a folder holds, now and later; `open_` must be picklable."""
        watcher = FolderWatcher(folder, open_, self.add_confocal, self._notify)
        self._watchers.append(watcher)
        watcher.start()

    @property
    def refusals(self) -> list[dict[str, str]]:
        """Entries of watched folders that are not shown, by `name`, each with the `reason`."""
        found = [one for watcher in self._watchers for one in watcher.refusals.items()]
        return [{"name": printable(path.name), "reason": printable(reason)} for path, reason in found[:MAX_REFUSALS]]

    def check_annotations(self, data: bytes) -> int:
        """Number of features in GeoJSON, read in a process of its own.

        Raises ValueError if it is no FeatureCollection, IsolatedCallError if reading it takes too much.
        """
        return self._isolated.call(check_annotations, data)

    def __enter__(self) -> Library:
        """Close at the end of a `with` statement."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close after success and failure alike."""
        self.close()

    def close(self) -> None:
        """Close all slides and remove the stored blocks."""
        for watcher in self._watchers:
            watcher.close()
        for entry in self.entries.values():
            entry.slide.close()
        self._store.close()
        self._isolated.close()
        self._overlay_process.close()

    def _files(self, path: Path, overlays: Sequence[Path]) -> tuple[AnnotationFile, AnnotationFile, Overlays]:
        """Annotations, viewed area and overlays of the slide at a path."""
        check = self.check_annotations
        viewed = AnnotationFile(path, check, VIEWED_SUFFIX)
        return AnnotationFile(path, check), viewed, Overlays(path, overlays, self._overlay_process)

    def _add(self, entry: SlideEntry, layers: Callable[[], dict[str, Layer]]) -> None:
        with self._lock:
            self.entries = self.entries | {entry.id: entry}
        threading.Thread(target=self._survey, args=(entry, layers), name="survey", daemon=True).start()
        self._notify()

    def _survey(self, entry: SlideEntry, layers: Callable[[], dict[str, Layer]]) -> None:
        _compute(entry.layers, layers)
        if entry.layers.exception() is not None:
            self._notify()

    def _notify(self) -> None:
        for notify in list(self.listeners):
            notify()


def _slide_id(path: Path) -> str:
    """Hash of the path: the same at every start, so that links to a view stay valid."""
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:12]


def _slide_name(path: Path) -> str:
    """Name of the file or folder; of a mosaic, a name that all scans share, the name of the folder around it."""
    path = path.resolve()
    return printable(path.parent.name if path.name.startswith("mosaic") else path.stem)


def _compute(future: Future[Any], work: Callable[[], Any]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:  # raised again where the result is asked for
        future.set_exception(error)
