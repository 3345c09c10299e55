"""What every writer of stained slides shares: the description of the image, and "complete or absent"."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

from confostain.errors import OptionError, OutputError
from confostain.geometry import Size
from confostain.io.pyramid import PyramidTile


@dataclass(frozen=True)
class StainedImage:
    """What is written beside the pixels.

    Attributes:
        size: level-0 pixels.
        microns_per_pixel: level-0 scale; None only where the format can do without.
        name: what viewers show as the image's name.
        provenance: how the image came to be, as readable key-value pairs.
        quality: JPEG quality 1..100, or None for lossless.
    """

    size: Size
    microns_per_pixel: float | None
    name: str
    provenance: Mapping[str, str] = field(default_factory=dict)
    quality: int | None = 90

    def __post_init__(self) -> None:
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise OptionError(f"JPEG quality {self.quality}: give a whole number from 1 to 100")

    @property
    def provenance_text(self) -> str:
        """The provenance as one line."""
        return ". ".join(f"{key}: {value}" for key, value in self.provenance.items())


def known_scale(image: StainedImage, path: Path) -> float:
    """The image's um per pixel, for a format that cannot do without.

    Raises:
        OutputError: it is unknown.
    """
    if image.microns_per_pixel is None:
        raise OutputError(f"{path}: the pixel size is unknown and a whole-slide image needs one; give it with --mpp")
    return image.microns_per_pixel


class SlideWriter(Protocol):
    """Takes the tiles of a pyramid in any order; nothing stands under the final name before `complete`."""

    def encode(self, tile: PyramidTile) -> object:
        """Turn a tile into what `append` stores. Called from several threads at once."""

    def append(self, tile: PyramidTile, encoded: object) -> None:
        """Store an encoded tile. Called from one thread."""

    def complete(self) -> None:
        """Write what remains and put the result under its final name."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None:
        """Remove what is not complete."""


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raise OutputError where `path` must not be written.

    Raises:
        OutputError: it exists and `overwrite` is off, or its folder does not exist or cannot be written.
    """
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already: choose another name, or allow it with --overwrite")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: the folder {path.parent} does not exist; make it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path}: the folder {path.parent} cannot be written; choose another")


@contextmanager
def complete_or_absent(path: Path, overwrite: bool) -> Iterator[Path]:
    """Give a temporary file name beside `path`; rename it to `path` at the end, remove it after an error.

    Raises:
        OutputError: as `refuse_existing`, before and after.
    """
    refuse_existing(path, overwrite)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        refuse_existing(path, overwrite)
        partial.chmod(0o666 & ~_umask())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


class PartialFolder:
    """A hidden folder beside `path` that takes its name once complete, and is removed on leaving the context.

    Attributes:
        partial: the hidden folder, empty at first.

    Raises:
        OutputError: as `refuse_existing`, at the beginning and in `complete`.
    """

    def __init__(self, path: Path, overwrite: bool) -> None:
        refuse_existing(path, overwrite)
        self._path, self._overwrite = path, overwrite
        self.partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        shutil.rmtree(self.partial, ignore_errors=True)

    def complete(self) -> None:
        """Put the folder under its final name; what stood there is removed after that."""
        refuse_existing(self._path, self._overwrite)
        self.partial.chmod(0o777 & ~_umask())
        with tempfile.TemporaryDirectory(prefix=f".{self._path.name}.", dir=self._path.parent) as old:
            if self._path.exists():
                self._path.rename(Path(old) / self._path.name)
            self.partial.rename(self._path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
