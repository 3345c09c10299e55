"""Layouts of a scan: finds the reflectance and the fluorescence channel in folders and files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from confostain.errors import SlideError
from confostain.io.readers.picture import open_picture
from confostain.io.readers.plane import Plane, as_slide_error
from confostain.io.readers.tiff import open_tiff
from confostain.io.readers.zarr import is_zarr, open_zarr

LAYOUTS = (
    "a VivaScope folder (DET#1/highres_raw.tif and DET#2/highres_raw.tif, or 785.png and 488.png), "
    "a two-channel OME-TIFF, a two-channel OME-Zarr, or one grey file each for reflectance and fluorescence"
)

MAX_NAME = 80  # characters of a name in messages
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}
_REFLECTANCE = re.compile(r"reflect|rcm|785|^r$", re.IGNORECASE)
_FLUORESCENCE = re.compile(r"fluor|fcm|488|acridine|^f$", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Channels:
    """Two planes of a slide, of the same size and pixel size.

    Attributes:
        reflectance: R.
        fluorescence: F.
        layout: description for people.
        paths: files, or the folder of an OME-Zarr, that contain them.
    """

    reflectance: Plane
    fluorescence: Plane
    layout: str
    paths: tuple[Path, ...]

    @property
    def microns_per_pixel(self) -> float | None:
        """Pixel size (um/px) from the metadata of either file; None where neither has one."""
        return self.reflectance.microns_per_pixel or self.fluorescence.microns_per_pixel

    def close(self) -> None:
        """Close files and remove temporary ones."""
        self.reflectance.close()
        self.fluorescence.close()


def open_channels(
    path: str | Path | None = None,
    *,
    reflectance: str | Path | None = None,
    fluorescence: str | Path | None = None,
) -> Channels:
    """Open the two channels of a slide, from one `path` or from one file per channel.

    Raises:
        SlideError: no known layout is found, a file is damaged or not grey, or the channels do not match.
    """
    if path is not None and (reflectance is not None or fluorescence is not None):
        raise SlideError("a slide and single channel files are given; expected one or the other; leave one out")
    if path is not None:
        path = _existing(path)
        with as_slide_error(path.name):
            channels = _open_path(path)
    elif reflectance is not None and fluorescence is not None:
        channels = _open_pair(_existing(reflectance), _existing(fluorescence), "file pair")
    elif reflectance is None and fluorescence is None:
        raise SlideError(f"no slide given; expected {LAYOUTS}; give a path")
    else:
        given, missing = ("reflectance", "fluorescence") if reflectance else ("fluorescence", "reflectance")
        raise SlideError(f"only the {given} file is given; expected both channels; give the {missing} file too")
    _check_match(channels)
    return channels


def open_grey(path: str | Path) -> Plane:
    """Open a grey image file (TIFF, PNG, JPEG).

    Raises:
        SlideError: it is damaged, or contains anything but one grey plane.
    """
    path = _existing(path)
    if not path.is_file():
        raise SlideError(f"{path}: a folder; expected one grey image file (TIFF, PNG or JPEG); give the file")
    if not _is_tiff(path):
        return open_picture(path)
    planes = open_tiff(path).planes
    if len(planes) != 1:
        raise SlideError(f"{path.name}: {len(planes)} planes; expected one grey plane; save each channel by itself")
    return planes[0]


def open_reflectance(path: str | Path, swap_channels: bool = False) -> Plane:
    """Open the reflectance channel of a slide, or a file with one grey plane, which is taken for it.

    Raises:
        SlideError: as `open_channels` and `open_grey`.
    """
    path = _existing(path)
    if path.is_file() and not (_is_tiff(path) and len(open_tiff(path).planes) > 1):
        return open_grey(path)
    channels = open_channels(path)
    wanted, other = channels.reflectance, channels.fluorescence
    if swap_channels:
        wanted, other = other, wanted
    other.close()
    return wanted


def _open_path(path: Path) -> Channels:
    if path.is_file():
        return _open_file(path)
    if is_zarr(path):
        found = open_zarr(path)
        return _two_channels(path, found.planes, found.channel_names, "OME-Zarr")
    if (path / "DET#1").is_dir() or (path / "DET#2").is_dir():
        return _open_mosaic(path)
    mosaics = sorted(p for p in path.glob("mosaic*") if (p / "DET#1").is_dir() or (p / "DET#2").is_dir())
    if len(mosaics) == 1:
        return _open_mosaic(mosaics[0])
    if mosaics:
        names = ", ".join(p.name for p in mosaics)
        raise SlideError(f"{path}: {len(mosaics)} mosaics ({names}); expected one; give the folder of one of them")
    lines = [_laser_line(path, line) for line in ("785", "488")]
    if lines[0] and lines[1]:
        return _open_pair(lines[0], lines[1], "one file per laser line")
    raise SlideError(f"{path}: no known slide in this folder; expected {LAYOUTS}; check the path")


def _open_mosaic(folder: Path) -> Channels:
    files = [folder / detector / "highres_raw.tif" for detector in ("DET#1", "DET#2")]
    for file in files:
        if not file.is_file():
            raise SlideError(
                f"{folder}: no {file.parent.name}/{file.name}; expected both detectors; copy the scan again"
            )
    return _open_pair(files[0], files[1], "VivaScope mosaic")


def _laser_line(folder: Path, stem: str) -> Path | None:
    """Image in `folder` named after a laser line; None if there is none."""
    found = sorted(p for p in folder.glob(f"{stem}.*") if p.suffix.lower() in _PICTURE_SUFFIXES)
    if len(found) > 1:
        names = ", ".join(p.name for p in found)
        raise SlideError(f"{folder}: several files for one laser line ({names}); expected one; remove the others")
    return found[0] if found else None


def _open_pair(reflectance: Path, fluorescence: Path, layout: str) -> Channels:
    if reflectance.samefile(fluorescence):
        raise SlideError(
            f"{reflectance.name}: given for reflectance and for fluorescence; expected one file for each channel; "
            "give the other file too, or the slide itself where one file holds both"
        )
    return Channels(open_grey(reflectance), open_grey(fluorescence), layout, (reflectance, fluorescence))


def _open_file(path: Path) -> Channels:
    if not _is_tiff(path):
        open_picture(path)  # raises if it is no grey image at all
        raise _one_channel(path)
    found = open_tiff(path)
    layout = "OME-TIFF" if found.is_ome else "two-channel TIFF"
    return _two_channels(path, found.planes, found.channel_names, layout)


def _two_channels(path: Path, planes: Sequence[Plane], names: Sequence[str], layout: str) -> Channels:
    if len(planes) == 1:
        raise _one_channel(path)
    if len(planes) != 2:
        raise SlideError(
            f"{path.name}: {len(planes)} channels; expected two, reflectance and fluorescence; export these two"
        )
    kinds = tuple(_kind(name) for name in names)
    r, f = (1, 0) if kinds in (("F", "R"), ("F", ""), ("", "R")) else (0, 1)
    return Channels(planes[r], planes[f], layout, (path,))


def _kind(name: str) -> str:
    """Channel by its name: "R" or "F"; empty where the name means neither or both."""
    r, f = _REFLECTANCE.search(name), _FLUORESCENCE.search(name)
    return "R" if r and not f else "F" if f and not r else ""


def _one_channel(path: Path) -> SlideError:
    return SlideError(f"{path.name}: one grey channel; expected two; give one file as reflectance, one as fluorescence")


def _check_match(channels: Channels) -> None:
    r, f = channels.reflectance, channels.fluorescence
    if r.size != f.size:
        raise SlideError(
            f"{r.name} is {r.size.width} x {r.size.height} px, {f.name} {f.size.width} x {f.size.height} px; "
            "expected the same size; give the two channels of one scan"
        )
    a, b = r.microns_per_pixel, f.microns_per_pixel
    if a is not None and b is not None and abs(a - b) > 0.01 * a:
        raise SlideError(
            f"{r.name} has {a:g} um/px, {f.name} has {b:g} um/px; expected the same; give the two channels of one scan"
        )


def _existing(path: str | Path) -> Path:
    path = Path(path)
    with as_slide_error(path.name[-MAX_NAME:]):
        if not path.exists():
            raise SlideError(f"{path}: no such file or folder; expected {LAYOUTS}; check the path")
        if path.is_dir():
            next(path.iterdir(), None)  # raises if the folder may not be read
        elif not _start(path):
            raise SlideError(f"{path}: an empty file; expected a grey image; copy or export it again")
    return path


def _is_tiff(path: Path) -> bool:
    return _start(path) in _TIFF_STARTS


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)
