"""Headers that announce more than any machine can hold, missing data, and what is no file."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from confostain.errors import ConfostainWarning, SlideError
from confostain.io.readers.layouts import open_channels, open_grey

GREY = np.random.default_rng(0).integers(1, 1000, (64, 64), np.uint16)


def tiff(path: Path, width: int, height: int, **options: Any) -> Path:
    """A TIFF whose header announces another size than its data have."""
    tifffile.imwrite(path, GREY, photometric="minisblack", rowsperstrip=64, **options)
    with tifffile.TiffFile(path, mode="r+") as file:
        tags = file.pages.first.tags  # type: ignore[union-attr]
        for number, value in ((256, width), (257, height), (278, height)):
            tags[number].overwrite(value, dtype=4)
    return path


def tiles(path: Path, side: int) -> Path:
    tifffile.imwrite(path, GREY, photometric="minisblack", tile=(64, 64), compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as file:
        for number in (322, 323):
            file.pages.first.tags[number].overwrite(side, dtype=4)  # type: ignore[union-attr]
    return path


def png(path: Path, side: int, interlaced: bool = False) -> Path:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, interlaced)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return path


BOMBS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "one strip in LZW": (lambda at: tiff(at / "a.tif", 100_000, 100_000, compression="lzw"), "strips of 20,000 MB"),
    "one strip in Zstandard": (lambda at: tiff(at / "a.tif", 100_000, 100_000, compression="zstd"), "strips of"),
    "one strip in PackBits": (lambda at: tiff(at / "a.tif", 30_000, 30_000, compression="packbits"), "strips of"),
    "one strip in deflate": (lambda at: tiff(at / "a.tif", 100_000, 100_000, compression="zlib"), "channel of 20,000"),
    "widest": (lambda at: tiff(at / "a.tif", 2**32 - 1, 2**32 - 1, compression="zlib"), "expected"),
    "no pixels": (lambda at: tiff(at / "a.tif", 0, 64), "expected"),
    "huge tiles": (lambda at: tiles(at / "a.tif", 32_768), "tiles of 2,147 MB"),
    "PNG": (lambda at: png(at / "a.png", 100_000), "channel of 10,000 MB"),
    "interlaced PNG": (lambda at: png(at / "a.png", 30_000, interlaced=True), "interlaced image of 900 MB"),
    "widest PNG": (lambda at: png(at / "a.png", 2**31 - 1), "expected"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_no_machine_can_hold_is_refused_from_the_header(bomb: str, tmp_path: Path) -> None:
    make, reason = BOMBS[bomb]
    with pytest.raises(SlideError, match=rf"^a\..*{reason}"):
        open_grey(make(tmp_path))


def test_a_long_chain_of_pages_is_refused(tmp_path: Path) -> None:
    tags = [(256, 8), (257, 8), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 8), (279, 64)]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    length, count = len(directory) + 4, 20_000
    following = [72 + length * (number + 1) for number in range(count - 1)] + [0]
    pages = b"".join(directory + struct.pack("<I", place) for place in following)
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<I", 72) + bytes(64) + pages)
    with pytest.raises(SlideError, match=r"^a\.tif: damaged, its chain of pages"):
        open_channels(tmp_path / "a.tif")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["785.png", "a.tif", "a.ome.tif"])
def test_a_pipe_is_no_image_and_is_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(SlideError, match="neither a file nor a folder"):
        open_grey(tmp_path / name)
    if name == "785.png":
        tifffile.imwrite(tmp_path / "488.tif", GREY)
        with pytest.raises(SlideError, match="neither a file nor a folder"):
            open_channels(tmp_path)


def sparse(path: Path, **options: Any) -> Path:
    """A TIFF whose second strip or tile was never written."""
    tifffile.imwrite(path, GREY, photometric="minisblack", **options)
    with tifffile.TiffFile(path, mode="r+") as file:
        tags = file.pages.first.tags  # type: ignore[union-attr]
        for number in (273, 279) if 273 in tags else (324, 325):
            values = list(tags[number].value)
            values[1] = 0
            tags[number].overwrite(values)
    return path


@pytest.mark.parametrize(
    "options",
    [
        {"tile": (32, 32), "compression": "zlib"},
        {"tile": (32, 32)},
        {"rowsperstrip": 16, "compression": "lzw"},
        {"rowsperstrip": 16},
    ],
    ids=["compressed tiles", "plain tiles", "compressed strips", "plain strips"],
)
def test_data_that_are_missing_are_zero_and_told(options: dict[str, Any], tmp_path: Path) -> None:
    path = sparse(tmp_path / "a.tif", **options)
    with pytest.warns(ConfostainWarning, match="1 of 4 strips or tiles hold no data"):
        plane = open_grey(path)
    expected = GREY.copy()
    expected[(slice(0, 32), slice(32, 64)) if "tile" in options else slice(16, 32)] = 0
    np.testing.assert_array_equal(plane.read(plane.size.region), expected)
