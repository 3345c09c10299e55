"""Stored pixel types: planes of any number type as uint8, uint16 or float32, where their values fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from confostain.errors import SlideError
from confostain.io.readers.plane import DTYPES, Pixels, Source

EXACT_IN_FLOAT32 = 1 << 24

# What a plane of another type is read as: its values must fit.
_READ_AS = {
    "int8": "uint8", "int16": "uint16", "float16": "float32", "float64": "float32",
    "int32": "float32", "uint32": "float32", "int64": "float32", "uint64": "float32",
}  # fmt: skip


def in_supported_type(
    name: str, source: Source, stored: np.dtype[Any] | None, bits: int
) -> tuple[Source, np.dtype[Any]]:
    """Source and data type of a plane in a type that is supported: uint8, uint16 or float32, in native byte order.

    Args:
        name: of the plane, for errors.
        source: of the pixels as stored.
        stored: their type.
        bits: in use of each value; 9 to 15 where values were packed.

    Raises:
        SlideError: the type holds no grey values. When pixels are read: a value does not fit.
    """
    native = stored.newbyteorder("=") if stored is not None else None
    if native in DTYPES and (native.itemsize * 8 == bits or (native == np.uint16 and 8 < bits < 16)):
        return source, native
    if native is None or native.name not in _READ_AS or native.itemsize * 8 != bits:
        found = "unknown" if native is None else f"{native} ({bits} bits)"
        raise SlideError(
            f"{name}: pixels are {found}; expected integers or floats of 8 bits or more; convert the image to uint16"
        )
    target = np.dtype(_READ_AS[native.name])
    return Converted(source, native, target, lambda values: _check_fit(name, values, target)), target


@dataclass(frozen=True)
class Converted:
    """Source of another type, converted as it is read; see `Source`.

    Attributes:
        source: of the pixels as stored.
        stored: their type.
        target: type of the plane.
        check: raises SlideError where a value does not fit.
    """

    source: Source
    stored: np.dtype[Any]
    target: np.dtype[Any]
    check: Callable[[npt.NDArray[Any]], None]

    @property
    def band(self) -> int:
        """Rows that belong together."""
        return self.source.band

    def fill(self, out: Pixels, x: int, y: int, step: int) -> None:
        """Fill `out` (n, w) from rows y, y + step, ... and columns x .. x + w."""
        values = np.empty(out.shape, self.stored)
        self.source.fill(values, x, y, step)
        self.check(values)
        out[...] = values

    def close(self) -> None:
        """Close files."""
        self.source.close()


def _check_fit(name: str, values: npt.NDArray[Any], target: np.dtype[Any]) -> None:
    low, high = values.min(), values.max()
    if target.kind == "u" and low < 0:
        raise SlideError(
            f"{name}: values down to {low}; expected grey values of 0 or more; shift the image, or save floats"
        )
    if target.kind == "f" and values.dtype.kind in "iu" and max(abs(int(low)), abs(int(high))) > EXACT_IN_FLOAT32:
        raise SlideError(
            f"{name}: values from {low} to {high}; expected at most {EXACT_IN_FLOAT32}; save the image as uint16"
        )
