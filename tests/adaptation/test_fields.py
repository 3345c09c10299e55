"""Fields of scans: apart for training and judging, and refused where nothing good can be learnt."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from confostain.adaptation.fields import HELD_BACK, SIDE, _split, fields_of, refuse_unfit
from confostain.arrays import Pair
from confostain.errors import SlideError
from confostain.geometry import Region, Size
from confostain.models.card import SHIPPED, read_card
from confostain.simulation.phantom import Phantom
from confostain.slide import open_slide

SWIFT = read_card(SHIPPED / "swift")


@given(
    st.sets(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=200),
    st.booleans(),
)
def test_a_cut_parts_the_squares_and_holds_a_third_back(places: set[tuple[int, int]], across: bool) -> None:
    squares = [Region(x * SIDE, y * SIDE, SIDE, SIDE) for x, y in sorted(places)]
    train, held_back = _split(squares, across)
    assert not set(train) & set(held_back)
    assert set(train) | set(held_back) <= set(squares)
    assert train
    if held_back and len(squares) <= 90:
        place = (lambda s: s.x) if across else (lambda s: s.y)
        assert max(map(place, train)) < min(map(place, held_back))
        column = min(map(place, held_back))
        later = [square for square in held_back if place(square) > column]
        # the cut lies as far back as it may: one column less would not be a third
        assert len(held_back) >= HELD_BACK * len(squares) or len({*map(place, train)}) == 1
        assert len(later) < HELD_BACK * len(squares) or not later


def test_fields_are_pixels_of_the_scan_as_the_model_sees_it(scan: Path) -> None:
    with open_slide(scan) as slide:
        found = fields_of(slide, SWIFT, "scan 1")
        whole = slide.read(Region(0, 0, *slide.size))
    assert found.microns_per_pixel == pytest.approx(0.75)
    assert len(found.train) >= 2
    assert len(found.held_back) >= 2
    cells = {
        whole[:, y : y + SIDE, x : x + SIDE].tobytes()
        for y in range(0, whole.shape[1] - SIDE + 1, SIDE)
        for x in range(0, whole.shape[2] - SIDE + 1, SIDE)
    }
    assert {pair.tobytes() for pair in found.train + found.held_back} <= cells
    for pairs, raws in ((found.train, found.raw_train), (found.held_back, found.raw_held_back)):
        np.testing.assert_array_equal([pair[0] for pair in pairs], np.minimum(raws, 1))
    assert max(raw.max() for raw in found.raw_train) > 1  # as a despeckler is given it: highlights are not clipped


@pytest.mark.parametrize(
    ("microns", "match"),
    [
        (0.25, "squares of 256 px"),  # reduced to half: too few fields are left
        (3, "finer scan"),
        (None, "pixel size is unknown"),
    ],
)
def test_fields_are_cut_at_a_pixel_size_that_the_model_takes(
    microns: float | None, match: str, unscaled_planes: tuple[Path, Path]
) -> None:
    reflectance, fluorescence = unscaled_planes
    with (
        open_slide(reflectance=reflectance, fluorescence=fluorescence, microns_per_pixel=microns) as slide,
        pytest.raises(SlideError, match=match),
    ):
        fields_of(slide, SWIFT, "scan 1")


def blurred(sigma: float) -> Callable[[Pair], Pair]:
    def blur(fields: Pair) -> Pair:
        soft = ndimage.gaussian_filter(fields, (0, 0, sigma, sigma))
        return np.asarray(soft / soft.max(axis=(0, 2, 3), keepdims=True), np.float32)

    return blur


def noise(fields: Pair) -> Pair:
    return np.random.default_rng(0).random(fields.shape, np.float32)


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda fields: fields[:, ::-1], "look swapped"),
        (lambda fields: 1 - fields, "no nuclei"),
        (np.zeros_like, "no nuclei"),
        (noise, "no nuclei"),
        (blurred(2.5), "out of focus|no nuclei"),
        (blurred(5), "out of focus|no nuclei"),
    ],
    ids=["swapped", "inverted", "empty", "noise", "blurred", "blurred more"],
)
def test_scans_that_would_harm_are_refused(spoil: Callable[[Pair], Pair], match: str) -> None:
    phantom = Phantom(Size(768, 512), seed=4)
    whole = np.concatenate(list(phantom.recorded_bands()), axis=1).astype(np.float32)
    whole /= np.percentile(whole, 99.7, axis=(1, 2), keepdims=True).astype(np.float32)
    pairs = [whole[:, y : y + SIDE, x : x + SIDE].clip(0, 1) for y in (0, 256) for x in (0, 256, 512)]
    fields = np.stack(pairs)
    refuse_unfit("plain", fields)
    with pytest.raises(SlideError, match=match):
        refuse_unfit("spoilt", np.ascontiguousarray(spoil(fields)))
