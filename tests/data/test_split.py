from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from confostain.data.patch_extractor import HistologyPatchExtractor, PatchExtractor
from confostain.data.split import PatchPlan, plan_slides
from confostain.errors import ConfostainWarning, OptionError, SlideError
from confostain.geometry import Region


def open_extractor(path: Path) -> PatchExtractor:
    return HistologyPatchExtractor(path, 0.75)


@pytest.fixture
def slides(tmp_path: Path) -> list[Path]:
    """Ten pictures of 200 x 150 px, two of one name."""
    paths = [tmp_path / f"s{number}.png" for number in range(9)] + [tmp_path / "other" / "s0.png"]
    paths[-1].parent.mkdir()
    for number, path in enumerate(paths):
        Image.fromarray(np.full((150, 200, 3), number, np.uint8)).save(path)
    return paths


def sides(slides: list[Path], plan: PatchPlan) -> dict[Path, str]:
    return {scan.path: scan.split for scan in plan_slides(open_extractor, slides, plan)}


def test_slides_are_drawn_by_seed_whatever_their_order(slides: list[Path]) -> None:
    found = sides(slides, PatchPlan(side=64))
    assert list(found.values()).count("train") == 8
    others = [PatchPlan(side=64, seed=seed) for seed in range(1, 5)]
    assert all(sides(slides[::-1], plan) == sides(slides, plan) for plan in others)
    assert any(sides(slides, plan) != found for plan in others)


@pytest.mark.parametrize(("share", "count"), [(0.01, 1), (0.5, 5), (0.99, 9), (1, 10)])
def test_each_side_gets_a_slide_unless_all_are_wanted_for_training(
    slides: list[Path], share: float, count: int
) -> None:
    assert list(sides(slides, PatchPlan(side=64, train_share=share)).values()).count("train") == count


def test_named_slides_are_for_validation_and_nothing_is_drawn(slides: list[Path]) -> None:
    found = sides(slides[:3], PatchPlan(side=64, validate=tuple(slides[5:7])))
    assert found == dict.fromkeys(slides[:3], "train") | dict.fromkeys(slides[5:7], "validate")


def test_one_slide_is_for_training_and_that_is_said(slides: list[Path]) -> None:
    with pytest.warns(ConfostainWarning, match="cannot be split.*--validate"):
        assert sides(slides[:1], PatchPlan(side=64)) == {slides[0]: "train"}


def test_slides_of_one_name_get_names_of_their_own(slides: list[Path]) -> None:
    names = [scan.name for scan in plan_slides(open_extractor, slides, PatchPlan(side=64, train_share=1))]
    assert names == [f"s{number}" for number in range(9)] + ["s0-2"]


def test_the_same_slide_under_two_names_is_refused(slides: list[Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy.png"
    copy.write_bytes(slides[4].read_bytes())
    for plan in (PatchPlan(side=64, validate=(copy,)), PatchPlan(side=64)):
        with pytest.raises(SlideError, match=r"copy.png: is the same as .*s4.png"):
            plan_slides(open_extractor, slides if plan.validate else [*slides, copy], plan)


def test_places_lie_side_by_side_inside_the_slide(slides: list[Path]) -> None:
    (scan,) = plan_slides(open_extractor, slides[:1], PatchPlan(side=64, train_share=1))
    assert scan.patch_regions == tuple(Region(x, y, 64, 64) for y in (0, 64) for x in (0, 64, 128))
    assert len(scan.sha256[0]) == 64


def test_a_slide_smaller_than_a_patch_is_pointed_out(slides: list[Path]) -> None:
    with pytest.warns(ConfostainWarning, match="200 x 150 px.*--side"):
        (scan,) = plan_slides(open_extractor, slides[:1], PatchPlan(train_share=1))
    assert scan.patch_regions == ()


def test_plans_that_make_no_sense_are_refused() -> None:
    for plan, message in (({"side": 0}, "side"), ({"train_share": 0.0}, "split"), ({"train_share": 80}, "split")):
        with pytest.raises(OptionError, match=message):
            PatchPlan(**plan)  # type: ignore[arg-type]
