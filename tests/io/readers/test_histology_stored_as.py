"""One H&E image, stored in every way that programs store colour: the same pixels, upright, over white."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from confostain.errors import ConfostainWarning, SlideError
from confostain.io.readers.histology import open_histology

y, x = np.mgrid[:200, :300]
HE = np.stack([(x * 0.8) % 256, (y * 1.2) % 256, 255 - (x + y) * 0.4], axis=-1).astype(np.uint8)
ALPHA = np.where((x > 250) & (y > 100), 0, 255).astype(np.uint8)
ON_WHITE = np.where(ALPHA[..., np.newaxis] == 0, 255, HE)
HALF = np.full(ALPHA.shape, 128, np.uint8)
HALF_ON_WHITE = np.rint(HE * (128 / 255) + 255 * (127 / 255)).astype(np.uint8)


def tiff(path: Path, values: np.ndarray, **options: Any) -> Path:
    path = path.with_suffix(".tif")
    tifffile.imwrite(path, values, **options)
    return path


def picture(path: Path, values: np.ndarray, **options: Any) -> Path:
    Image.fromarray(values).save(path, **options)
    return path


def read(path: Path) -> np.ndarray:
    with open_histology(path, 0.5) as slide:
        return slide.read_region((0, 0), slide.size)


def pages(path: Path, *images: tuple[np.ndarray, dict[str, Any]]) -> Path:
    path = path.with_suffix(".tif")
    with tifffile.TiffWriter(path) as file:
        for values, options in images:
            file.write(values, metadata=None, **options)
    return path


PLANES = HE.transpose(2, 0, 1)
TILES = {"tile": (64, 64)}
EXACT: dict[str, tuple[Callable[[Path], Path], np.ndarray]] = {
    "strips": (lambda at: tiff(at, HE), HE),
    "tiles": (lambda at: tiff(at, HE, **TILES), HE),
    "LZW": (lambda at: tiff(at, HE, compression="lzw", predictor=True), HE),
    "zstd tiles": (lambda at: tiff(at, HE, compression="zstd", **TILES), HE),
    "separate planes": (lambda at: tiff(at, PLANES, photometric="rgb", planarconfig="separate"), HE),
    "three grey planes": (lambda at: tiff(at, PLANES, photometric="minisblack"), HE),
    "three grey tiled pages": (lambda at: pages(at, *[(one, {"photometric": "minisblack", **TILES}) for one in PLANES]),
                               HE),
    "three grey planes, white is zero": (lambda at: tiff(at, 255 - PLANES, photometric="miniswhite"), HE),
    "ImageJ composite": (lambda at: tiff(at, PLANES, imagej=True, metadata={"axes": "CYX"}), HE),
    "16 bits": (lambda at: tiff(at, HE.astype(np.uint16) * 257, photometric="rgb"), HE),
    "16 bits, tiles": (lambda at: tiff(at, HE.astype(np.uint16) * 257, photometric="rgb", **TILES), HE),
    "12 in 16 bits, told": (lambda at: tiff(at, HE.astype(np.uint16) * 16, photometric="rgb",
                                            extratags=[(281, 3, 3, (4095, 4095, 4095), True)]), HE),
    "alpha": (lambda at: tiff(at, np.dstack([HE, ALPHA]), photometric="rgb", extrasamples=["unassalpha"]), ON_WHITE),
    "alpha in tiles": (lambda at: tiff(at, np.dstack([HE, ALPHA]), photometric="rgb", extrasamples=["unassalpha"],
                                       **TILES), ON_WHITE),
    "alpha, premultiplied": (lambda at: tiff(at, np.dstack([np.where(ALPHA[..., None], HE, 0), ALPHA]).astype(np.uint8),
                                             photometric="rgb", extrasamples=["assocalpha"]), ON_WHITE),
    "half transparent": (lambda at: tiff(at, np.dstack([HE, HALF]), photometric="rgb", extrasamples=["unassalpha"]),
                         HALF_ON_WHITE),
    "a fourth value that is no alpha": (lambda at: tiff(at, np.dstack([HE, ALPHA]), photometric="rgb",
                                                        extrasamples=["unspecified"]), HE),
    "thumbnail first": (lambda at: pages(at, (HE[::4, ::4], {}), (HE, {})), HE),
    "thumbnail first, tiles": (lambda at: pages(at, (HE[::4, ::4], TILES), (HE, TILES)), HE),
    "grey label first": (lambda at: pages(at, (HE[::4, ::4, 0], {"photometric": "minisblack"}), (HE, TILES)), HE),
    "macro last": (lambda at: pages(at, (HE, TILES), (HE[::2, ::3], {})), HE),
    "PNG": (lambda at: picture(at.with_suffix(".png"), HE), HE),
    "PNG with alpha": (lambda at: picture(at.with_suffix(".png"), np.dstack([HE, ALPHA])), ON_WHITE),
}  # fmt: skip


@pytest.mark.parametrize("kind", EXACT)
def test_what_is_stored_without_loss_is_read_exactly(kind: str, tmp_path: Path) -> None:
    write, expected = EXACT[kind]
    difference = np.abs(read(write(tmp_path / "a")).astype(int) - expected)
    assert difference.max() <= (1 if "transparent" in kind else 0)


LOSSY: dict[str, Callable[[Path], Path]] = {
    "JPEG tiles": lambda at: tiff(at, HE, compression="jpeg", **TILES),
    "JPEG strips": lambda at: tiff(at, HE, compression="jpeg"),
    "JPEG 2000 tiles": lambda at: tiff(at, HE, compression="jpeg2000", **TILES),
    "JPEG 2000 tiles, Aperio": lambda at: tiff(at, HE, compression="aperio_jp2000_rgb", **TILES),
    "WebP tiles": lambda at: tiff(at, HE, compression="webp", **TILES),
    "JPEG": lambda at: picture(at.with_suffix(".jpg"), HE, quality=95),
}


@pytest.mark.parametrize("kind", LOSSY)
def test_lossy_compressions_keep_their_colours(kind: str, tmp_path: Path) -> None:
    assert np.abs(read(LOSSY[kind](tmp_path / "a")).astype(int) - HE).mean() < 4


def test_cmyk_jpeg_is_read_as_colours(tmp_path: Path) -> None:
    Image.fromarray(HE).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert np.abs(read(tmp_path / "a.jpg").astype(int) - HE).mean() < 6


def test_a_palette_of_colours(tmp_path: Path) -> None:
    indexed = Image.fromarray(HE).quantize(256)
    indexed.save(tmp_path / "a.png")
    indexed.save(tmp_path / "a.tif")
    truth = np.asarray(indexed.convert("RGB"))
    for name in ("a.png", "a.tif"):
        np.testing.assert_array_equal(read(tmp_path / name), truth)


@pytest.mark.parametrize(("bits", "shift"), [(12, 4), (10, 2), (14, 6)])
def test_16_bit_colours_that_use_fewer_bits_are_told(bits: int, shift: int, tmp_path: Path) -> None:
    path = tiff(tmp_path / "a", HE.astype(np.uint16) << shift, photometric="rgb")
    with pytest.warns(ConfostainWarning, match=f"taken for {bits} bits"):
        np.testing.assert_array_equal(read(path), HE)


UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # from upright to stored
    1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1), 6: lambda a: a.swapaxes(0, 1)[::-1], 7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[:, ::-1],
}  # fmt: skip


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["strips", "tiles", "PNG", "JPEG"])
def test_images_are_shown_upright(orientation: int, kind: str, tmp_path: Path) -> None:
    stored = np.ascontiguousarray(UPRIGHT[orientation](HE))
    if kind in ("strips", "tiles"):
        tag = [(274, 3, 1, orientation, True)]
        path = tiff(tmp_path / "a", stored, extratags=tag, **(TILES if kind == "tiles" else {}))
    else:
        exif = Image.Exif()
        exif[274] = orientation
        path = picture(tmp_path / f"a.{kind.lower()}", stored, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
    with open_histology(path, 0.5) as slide:
        assert slide.size == (300, 200)
        whole, part = slide.read_region((0, 0), (300, 200)), slide.read_region((40, 30), (100, 90))
    assert np.abs(whole.astype(int) - HE).mean() < (4 if kind == "JPEG" else 1e-9)
    np.testing.assert_array_equal(part, whole[30:120, 40:140])


def test_a_pyramid_in_sub_directories_is_read_level_by_level(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as file:
        scale = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
        file.write(HE, subifds=1, tile=(64, 64), compression="zstd", metadata={"axes": "YXS", **scale})
        file.write(HE[::2, ::2], subfiletype=1, tile=(64, 64), compression="zstd", metadata=None)
    with open_histology(tmp_path / "a.ome.tif") as slide:
        assert slide.microns_per_pixel == 0.25
        np.testing.assert_array_equal(slide.read_region((0, 0), (300, 200)), HE)
        np.testing.assert_array_equal(slide.read_region((0, 0), (150, 100), 0.5), HE[::2, ::2])


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "grey TIFF": (lambda at: tiff(at, HE[..., 0], photometric="minisblack"), "1 values per pixel"),
    "grey tiles": (lambda at: tiff(at, HE[..., 0], photometric="minisblack", **TILES), "1 values per pixel"),
    "grey PNG": (lambda at: picture(at.with_suffix(".png"), HE[..., 0]), "a grey image"),
    "two channels": (lambda at: tiff(at, PLANES[:2], photometric="minisblack"), "2 values per pixel"),
    "floats": (lambda at: tiff(at, HE / np.float32(255), photometric="rgb"), "colours are float32"),
    "a stack": (lambda at: tiff(at, np.stack([HE, HE, HE]), photometric="rgb", metadata={"axes": "ZYXS"}), "a stack"),
    "huge": (lambda at: tiff_of_size(at, 200_000), "expected at most"),
}


def tiff_of_size(path: Path, side: int) -> Path:
    path = tiff(path, HE, compression="lzw", rowsperstrip=200)
    with tifffile.TiffFile(path, mode="r+") as file:
        for number in (256, 257, 278):
            file.pages.first.tags[number].overwrite(side, dtype=4)  # type: ignore[union-attr]
    return path


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_h_and_e_is_refused(kind: str, tmp_path: Path) -> None:
    write, reason = REFUSED[kind]
    with pytest.raises(SlideError, match=reason):
        open_histology(write(tmp_path / "a"), 0.5)


def test_a_larger_grey_image_in_the_same_file_is_told(tmp_path: Path) -> None:
    path = pages(tmp_path / "a", (HE[::4, ::4], {}), (HE[..., 0], {"photometric": "minisblack"}))
    with pytest.warns(ConfostainWarning, match="image 1 of 300 x 200 px is no colour image"):
        assert read(path).shape == (50, 75, 3)
