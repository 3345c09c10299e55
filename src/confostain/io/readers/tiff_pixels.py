"""Pixel sources of a TIFF page: uncompressed strips, tiles, compressed strips."""

from __future__ import annotations

import math
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from confostain.errors import ConfostainWarning, SlideError
from confostain.geometry import Size
from confostain.io.readers.plane import LARGEST_TILE, LARGEST_WHOLE, Pixels, Source, check_bytes
from confostain.io.readers.sources import Chunks, OpenFile, StoredRows, Strips, Unpacked, cached_chunks

_DEFLATE = (8, 32946, 50013)
_STREAMED_BYTES = 32 << 20  # deflate strips larger than this once decoded are decoded piece by piece
_READ_BYTES = 1 << 20
_INFLATED_BYTES = 8 << 20


def page_sources(name: str, page: Any) -> list[Source]:
    """Pixel source of each sample of a page (a tifffile TiffPage), the cheapest that its layout allows.

    Raises:
        SlideError: data are missing, or lie beyond the end of the file.
    """
    # Interleaved samples are decoded together, so all samples share one cache.
    pixel_bytes = page.samplesperpixel * page.dtype.itemsize
    tile_bytes = page.tilewidth * page.tilelength * pixel_bytes
    if page.is_tiled:
        check_bytes(name, "tiles", tile_bytes, LARGEST_TILE)
    elif page.compression not in (1, *_DEFLATE):
        strip_bytes = min(page.rowsperstrip, page.imagelength) * page.imagewidth * pixel_bytes
        check_bytes(name, "compressed strips", strip_bytes, LARGEST_WHOLE)
    decode = cached_chunks(partial(_decoded, page), tile_bytes, lambda segments, file, index: segments.first + index)
    return [_source(name, page, sample, decode) for sample in range(page.samplesperpixel)]


def contiguous_sources(name: str, page: Any, planes: int) -> list[Source]:
    """Sources of planes that follow each other behind one directory, as ImageJ writes files above 4 GB.

    Raises SlideError where the planes are compressed, or reach beyond the end of the file.
    """
    if page.compression != 1 or page.is_tiled:
        raise SlideError(f"{name}: 1 page for {planes} planes; expected a page for each; export it again as OME-TIFF")
    stored = page.dtype.newbyteorder(page.parent.byteorder)
    plane_bytes = page.imagewidth * page.imagelength * stored.itemsize
    first = page.dataoffsets[0]
    _check_inside(name, first + planes * plane_bytes, page)
    path, sources = Path(page.parent.filehandle.path), []
    for number in range(planes):
        begin = np.array([first + number * plane_bytes], np.int64)
        strips = Strips(begin, page.imagelength, page.imagewidth, stored)
        sources.append(StoredRows(OpenFile.open(path), strips))
    return list(sources)


def _source(name: str, page: Any, sample: int, decode: Callable[..., Pixels]) -> Source:
    segments = Segments.of_sample(name, page, sample)
    _warn_of_missing(name, segments)
    if page.is_tiled:
        return _tiles(page, segments, decode)
    if page.compression == 1 and page.predictor == 1 and page.fillorder == 1 and _is_plain(page, segments):
        return _rows(name, page, segments)
    size = Size(page.imagewidth, page.imagelength)
    return Unpacked(name, size, page.dtype.newbyteorder("="), lambda target: _unpack(page, segments, target))


def _is_plain(page: Any, segments: Segments) -> bool:
    """Whether rows lie in the file as they are in memory: all of them, and no packed bits."""
    return all(segments.offsets) and int(np.max(page.bitspersample)) == 8 * page.dtype.itemsize


@dataclass(frozen=True)
class Segments:
    """Strips or tiles that contain one sample of a page.

    Attributes:
        path: of the file.
        offsets: position of each segment in the file in bytes.
        counts: length of each segment in bytes.
        first: index of the first one among all segments of the page.
        sample: position of the sample within a decoded segment.
        samples: number of samples in a decoded segment.
        decode: (bytes, index among all segments) to pixels (1, h, w, samples), position and shape.
    """

    path: Path
    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    first: int
    sample: int
    samples: int
    decode: Callable[..., Any]

    @classmethod
    def of_sample(cls, name: str, page: Any, sample: int) -> Segments:
        """Segments of one sample; SlideError unless they are complete and inside the file."""
        planar = page.planarconfig == 2
        across = math.ceil(page.imagewidth / page.tilewidth) if page.is_tiled else 1
        down = math.ceil(page.imagelength / (page.tilelength if page.is_tiled else page.rowsperstrip))
        each, total = across * down, across * down * (page.samplesperpixel if planar else 1)
        if not total == len(page.dataoffsets) == len(page.databytecounts) or page.imagedepth != 1:
            raise SlideError(
                f"{name}: damaged, {len(page.dataoffsets)} strips or tiles; expected {total}; "
                "copy or export the file again"
            )
        first = sample * each if planar else 0
        found = cls(
            Path(page.parent.filehandle.path),
            tuple(page.dataoffsets[first : first + each]),
            tuple(page.databytecounts[first : first + each]),
            first,
            0 if planar else sample,
            1 if planar else page.samplesperpixel,
            partial(page.decode, jpegtables=page.jpegtables, jpegheader=page.jpegheader),
        )
        ends = [offset + count for offset, count in zip(found.offsets, found.counts, strict=True)]
        _check_inside(name, max(ends), page)
        return found


def _check_inside(name: str, end: int, page: Any) -> None:
    file_bytes = page.parent.filehandle.size
    if end > file_bytes:
        raise SlideError(
            f"{name}: truncated, {file_bytes} bytes; expected at least {end}; copy or export the file again"
        )


def _warn_of_missing(name: str, segments: Segments) -> None:
    """Warn of strips or tiles without data: they are allowed, for areas that were not scanned, but may be lost."""
    missing = segments.counts.count(0)
    if missing:
        warnings.warn(
            f"{name}: {missing} of {len(segments.counts)} strips or tiles hold no data; they count as 0; copy the slide"
            " again unless it is sparse on purpose",
            ConfostainWarning,
            stacklevel=2,
        )


def _rows(name: str, page: Any, segments: Segments) -> StoredRows:
    stored = page.dtype.newbyteorder(page.parent.byteorder)
    offsets = np.asarray(segments.offsets, np.int64)
    strips = Strips(offsets, page.rowsperstrip, page.imagewidth, stored, segments.samples, segments.sample)
    # Computed from the rows, since some writers store wrong byte counts; only the last strip is shorter.
    heights = np.full(len(offsets), strips.height)
    heights[-1] = page.imagelength - (len(offsets) - 1) * strips.height
    _check_inside(name, int((offsets + heights * strips.row_bytes).max()), page)
    return StoredRows(OpenFile.open(segments.path), strips)


def _tiles(page: Any, segments: Segments, decode: Callable[..., Pixels]) -> Chunks:
    file = OpenFile.open(segments.path)
    across = math.ceil(page.imagewidth / page.tilewidth)

    def load(row: int, column: int) -> Pixels:
        return decode(segments, file, row * across + column)[:, :, segments.sample]

    return Chunks(Size(page.tilewidth, page.tilelength), load, file)


def _decoded(page: Any, segments: Segments, file: OpenFile, index: int) -> Pixels:
    """Decoded strip or tile, (h, w, samples)."""
    count = segments.counts[index]
    data = file.read(segments.offsets[index], count) if count else None
    decoded, _, shape = segments.decode(data, segments.first + index)
    if decoded is None:  # a sparse segment, which was never written: all zero
        return np.zeros((*shape[1:3], segments.samples), page.dtype)
    pixels: Pixels = decoded[0]
    return pixels


def _unpack(page: Any, segments: Segments, target: BinaryIO) -> None:
    """Write all rows of one sample to `target`, uncompressed, in native byte order."""
    native = page.dtype.newbyteorder("=")
    row_bytes = page.imagewidth * segments.samples * page.dtype.itemsize
    streamed = page.compression in _DEFLATE and page.rowsperstrip * row_bytes > _STREAMED_BYTES
    file = OpenFile.open(segments.path)
    try:
        for index in range(len(segments.offsets)):
            blocks = (
                _inflated(page, segments, file, index) if streamed else iter([_decoded(page, segments, file, index)])
            )
            for block in blocks:
                target.write(np.ascontiguousarray(block[:, :, segments.sample], native).data)
    finally:
        file.close()


def _inflated(page: Any, segments: Segments, file: OpenFile, index: int) -> Iterator[Pixels]:
    """Rows of one large deflate strip, (n, w, samples), a few at a time, in bounded memory."""
    from tifffile import TIFF

    stored = page.dtype.newbyteorder(page.parent.byteorder)
    row_bytes = page.imagewidth * segments.samples * stored.itemsize
    left = min(page.rowsperstrip, page.imagelength - index * page.rowsperstrip)
    for data in _inflate(file, segments.offsets[index], segments.counts[index], row_bytes):
        rows = np.frombuffer(data, stored).reshape(-1, page.imagewidth, segments.samples)[:left]
        left -= len(rows)
        if page.predictor != 1:
            rows = TIFF.UNPREDICTORS[page.predictor](rows, axis=-2)
        yield rows
    if left:
        raise EOFError(f"{left} rows are missing from strip {index + 1}")


def _inflate(file: OpenFile, offset: int, count: int, row_bytes: int) -> Iterator[bytes]:
    """Decompressed bytes of a zlib stream, in whole rows."""
    inflate, end, rows = zlib.decompressobj(), offset + count, b""
    while not inflate.eof and (offset < end or inflate.unconsumed_tail):
        packed = inflate.unconsumed_tail
        if not packed:
            packed = file.read(offset, min(_READ_BYTES, end - offset))
            offset += len(packed)
        rows += inflate.decompress(packed, _INFLATED_BYTES)
        whole = len(rows) - len(rows) % row_bytes
        if whole:
            yield rows[:whole]
            rows = rows[whole:]
    rows += inflate.flush()
    if not inflate.eof:
        raise EOFError("a compressed strip ends too early")
    if len(rows) >= row_bytes:
        yield rows[: len(rows) - len(rows) % row_bytes]
