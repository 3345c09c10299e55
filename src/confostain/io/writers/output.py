"""Description of a result image and the interface of its writers; files and folders that are complete or absent."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import numpy as np

from confostain.errors import OptionError, OutputError
from confostain.geometry import Size
from confostain.io.writers.pyramid import PyramidTile

UINT8 = np.dtype(np.uint8)


@dataclass(frozen=True)
class ResultImage:
    """Description of a result image: a stain in 8-bit colour, or one grey plane.

    Attributes:
        size: level-0 pixels.
        microns_per_pixel: level-0 scale; None only where the format can do without.
        name: what viewers show as the image's name.
        provenance: how the image came to be, as readable key-value pairs.
        quality: JPEG quality 1..100, or None for lossless; None for grey planes.
        dtype: of the pixels: uint8 for colour; uint8, uint16 or float32 for grey planes.
        samples: values per pixel: 3 for colour, 1 for grey planes.
        channel: name of the channel in formats that name channels.
    """

    size: Size
    microns_per_pixel: float | None
    name: str
    provenance: Mapping[str, str] = field(default_factory=dict)
    quality: int | None = 90
    dtype: np.dtype[Any] = UINT8
    samples: Literal[1, 3] = 3
    channel: str = "digitally stained RGB"

    def __post_init__(self) -> None:
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise OptionError(f"JPEG quality {self.quality}: give a whole number from 1 to 100")
        if self.samples == 1 and self.quality is not None:
            raise OptionError(f"JPEG quality {self.quality} for a grey plane: expected None, grey planes are lossless")

    def shape_of(self, size: Size) -> tuple[int, ...]:
        """Shape of the array of a level: (h, w, 3) for colour, (h, w) for grey planes."""
        return (size.height, size.width, 3) if self.samples == 3 else (size.height, size.width)

    @property
    def provenance_text(self) -> str:
        """The provenance as one line."""
        return " ".join(f"{key}: {value}".rstrip(".") + "." for key, value in self.provenance.items())


@cache
def srgb_profile() -> bytes:
    """The sRGB ICC profile (IEC 61966-2-1) of LittleCMS, with a fixed date so that results are reproducible."""
    from PIL import ImageCms

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # ICC.1 header, bytes 24-35: date of creation
    return bytes(profile)


def known_scale(image: ResultImage, path: Path) -> float:
    """The image's um per pixel, for a format that cannot do without.

    Raises:
        OutputError: it is unknown.
    """
    if image.microns_per_pixel is None:
        raise OutputError(f"{path}: the pixel size is unknown and a whole-slide image needs one; give it with --mpp")
    return image.microns_per_pixel


class SlideWriter(Protocol):
    """Writer of one result image: takes the tiles of a pyramid in any order.

    Nothing stands under the final name before `complete`.
    """

    @property
    def image(self) -> ResultImage: ...  # noqa: D102
    @property
    def levels(self) -> int:
        """Number of levels that are stored, 1 for level 0 only; tiles of further levels need not come."""

    def encode(self, tile: PyramidTile) -> object:
        """Turn a tile into what `append` stores. Called from several threads at once."""

    def append(self, tile: PyramidTile, encoded: object) -> None:
        """Store an encoded tile. Called from one thread."""

    def complete(self) -> None:
        """Write what remains and put the result under its final name."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None:
        """Remove what is not complete."""


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Where the system refuses to write, say what, where and what to do.

    Raises:
        OutputError: instead of an OSError.
    """
    try:
        yield
    except BrokenPipeError:  # not of a file: the reader of the progress has closed it
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"{path}: writing failed: {reason}; free space in {path.absolute().parent} or choose another folder"
        ) from error


def _is_folder_result(folder: Path) -> bool:
    """Whether a folder is empty or holds what its suffix says: --overwrite must not cost anybody other files."""
    suffix = folder.suffix.lower()
    try:
        entries = list(folder.iterdir())
        if suffix == ".zarr" and entries:
            return "multiscales" in json.loads((folder / ".zattrs").read_bytes())
    except (OSError, ValueError):
        return False
    if suffix == ".dcm":
        return all(entry.is_file() and re.fullmatch(r"level-\d+\.dcm", entry.name) for entry in entries)
    return suffix == ".zarr"


def refuse_existing(path: Path, overwrite: bool, is_result: Callable[[Path], bool] = _is_folder_result) -> None:
    """Raise OutputError where `path` must not be written; `is_result` says whether a folder there may be replaced.

    Raises:
        OutputError: it exists and `overwrite` is off, or it is a folder and no result of the kind that its name
            says; its folder does not exist or cannot be written; or the file system takes no such name.
    """
    if not path.parent.is_dir():
        raise OutputError(f"{path}: the folder {path.parent} does not exist; make it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: the folder {path.parent} cannot be written; choose another")
    try:
        path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}; choose another name") from None
    if path.is_dir() and not is_result(path):
        raise OutputError(f"{path} is a folder and no result of this kind, so it is not replaced; choose another name")
    if not overwrite:
        raise OutputError(f"{path} exists already: choose another name, or allow it with --overwrite")


@contextmanager
def complete_or_absent(path: Path, overwrite: bool) -> Iterator[Path]:
    """Give a temporary file name beside `path`; rename it to `path` at the end, remove it after an error.

    Raises:
        OutputError: as `refuse_existing`, before and after, and as `writing_to`.
    """
    refuse_existing(path, overwrite)
    with writing_to(path):
        handle, name = tempfile.mkstemp(prefix=_hidden(path), suffix=".partial", dir=path.parent)
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
        OutputError: as `refuse_existing` and `writing_to`, at the beginning and in `complete`.
    """

    def __init__(self, path: Path, overwrite: bool, is_result: Callable[[Path], bool] = _is_folder_result) -> None:
        refuse_existing(path, overwrite, is_result)
        self._path, self._overwrite, self._is_result = path, overwrite, is_result
        with writing_to(path):
            self.partial = Path(tempfile.mkdtemp(prefix=_hidden(path), suffix=".partial", dir=path.parent))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for _ in range(50):  # a chunk still under way after an error may put a file where one was removed
            shutil.rmtree(self.partial, ignore_errors=True)
            time.sleep(0.02)
            if not self.partial.exists():
                return

    def complete(self) -> None:
        """Put the folder under its final name.

        What stood there goes aside, under a hidden name, and is removed once the folder has taken its place; if it
        cannot take it, the old result comes back. A process killed between the two renames leaves both, hidden.
        """
        refuse_existing(self._path, self._overwrite, self._is_result)
        aside = self.partial.with_suffix(".replaced")
        with writing_to(self._path):
            self.partial.chmod(0o777 & ~_umask())
            try:
                if os.path.lexists(self._path):
                    self._path.rename(aside)
                self.partial.rename(self._path)
            except BaseException:
                if os.path.lexists(aside) and not os.path.lexists(self._path):
                    aside.rename(self._path)
                raise
        _remove(aside)


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder, as far as it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _hidden(path: Path) -> str:
    """How temporary names begin: with enough of the final name to know it, and short enough for any file system."""
    return f".{path.name[:40]}."


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
