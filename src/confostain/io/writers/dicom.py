"""Writer of DICOM VL Whole Slide Microscopy images, one instance per level of the pyramid.

The tiles are the same JPEG bytes as in an OME-TIFF, here as frames, in rows from top to bottom (TILED_FULL), after an
offset table. Only that table is in memory.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from confostain.errors import OutputError
from confostain.io.writers.atomic import PartialFolder, as_output_error, refuse_existing
from confostain.io.writers.encoding import ScratchWriter
from confostain.io.writers.output import ResultImage, known_scale

BASIC_OFFSET_LIMIT = 2**32 - 1  # bytes; the basic offset table has 32 bits, the extended one 64
ITEM, SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)
UNDEFINED_LENGTH = 0xFFFFFFFF


class DicomWriter(ScratchWriter):
    """DICOM writer of one stained slide into a folder; see `SlideWriter`.

    Args:
        path: final name of the folder, `.dcm`.
        image: size, pixel size, name, provenance and JPEG quality.
        overwrite: whether an existing result may be replaced.

    Raises:
        OutputError: the path cannot be written, the image has no pixel size or is to be lossless, or pydicom is
            not installed.
    """

    def __init__(self, path: Path, image: ResultImage, overwrite: bool = False) -> None:
        refuse_existing(path, overwrite)
        known_scale(image, path)
        if image.quality is None:
            raise OutputError(f"{path}: DICOM is written as JPEG only; leave out --lossless, or write .ome.tif")
        _require_pydicom(path)
        super().__init__(path, image, overwrite)

    def complete(self) -> None:
        """Write the instances into a hidden folder and rename it to its final name.

        Raises:
            OutputError: a tile is missing, a folder of the final name has appeared, or the disk is full.
        """
        from confostain.io.writers.dicom_attributes import level_attributes, pyramid_attributes

        shared = pyramid_attributes(self.image)
        with PartialFolder(self.path, self.overwrite) as folder, as_output_error(self.path):
            for level in range(len(self._tiles.levels)):
                lengths = self._tiles.lengths(level)
                attributes = level_attributes(shared, self.image, level, lengths)
                with (folder.partial / f"level-{level}.dcm").open("wb") as file:
                    self._write_instance(file, attributes, level)
            folder.complete(len(self._tiles.levels))

    def _write_instance(self, file: IO[bytes], attributes: Any, level: int) -> None:
        from pydicom import dcmwrite

        dcmwrite(file, attributes, enforce_file_format=True)
        lengths = self._tiles.lengths(level)
        _begin_pixel_data(file, lengths + lengths % 2)
        for frame in self._tiles.read(level):
            even = frame + bytes(len(frame) % 2)  # every value has an even length; decoders stop at the end marker
            file.write(_item(len(even)) + even)
        file.write(struct.pack("<HHL", *SEQUENCE_END, 0))


def _require_pydicom(path: Path) -> None:
    try:
        import pydicom  # noqa: F401
    except ModuleNotFoundError:
        raise OutputError(
            f"{path}: writing DICOM needs pydicom, which is not installed; run: pip install 'confostain[dicom]'"
        ) from None


def _begin_pixel_data(file: IO[bytes], lengths: npt.NDArray[np.int64]) -> None:
    """Write the header of the pixel data and the offset table of its frames (PS3.5, A.4).

    Args:
        file: positioned after the last attribute.
        lengths: bytes of each frame, even numbers, (frames,).
    """
    ends = np.cumsum(lengths + len(_item(0)))
    offsets = np.concatenate([[0], ends[:-1]])
    basic = offsets.astype("<u4").tobytes()
    if offsets[-1] > BASIC_OFFSET_LIMIT:
        basic = b""
        file.write(_element(0x0001, b"OV", 8 * len(offsets)) + offsets.astype("<u8").tobytes())
        file.write(_element(0x0002, b"OV", 8 * len(lengths)) + lengths.astype("<u8").tobytes())
    file.write(_element(0x0010, b"OB", UNDEFINED_LENGTH))
    file.write(_item(len(basic)) + basic)


def _element(number: int, representation: bytes, length: int) -> bytes:
    """Header of element (7FE0, number): tag, value representation, two reserved bytes, length."""
    return struct.pack("<HH2sHL", 0x7FE0, number, representation, 0, length)


def _item(length: int) -> bytes:
    return struct.pack("<HHL", *ITEM, length)
