"""Overlays of a slide: features (GeoJSON) and maps (OME-Zarr) that lie beside it, or that the command line names.

Files come from anybody: they are read in an isolated process, with limits of size, memory and time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import imagecodecs

from confostain.errors import SlideError
from confostain.geometry import Size
from confostain.io.readers.overlay_maps import MapPlane, map_planes, read_map
from confostain.io.readers.zarr import is_zarr
from confostain.io.writers.output import printable
from confostain.viewer.annotation_schema import check_annotations
from confostain.viewer.annotations import read_limited
from confostain.viewer.isolated_process import IsolatedCallError, IsolatedProcess

FEATURES_SUFFIX, MAPS_SUFFIX = ".overlay.geojson", ".maps.ome.zarr"
MOST_OVERLAYS = 50  # of a slide
MOST_FILES = 10_000  # of a map


@dataclass(frozen=True)
class Overlay:
    """A file or folder with an overlay.

    Attributes:
        path: of it.
        name: on the page.
        is_given: whether the command line names it; others lie beside the slide.
    """

    path: Path
    name: str
    is_given: bool

    @property
    def id(self) -> str:
        """Name in URLs."""
        return hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]

    @property
    def is_map(self) -> bool:
        """Whether it is an OME-Zarr image, else GeoJSON."""
        return self.path.is_dir()


class Overlays:
    """Overlays of one slide, looked for at each request."""

    def __init__(self, slide: Path, given: Sequence[Path], isolated: IsolatedProcess) -> None:
        """Overlays that lie beside the slide at this path, and others."""
        self._slide = slide.resolve()
        self._given = [Overlay(path.resolve(), printable(path.name), is_given=True) for path in given]
        self._isolated = isolated

    def found(self) -> list[Overlay]:
        """The overlays that there are now, those of the command line first.

        Beside a slide named NAME: NAME.overlay.geojson, NAME.maps.ome.zarr, and NAME.WORD.overlay.geojson and so on.
        What would also be the overlay of something named NAME.WORD is not taken.
        """
        beside = []
        for path in sorted(self._slide.parent.iterdir()) if self._slide.parent.is_dir() else []:
            word = self._word(path.name)
            if word is not None and path not in [one.path for one in self._given]:
                beside.append(Overlay(path, printable(word), is_given=False))
        return (self._given + beside)[:MOST_OVERLAYS]

    def find(self, overlay_id: str) -> Overlay | None:
        """Overlay of that id; None where there is none."""
        return next((one for one in self.found() if one.id == overlay_id), None)

    def describe(self, overlay: Overlay, size: Size, microns_per_pixel: float | None) -> dict[str, object]:
        """Description of an overlay for a slide of that size and pixel size, ready for JSON; `problem` if unusable."""
        said: dict[str, object] = {"id": overlay.id, "name": overlay.name, "given": overlay.is_given}
        said |= {"kind": "map" if overlay.is_map else "features", "channels": [], "problem": None}
        try:
            if overlay.is_map:
                said["channels"] = self._channels(overlay, size, microns_per_pixel)
        except SlideError as error:
            said["problem"] = printable(str(error))
        return said

    def features(self, overlay: Overlay) -> bytes:
        """GeoJSON FeatureCollection in level-0 pixels.

        Raises SlideError if it is anything else, or too large.
        """
        self._check_links(overlay)
        data = read_limited(overlay.path)
        try:
            self._isolated.call(check_annotations, data)
        except (ValueError, IsolatedCallError) as error:
            raise SlideError(
                f"{overlay.path.name}: no GeoJSON FeatureCollection ({error}); repair the file or move it away"
            ) from error
        return data

    def map_png(self, overlay: Overlay, channel: int) -> bytes:
        """PNG of grey and alpha, of one channel of a map: value * 255 or label, and 255 where there is one.

        Raises SlideError if it cannot be read.
        """
        self._check_links(overlay)
        try:
            data: bytes = self._isolated.call(_map_png, overlay.path, channel)
        except IsolatedCallError as error:
            raise SlideError(f"{overlay.path.name}: reading it {error}; save a coarser map") from error
        return data

    def _word(self, name: str) -> str | None:
        """What an overlay of the slide is called on the page; None for the name of anything else."""
        for suffix in (FEATURES_SUFFIX, MAPS_SUFFIX):
            stem = name.removesuffix(suffix)
            if stem == name:
                continue
            if stem == self._slide.name:
                return suffix[1:].partition(".")[0]
            word = stem.removeprefix(self._slide.name + ".")
            if stem != word and "." not in word and not self._slide.with_name(stem).exists():
                return word
        return None

    def _channels(self, overlay: Overlay, size: Size, microns_per_pixel: float | None) -> list[dict[str, object]]:
        self._check_links(overlay)
        if microns_per_pixel is None:
            raise SlideError(
                f"{overlay.path.name}: its place is in um, and the slide's pixel size is unknown; give it with --mpp"
            )
        try:
            planes: list[MapPlane] = self._isolated.call(map_planes, overlay.path)
        except IsolatedCallError as error:
            raise SlideError(f"{overlay.path.name}: reading it {error}; save a coarser map") from error
        return [_placed(overlay.path.name, plane, size, microns_per_pixel) for plane in planes]

    def _check_links(self, overlay: Overlay) -> None:
        """Refuse links out of the folder of the slide: who can write there must not show files of others."""
        if overlay.is_given:
            return
        inside = overlay.path.rglob("*") if overlay.path.is_dir() and not overlay.path.is_symlink() else iter(())
        files = list(islice(inside, MOST_FILES + 1))
        if len(files) > MOST_FILES:
            raise SlideError(f"{overlay.path.name}: more than {MOST_FILES} files; expected less; save larger chunks")
        if overlay.path.is_symlink() or any(path.is_symlink() for path in files):
            raise SlideError(f"{overlay.path.name}: holds a link; expected files of its own; copy them there")


def check_overlay(path: Path) -> None:
    """Raise SlideError unless a GeoJSON file or an OME-Zarr folder is at the path."""
    if not (path.is_file() and path.suffix.lower() in (".geojson", ".json")) and not (path.is_dir() and is_zarr(path)):
        raise SlideError(
            f"{path}: no overlay; expected a .geojson file or the folder of an OME-Zarr map; check the path"
        )


def _placed(name: str, plane: MapPlane, size: Size, microns_per_pixel: float) -> dict[str, object]:
    """Description of a channel: left upper corner and pixels in level-0 pixels.

    Raises SlideError if no part of it lies on the slide.
    """
    scale = plane.microns_per_pixel / microns_per_pixel
    x, y = (centre / microns_per_pixel + (1 - scale) / 2 for centre in plane.position_um)
    width, height = plane.size
    if x >= size.width or y >= size.height or x + width * scale <= 0 or y + height * scale <= 0:
        raise SlideError(
            f"{name}: lies at {x:.0f}, {y:.0f} px, beside the slide of {size.width} x {size.height} px; expected a map"
            " of this slide; check its translation"
        )
    classes = None if plane.classes is None else [[label, *said] for label, said in sorted(plane.classes.items())]
    named = {"name": printable(plane.name), "classes": classes}
    return named | {"x": x, "y": y, "scale": scale, "width": width, "height": height}


def _map_png(path: Path, channel: int) -> bytes:
    return bytes(imagecodecs.png_encode(read_map(path, channel)))
