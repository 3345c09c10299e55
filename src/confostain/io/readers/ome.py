"""OME-XML: the channel names and the pixel size of each image, and where a companion file keeps them."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from confostain.errors import SlideError
from confostain.io.readers.pixel_size import microns, number

COMPANION_SUFFIX = ".companion.ome"
LARGEST_COMPANION = 1 << 26  # bytes
MOST_PLANES = 1 << 20  # of one image; what announces more is damaged


@dataclass(frozen=True)
class OmeImage:
    """What OME-XML says of one image.

    Attributes:
        name: of the image; empty where there is none.
        size: width and height in pixels as stated; 0 where they are not.
        channel_names: one a channel, empty where a channel has none.
        pixel: width and height of a pixel in um; None where they are not stated.
    """

    name: str
    size: tuple[int, int]
    channel_names: tuple[str, ...]
    pixel: tuple[float | None, float | None]


def ome_images(name: str, xml: str | None) -> list[OmeImage]:
    """The images of an OME-XML document in their order; none where there is no document.

    Raises:
        SlideError: it announces more planes than any file has; the message begins with `name`.
    """
    if not xml:
        return []
    root = _checked(name, ET.fromstring(xml))
    return [_image(image, pixels) for image in _children(root, "Image") for pixels in _children(image, "Pixels")]


def _checked(name: str, root: ET.Element) -> ET.Element:
    """The document, unless it announces planes that no file has: readers make room for all of them."""
    for element in root.iter():
        if element.tag.rpartition("}")[2] in ("Pixels", "TiffData"):
            counts = [_whole(element.get(key, "")) for key in ("SizeC", "SizeZ", "SizeT", "PlaneCount", "IFD")]
            if math.prod(max(1, count) for count in counts) > MOST_PLANES:
                raise SlideError(f"{name}: OME-XML announces more than {MOST_PLANES} planes; expected one a channel")
    return root


def companion_of(path: Path, xml: str | None) -> Path | None:
    """The companion file that holds the metadata of a TIFF, as its own OME-XML says; None where that is complete.

    Raises:
        SlideError: the companion is not beside the file.
    """
    if not xml or "BinaryOnly" not in xml:
        return None
    for element in _children(ET.fromstring(xml), "BinaryOnly"):
        name = Path(element.get("MetadataFile", "")).name
        if not name or not (path.parent / name).is_file():
            raise SlideError(
                f"{path.name}: its metadata stand in {name or 'a companion file'}, which is not beside it; expected"
                " both in one folder; copy the whole scan"
            )
        return path.parent / name
    return None


def read_companion(path: Path) -> str:
    """The OME-XML in a companion file; SlideError where it is no such document."""
    if path.stat().st_size > LARGEST_COMPANION:
        raise SlideError(f"{path.name}: {path.stat().st_size} bytes; expected OME-XML of at most {LARGEST_COMPANION}")
    text = path.read_text(encoding="utf-8")
    if "OME" not in ET.fromstring(text).tag:
        raise SlideError(f"{path.name}: no OME-XML; expected a companion file of an OME-TIFF")
    return text


def files_in_companion(path: Path) -> list[Path]:
    """The TIFF files that a companion file names and that lie beside it, each once, in their order."""
    root = ET.fromstring(read_companion(path))
    names = [element.get("FileName", "") for element in root.iter() if element.tag.endswith("}UUID")]
    files = [path.parent / Path(name).name for name in dict.fromkeys(names) if name]
    found = [file for file in files if file.is_file()]
    if not found:
        raise SlideError(f"{path.name}: none of the files that it names lies beside it; copy the whole scan")
    return found


def _image(image: ET.Element, pixels: ET.Element) -> OmeImage:
    names = tuple(channel.get("Name", "") for channel in _children(pixels, "Channel"))
    x, y = (_length(pixels, f"PhysicalSize{axis}") for axis in "XY")
    width, height = (_whole(pixels.get(f"Size{axis}", "")) for axis in "XY")
    return OmeImage(image.get("Name", ""), (width, height), names, (x, y))


def _children(element: ET.Element, name: str) -> Iterator[ET.Element]:
    return (child for child in element if child.tag.rpartition("}")[2] == name)


def _length(pixels: ET.Element, key: str) -> float | None:
    """A length in um; None where it is missing or no number."""
    return microns(number(pixels.get(key, "")), pixels.get(f"{key}Unit", "um"))


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
