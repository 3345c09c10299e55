"""Scans as they come: hot pixels, gaps of a mosaic, edges without numbers, empty channels; and given ranges."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import confostain
from confostain.cli import main
from confostain.errors import ConfostainWarning, OptionError, SlideError
from confostain.geometry import Region
from confostain.slide import Slide, open_slide

Planes = np.ndarray  # (2, h, w)
RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def planes(phantom_scan: Path) -> Planes:
    with open_slide(phantom_scan) as slide:
        whole = Region(0, 0, *slide.size)
        return np.stack([plane.read(whole) for plane in slide._planes]) // np.uint16(16)


def slide_of(planes: Planes, folder: Path, **options: Any) -> Slide:
    for name, plane in zip(("785.tif", "488.tif"), planes, strict=True):
        tifffile.imwrite(folder / name, plane, photometric="minisblack")
    return open_slide(folder, microns_per_pixel=0.75, **options)


def stained(slide: Slide, out: Path, **options: Any) -> np.ndarray:
    confostain.stain_slide(slide, out, model="gareau", quality=None, **options)
    return np.asarray(tifffile.imread(out))


def largest(planes: Planes) -> Any:
    return np.iinfo(planes.dtype).max


def with_outliers(planes: Planes, share: float, values: str, channels: tuple[int, ...]) -> Planes:
    damaged = planes.copy()
    for channel in channels:
        at = RNG.random(planes.shape[1:]) < share
        damaged[channel][at] = largest(planes) if values == "hot" else 0
    return damaged


@pytest.mark.parametrize("channels", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize(("values", "share"), [("hot", 0.005), ("hot", 0.01), ("hot", 0.002), ("dead", 0.01)])
@pytest.mark.parametrize("dtype", ["uint16", "uint8"])
def test_hot_and_dead_pixels_leave_range_and_picture(
    dtype: str, values: str, share: float, channels: tuple[int, ...], planes: Planes, tmp_path: Path
) -> None:
    clean = planes if dtype == "uint16" else (planes // 24 + 4).astype(np.uint8)
    damaged = with_outliers(clean, share, values, channels)
    (tmp_path / "clean").mkdir()
    with slide_of(clean, tmp_path / "clean") as slide, slide_of(damaged, tmp_path) as bad:
        for found, expected in zip(bad.ranges, slide.ranges, strict=True):
            assert found.dark == pytest.approx(expected.dark, abs=0.03 * (expected.bright - expected.dark))
            assert found.bright == pytest.approx(expected.bright, rel=0.03)
        assert np.mean(bad.tissue.cells == slide.tissue.cells) > 0.97
        truth, made = stained(slide, tmp_path / "a.ome.tif"), stained(bad, tmp_path / "b.ome.tif")
    assert np.abs(made.astype(int) - truth).mean() < 3


GAP = (slice(100, 150), slice(None))
GAPS: dict[str, Any] = {"rows": GAP, "columns": (slice(None), slice(300, 320)), "corner": (slice(0, 90), slice(0, 200))}


@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("value", ["largest", "zero", "NaN", "infinite", "-9999"])
def test_a_gap_is_neither_range_nor_tissue_and_stays_white(
    gap: str, value: str, planes: Planes, tmp_path: Path
) -> None:
    clean = planes.astype(np.float32) if value in ("NaN", "infinite", "-9999") else planes
    damaged = clean.copy()
    fill = {"largest": largest(planes) if clean is planes else 0, "zero": 0, "NaN": np.nan, "infinite": np.inf}
    damaged[(slice(None), *GAPS[gap])] = fill.get(value, -9999)
    (tmp_path / "clean").mkdir()
    with slide_of(clean, tmp_path / "clean") as slide, slide_of(damaged, tmp_path) as bad:
        for found, expected in zip(bad.ranges, slide.ranges, strict=True):
            assert found.bright == pytest.approx(expected.bright, rel=0.05)
        assert (bad.read(Region(0, 0, *bad.size))[(slice(None), *GAPS[gap])] == 0).all()
        made = stained(bad, tmp_path / "b.ome.tif")
        np.testing.assert_array_equal(stained(bad, tmp_path / "c.ome.tif", tile=256), made)
        assert (made[GAPS[gap]] == 255).all()
        rf = bad.read(Region(0, 0, *bad.size))
        part = bad.read(Region(90, 95, 250, 30))
    np.testing.assert_array_equal(part, rf[:, 95:125, 90:340])


@pytest.mark.parametrize("channel", [0, 1])
def test_numbers_missing_in_one_channel_are_missing_in_both(channel: int, planes: Planes, tmp_path: Path) -> None:
    damaged = planes.astype(np.float32)
    damaged[channel, :, :40] = np.nan
    with slide_of(damaged, tmp_path) as slide:
        assert (slide.read(Region(0, 0, 40, 200)) == 0).all()
        assert (stained(slide, tmp_path / "a.ome.tif")[:, :40] == 255).all()


def test_despeckling_keeps_what_is_no_number(planes: Planes, tmp_path: Path) -> None:
    damaged = planes.astype(np.float32)
    damaged[0, :, :40] = np.nan
    with slide_of(damaged, tmp_path) as slide:
        confostain.despeckle_slide(slide, tmp_path / "a.tif")
    made = tifffile.imread(tmp_path / "a.tif")
    assert np.isnan(made[:, :40]).all()
    assert np.isfinite(made[:, 40:]).all()


@pytest.mark.parametrize("value", ["black", "white", "grey"])
@pytest.mark.parametrize("channel", [0, 1])
def test_a_constant_channel_is_refused(value: str, channel: int, planes: Planes, tmp_path: Path) -> None:
    damaged = planes.copy()
    damaged[channel] = {"black": 0, "white": largest(planes), "grey": 700}[value]
    name = ("reflectance", "fluorescence")[channel]
    with warnings.catch_warnings(), slide_of(damaged, tmp_path) as slide:
        warnings.simplefilter("ignore", ConfostainWarning)
        with pytest.raises(SlideError, match=rf"{name} has the same value in all tissue"):
            confostain.stain_slide(slide, tmp_path / "a.ome.tif", model="gareau")
    assert not (tmp_path / "a.ome.tif").exists()
    with pytest.warns(ConfostainWarning, match=f"{name} .* is the same everywhere"), slide_of(damaged, tmp_path) as bad:
        bad.facts()


@pytest.mark.parametrize("channel", [0, 1])
def test_a_channel_of_noise_is_told(channel: int, planes: Planes, tmp_path: Path) -> None:
    damaged = planes.copy()
    damaged[channel] = RNG.integers(90, 110, planes.shape[1:])
    with pytest.warns(ConfostainWarning, match="shows noise only"), slide_of(damaged, tmp_path) as slide:
        slide.facts()


@pytest.mark.parametrize("channel", [0, 1])
@pytest.mark.parametrize("dtype", ["uint16", "uint8"])
def test_a_saturated_channel_is_told(channel: int, dtype: str, planes: Planes, tmp_path: Path) -> None:
    damaged = planes.astype(np.int64)
    top = np.iinfo(dtype).max
    damaged[channel] = damaged[channel] * top // np.median(damaged[channel])
    damaged[1 - channel] = damaged[1 - channel] * top // damaged[1 - channel].max()
    damaged = np.minimum(damaged, top).astype(dtype)
    with pytest.warns(ConfostainWarning, match=r"saturated in \d\d% of the tissue"), slide_of(damaged, tmp_path) as bad:
        bad.facts()


def test_a_sound_scan_has_no_defects(planes: Planes, tmp_path: Path) -> None:
    with slide_of(planes, tmp_path) as slide:
        assert not slide._survey.defects


def test_given_ranges_are_used_and_said(planes: Planes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with slide_of(planes, tmp_path, ranges={"reflectance": (100, 3000)}) as slide:
        assert (slide.ranges[0].dark, slide.ranges[0].bright) == (100, 3000)
        facts = slide.facts()
        assert (facts["reflectance_range_from"], facts["fluorescence_range_from"]) == ("given", "measured")
        expected = np.clip((planes[0] - 100.0) / 2900, 0, 1)
        assert np.abs(slide.read(Region(0, 0, *slide.size))[0] - expected).max() < 1e-5
    with pytest.raises(SystemExit) as ended:
        main(["stain", str(tmp_path), "-o", str(tmp_path / "a.ome.tif"), "--model", "gareau", "--mpp", "0.75",
              "--range", "reflectance=100,3000", "--range", "fluorescence=50,2000"])  # fmt: skip
    assert ended.value.code == 0
    assert "100 to 3000" in tifffile.tiffcomment(tmp_path / "a.ome.tif")
    assert "50 to 2000" in tifffile.tiffcomment(tmp_path / "a.ome.tif")


@pytest.mark.parametrize(
    "ranges",
    [{"blue": (0, 1)}, {"reflectance": (5, 5)}, {"reflectance": (6, 5)}, {"fluorescence": (float("nan"), 5)},
     {"fluorescence": (0, float("inf"))}],
)  # fmt: skip
def test_a_range_that_is_none_is_refused(
    ranges: dict[str, tuple[float, float]], planes: Planes, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="range of"):
        slide_of(planes, tmp_path, ranges=ranges)


@pytest.mark.parametrize(
    "arguments",
    [["--range", "reflectance=1"], ["--range", "reflectance"], ["--range", "reflectance=a,b"],
     ["--range", "reflectance=1,2", "--range", "reflectance=3,4"], ["--range", "green=1,2"]],
)  # fmt: skip
def test_the_command_refuses_it_in_one_line(
    arguments: list[str], planes: Planes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide_of(planes, tmp_path).close()
    with pytest.raises(SystemExit) as ended:
        main(["info", str(tmp_path), *arguments])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


CASES = Path(__file__).parents[2] / "shared" / "cases"


@pytest.mark.parametrize(
    ("kind", "scale"), [("v_hot_0.005", 16), ("v_mosaic_gap_both_max", 1)], ids=["hot pixels", "gap"]
)
def test_faulty_cases_have_the_range_of_the_plain_pair(kind: str, scale: int, tmp_path: Path) -> None:
    if not CASES.is_dir():
        pytest.skip("the inputs in ../shared/cases are not at hand")
    files = [CASES / f"{kind}_{channel}.tif" for channel in "RF"]
    plain = [CASES / "plain" / f"{channel}.tif" for channel in "RF"]
    with open_slide(reflectance=files[0], fluorescence=files[1]) as bad:
        found = bad.ranges
    with open_slide(reflectance=plain[0], fluorescence=plain[1]) as slide:
        for made, expected in zip(found, slide.ranges, strict=True):
            assert scale * made.bright == pytest.approx(expected.bright, rel=0.01)
            assert scale * made.dark == pytest.approx(expected.dark, abs=0.01 * expected.bright)


def moved(planes: Planes, dx: int, dy: int) -> Planes:
    """The pair with its fluorescence `dx` px to the right and `dy` px down, 0 where it lacks."""
    shifted = np.zeros_like(planes)
    height, width = planes.shape[1:]
    to = (slice(max(0, dy), height + min(0, dy)), slice(max(0, dx), width + min(0, dx)))
    since = (slice(max(0, -dy), height + min(0, -dy)), slice(max(0, -dx), width + min(0, -dx)))
    shifted[0], shifted[1][to] = planes[0], planes[1][since]
    return shifted


@pytest.mark.parametrize(("dx", "dy"), [(6, 0), (-9, 14), (0, -30)])
def test_displaced_channels_are_told_and_aligned(dx: int, dy: int, planes: Planes, tmp_path: Path) -> None:
    bad = moved(planes, dx, dy)
    match = f"by {dx} px to the right and {dy} px down"
    with slide_of(bad, tmp_path) as slide, pytest.warns(ConfostainWarning, match=match):
        slide.facts()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with open_slide(tmp_path, microns_per_pixel=0.75, register=True) as slide:
            assert slide.facts()["fluorescence_moved"] == [dx, dy]
            aligned = slide.read(Region(0, 0, *slide.size))
            np.testing.assert_array_equal(slide.read(Region(20, 30, 200, 100)), aligned[:, 30:130, 20:220])
            made = stained(slide, tmp_path / "a.ome.tif")
    (tmp_path / "clean").mkdir()
    with slide_of(planes, tmp_path / "clean", ranges=ranges_of(slide)) as clean:
        truth = clean.read(Region(0, 0, *clean.size))
    with slide_of(planes, tmp_path / "clean") as clean:
        for found, expected in zip(slide.ranges, clean.ranges, strict=True):
            assert found.dark == pytest.approx(expected.dark, abs=0.02 * expected.bright)
            assert found.bright == pytest.approx(expected.bright, rel=0.02)
    height, width = planes.shape[1:]
    both = (slice(max(0, -dy), height + min(0, -dy)), slice(max(0, -dx), width + min(0, -dx)))
    np.testing.assert_array_equal(aligned[(slice(None), *both)], truth[(slice(None), *both)])
    outside = np.ones((height, width), bool)
    outside[both] = False
    assert (made[outside] == 255).all()


def ranges_of(slide: Slide) -> dict[str, tuple[float, float]]:
    return {
        name: (found.dark, found.bright)
        for name, found in zip(("reflectance", "fluorescence"), slide.ranges, strict=True)
    }


def test_nothing_is_moved_where_nothing_can_be_measured(planes: Planes, tmp_path: Path) -> None:
    other = planes.copy()
    other[1] = np.roll(planes[1][::-1], 100, 1)
    with slide_of(other, tmp_path), pytest.warns(ConfostainWarning, match="cannot be measured; nothing is moved"):
        open_slide(tmp_path, register=True).close()
