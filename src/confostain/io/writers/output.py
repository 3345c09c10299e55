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
from unicodedata import category

import numpy as np

from confostain.errors import OptionError, OutputError
from confostain.geometry import Size
from confostain.io.writers.pyramid import PyramidTile

UNPRINTABLE = {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"}  # control, format, surrogate, unassigned, separators of lines
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
        level0_xy: left upper pixel in the slide that the image is a region of.

    Characters of the texts that cannot be shown, which XML and DICOM forbid, are replaced.
    """

    size: Size
    microns_per_pixel: float | None
    name: str
    provenance: Mapping[str, str] = field(default_factory=dict)
    quality: int | None = 90
    dtype: np.dtype[Any] = UINT8
    samples: Literal[1, 3] = 3
    channel: str = "digitally stained RGB"
    level0_xy: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", printable(self.name))
        object.__setattr__(self, "provenance", {key: printable(text) for key, text in self.provenance.items()})
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise OptionError(f"JPEG quality {self.quality}: give a whole number from 1 to 100")
        if self.samples == 1 and self.quality is not None:
            raise OptionError(f"JPEG quality {self.quality} for a grey plane: expected None, grey planes are lossless")

    def shape_of(self, size: Size) -> tuple[int, ...]:
        """Shape of the array of a level: (h, w, 3) for colour, (h, w) for grey planes."""
        return (size.height, size.width, 3) if self.samples == 3 else (size.height, size.width)

    def position_um(self, level: int = 0) -> tuple[float, float]:
        """Centre of the left upper pixel of a level, (x, y) in um from that of the slide that this is a region of.

        A pixel of level k is the mean of 2^k by 2^k pixels of level 0, so its centre lies (2^k - 1) / 2 of these
        further. The pixel size must be known.
        """
        scale, half = self.microns_per_pixel or 1.0, (2**level - 1) / 2
        x, y = ((place + half) * scale for place in self.level0_xy)
        return x, y

    @property
    def provenance_text(self) -> str:
        """Provenance as one line."""
        return " ".join(f"{key}: {value}".rstrip(".") + "." for key, value in self.provenance.items())


def printable(text: str) -> str:
    """Text in which control characters, and bytes of file names that are no text, are replaced."""
    return "".join("\N{REPLACEMENT CHARACTER}" if category(sign) in UNPRINTABLE else sign for sign in text)


@cache
def srgb_profile() -> bytes:
    """ICC profile of sRGB (IEC 61966-2-1) by LittleCMS, with a fixed date so that results are reproducible."""
    from PIL import ImageCms

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # ICC.1 header, bytes 24-35: date of creation
    return bytes(profile)


def known_scale(image: ResultImage, path: Path) -> float:
    """Pixel size of an image in um, for a format that needs one.

    Raises:
        OutputError: it is unknown.
    """
    if image.microns_per_pixel is None:
        raise OutputError(
            f"{path}: the pixel size is unknown; expected one for a whole-slide image; give it with --mpp"
        )
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
        """Encode a tile for `append`. Called from several threads at once."""

    def append(self, tile: PyramidTile, encoded: object) -> None:
        """Store an encoded tile. Called from one thread."""

    def complete(self) -> None:
        """Write the rest and rename the result to its final name."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None:
        """Remove an incomplete result."""


@contextmanager
def as_output_error(path: Path) -> Iterator[None]:
    """Raise any OSError while writing `path` as an OutputError that names it.

    Raises:
        OutputError: instead of an OSError.
    """
    try:
        yield
    except BrokenPipeError:  # of the progress output, not of the file
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"{path}: writing failed: {reason}; free space in {path.absolute().parent} or choose another folder"
        ) from error


def _is_folder_result(folder: Path) -> bool:
    """Whether a folder is a result of the kind of its suffix, so that --overwrite cannot remove other files."""
    suffix = folder.suffix.lower()
    try:
        entries = list(folder.iterdir())
        if suffix == ".zarr" and entries:
            return _is_ome_zarr(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if suffix == ".dcm":
        return all(entry.is_file() and re.fullmatch(r"level-\d+\.dcm", entry.name) for entry in entries)
    return suffix == ".zarr"


def _is_ome_zarr(folder: Path) -> bool:
    """Whether a folder is an OME-Zarr image: of NGFF 0.4 (Zarr format 2) or 0.5 (Zarr format 3)."""
    if (folder / ".zattrs").exists():
        return "multiscales" in json.loads((folder / ".zattrs").read_bytes())
    return "multiscales" in json.loads((folder / "zarr.json").read_bytes())["attributes"]["ome"]


def refuse_existing(path: Path, overwrite: bool, is_result: Callable[[Path], bool] = _is_folder_result) -> None:
    """Check that `path` may be written.

    Args:
        path: of the result.
        overwrite: whether an existing result may be replaced.
        is_result: whether a folder at `path` is a result of the right kind, which may be replaced.

    Raises:
        OutputError: it exists and `overwrite` is off; it is a folder but no result of the kind of its name; its parent
            folder does not exist or cannot be written; or the file system does not accept the name.
    """
    if not path.parent.is_dir():
        raise OutputError(f"{path}: the folder {path.parent} does not exist; expected an existing one; create it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(
            f"{path}: the folder {path.parent} cannot be written; expected a writable one; choose another"
        )
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
    """Atomic write of a file: a temporary file beside `path`, renamed to it at the end, removed after an error.

    Raises:
        OutputError: as `refuse_existing`, before and after, and as `as_output_error`.
    """
    refuse_existing(path, overwrite)
    with as_output_error(path):
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
    """Atomic write of a folder: a hidden folder beside `path`, renamed to it by `complete`, else removed.

    Attributes:
        partial: hidden folder, empty at first.

    Raises:
        OutputError: as `refuse_existing` and `as_output_error`, at the beginning and in `complete`.
    """

    def __init__(self, path: Path, overwrite: bool, is_result: Callable[[Path], bool] = _is_folder_result) -> None:
        refuse_existing(path, overwrite, is_result)
        self._path, self._overwrite, self._is_result = path, overwrite, is_result
        with as_output_error(path):
            self.partial = Path(tempfile.mkdtemp(prefix=_hidden(path), suffix=".partial", dir=path.parent))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for _ in range(50):  # after an error, a thread may still be writing a file
            shutil.rmtree(self.partial, ignore_errors=True)
            time.sleep(0.02)
            if not self.partial.exists():
                return

    def complete(self) -> None:
        """Rename the folder to its final name.

        An earlier result is renamed to a hidden name and removed afterwards; if the new one cannot be renamed, the
        earlier one is restored. A process killed between the two renames leaves both, hidden.
        """
        refuse_existing(self._path, self._overwrite, self._is_result)
        aside = self.partial.with_suffix(".replaced")
        with as_output_error(self._path):
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
    """Remove a file, a link or a folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _hidden(path: Path) -> str:
    """Beginning of temporary names: part of the final name, short enough for any file system."""
    return f".{path.name[:40]}."


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
