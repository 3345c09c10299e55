"""Layouts of a scan: finds the reflectance and the fluorescence channel in folders and files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from confostain.errors import SlideError
from confostain.io.readers.channel_names import reflectance_and_fluorescence
from confostain.io.readers.ome import COMPANION_SUFFIX
from confostain.io.readers.picture import open_picture
from confostain.io.readers.plane import Plane, as_slide_error
from confostain.io.readers.results import refuse_stain
from confostain.io.readers.tiff import open_tiff
from confostain.io.readers.zarr import is_zarr, open_zarr

LAYOUTS = (
    "a VivaScope folder (DET#1/highres_raw.tif and DET#2/highres_raw.tif, or 785.png and 488.png), "
    "a two-channel OME-TIFF, a two-channel OME-Zarr, or one grey file each for reflectance and fluorescence"
)

MAX_NAME = 80  # characters of a name in messages
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}
_DETECTOR = re.compile(r"det[#_ -]?([12])", re.IGNORECASE)
_CHANNEL_FILES = {  # how files in a folder are named after one channel, without their suffix
    "reflectance": re.compile(r"(785|830|638|658)( ?nm)?|reflectance|rcm|r", re.IGNORECASE),
    "fluorescence": re.compile(r"488( ?nm)?|fluorescence|fcm|f", re.IGNORECASE),
}


@dataclass(frozen=True, eq=False)
class Channels:
    """Two planes of a slide, of the same size and pixel size.

    Attributes:
        reflectance: R.
        fluorescence: F.
        layout: description for people.
        paths: files, or the folder of an OME-Zarr, that contain them.
        told_apart_by: what says which channel is which, for people.
    """

    reflectance: Plane
    fluorescence: Plane
    layout: str
    paths: tuple[Path, ...]
    told_apart_by: str

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
    series: int | None = None,
) -> Channels:
    """Open the two channels of a slide, from one `path` or from one file per channel.

    Args:
        path: of a folder or file that holds both.
        reflectance: of the file of this channel, instead of `path`.
        fluorescence: of the file of this channel, instead of `path`.
        series: number of the image, from 0, in a file that holds several; None for the largest one.

    Raises:
        SlideError: no known layout is found, a file is damaged or not grey, or the channels do not match.
    """
    if path is not None and (reflectance is not None or fluorescence is not None):
        raise SlideError("a slide and single channel files are given; expected one or the other; leave one out")
    if path is not None:
        path = _existing(path)
        with as_slide_error(path.name):
            channels = _open_path(path, series)
    elif reflectance is not None and fluorescence is not None:
        channels = _open_pair(_existing(reflectance), _existing(fluorescence), ("file pair", "given"), series)
    elif reflectance is None and fluorescence is None:
        raise SlideError(f"no slide given; expected {LAYOUTS}; give a path")
    else:
        given, missing = ("reflectance", "fluorescence") if reflectance else ("fluorescence", "reflectance")
        raise SlideError(f"only the {given} file is given; expected both channels; give the {missing} file too")
    _check_match(channels)
    return channels


def open_grey(path: str | Path, series: int | None = None) -> Plane:
    """Open a grey image file (TIFF, PNG, JPEG), or the image of number `series` in it.

    Raises:
        SlideError: it is damaged, or contains anything but one grey plane.
    """
    path = _existing(path)
    refuse_stain(path)
    if not path.is_file():
        raise SlideError(f"{path}: a folder; expected one grey image file (TIFF, PNG or JPEG); give the file")
    if not _is_tiff(path):
        return open_picture(path)
    found = open_tiff(path, series)
    mine = [plane for plane, file in zip(found.planes, found.paths, strict=True) if file.samefile(path)]
    if len(mine) != 1:  # others may lie in other files of the same image
        raise SlideError(f"{path.name}: {len(mine)} planes; expected one grey plane; save each channel by itself")
    return mine[0]


def is_grey_image(path: str | Path) -> bool:
    """Whether `path` is a file of one plane rather than a slide of two channels; SlideError where it is not there."""
    path = _existing(path)
    return path.is_file() and not (_is_tiff(path) and len(open_tiff(path).planes) > 1)


def open_reflectance(path: str | Path, swap_channels: bool = False) -> Plane:
    """Open the reflectance channel of a slide, or a file with one grey plane, which is taken for it.

    Raises:
        SlideError: as `open_channels` and `open_grey`.
    """
    if is_grey_image(path):
        return open_grey(path)
    channels = open_channels(path)
    wanted, other = channels.reflectance, channels.fluorescence
    if swap_channels:
        wanted, other = other, wanted
    other.close()
    return wanted


def _open_path(path: Path, series: int | None) -> Channels:
    refuse_stain(path)
    if is_zarr(path):
        found = open_zarr(path, series)
        return _two_channels(path, found.planes, found.channel_names, "OME-Zarr", (path,))
    if path.is_file():
        return _open_file(path, series)
    if _detectors(path):
        return _open_mosaic(path)
    mosaics = sorted(p for p in path.iterdir() if p.name.lower().startswith("mosaic") and _detectors(p))
    if len(mosaics) == 1:
        return _open_mosaic(mosaics[0])
    if mosaics:
        names = ", ".join(p.name for p in mosaics)
        raise SlideError(f"{path}: {len(mosaics)} mosaics ({names}); expected one; give the folder of one of them")
    reflectance, fluorescence = (_channel_file(path, pattern) for pattern in _CHANNEL_FILES.values())
    if reflectance and fluorescence:
        return _open_pair(reflectance, fluorescence, ("one file per channel", "file names"), series)
    raise SlideError(f"{path}: no known slide in this folder; expected {LAYOUTS}")


def _detectors(folder: Path) -> dict[str, Path]:
    """The detector folders of a VivaScope mosaic by their number, however DET#1 is spelt."""
    if not folder.is_dir():
        return {}
    found = ((_DETECTOR.fullmatch(path.name), path) for path in sorted(folder.iterdir()) if path.is_dir())
    return {match[1]: path for match, path in found if match}


def _open_mosaic(folder: Path) -> Channels:
    detectors, files = _detectors(folder), []
    for number in ("1", "2"):
        inside = sorted(detectors[number].iterdir()) if number in detectors else []
        raw = [file for file in inside if file.name.lower() in ("highres_raw.tif", "highres_raw.tiff")]
        if len(raw) != 1:
            raise SlideError(f"{folder}: no DET#{number}/highres_raw.tif; expected both detectors; copy the scan again")
        files.append(raw[0])
    return _open_pair(files[0], files[1], ("VivaScope mosaic", "folders DET#1 and DET#2"))


def _channel_file(folder: Path, pattern: re.Pattern[str]) -> Path | None:
    """The one image in `folder` named after a channel or its laser line, if any."""
    found = sorted(
        path for path in folder.iterdir() if path.suffix.lower() in _PICTURE_SUFFIXES and pattern.fullmatch(path.stem)
    )
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise SlideError(f"{folder}: several files for one channel ({names}); expected one; remove the others")
    return found[0] if found else None


def _open_pair(reflectance: Path, fluorescence: Path, layout: tuple[str, str], series: int | None = None) -> Channels:
    """Channels in a file each; `layout`: its description, and what tells the channels apart."""
    if reflectance.samefile(fluorescence):
        raise SlideError(
            f"{reflectance.name}: given for reflectance and for fluorescence; expected one file for each channel; "
            "give the other file too, or the slide itself where one file holds both"
        )
    told, apart = layout
    planes = open_grey(reflectance, series), open_grey(fluorescence, series)
    return Channels(*planes, told, (reflectance, fluorescence), apart)


def _open_file(path: Path, series: int | None) -> Channels:
    if not (_is_tiff(path) or path.name.lower().endswith(COMPANION_SUFFIX)):
        open_picture(path)  # says so where it is no grey image at all
        raise _one_channel(path)
    found = open_tiff(path, series)
    layout = ("OME-TIFF" if found.is_ome else "two-channel TIFF") + (f", {found.image}" if found.image else "")
    return _two_channels(path, found.planes, found.channel_names, layout, tuple(dict.fromkeys((path, *found.paths))))


def _two_channels(
    path: Path, planes: Sequence[Plane], names: Sequence[str], layout: str, paths: tuple[Path, ...]
) -> Channels:
    """The channels as their names say; where these do not decide, reflectance first."""
    if len(planes) == 1:
        raise _one_channel(path)
    chosen = reflectance_and_fluorescence(names) if len(names) == len(planes) else None
    if chosen is None and len(planes) != 2:
        told = f" called {', '.join(names)}" if names else ""
        raise SlideError(
            f"{path.name}: {len(planes)} channels{told}; expected two, or names that tell reflectance and fluorescence"
        )
    r, f = chosen or (0, 1)
    apart = f"names {names[r]!r} and {names[f]!r}" if chosen else "their order: no names tell them apart"
    return Channels(planes[r], planes[f], layout, paths, apart)


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
        elif not path.is_file():  # reading a pipe or a device would wait, or never end
            raise SlideError(f"{path}: neither a file nor a folder; expected an image in a file; give its path")
        elif not _start(path):
            raise SlideError(f"{path}: an empty file; expected a grey image; copy or export it again")
    return path


def _is_tiff(path: Path) -> bool:
    return _start(path) in _TIFF_STARTS


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)
