"""Fields: random, reproducible, and silent about where they come from."""

import io
import re
from pathlib import Path

import pytest
from PIL import Image

from confostain.errors import SlideError
from confostain.study.fields import Field, draw_fields
from confostain.study.protocol import Protocol, read_protocol


def test_fields_are_drawn_from_each_arm_and_tell_nothing(fields: list[Field]) -> None:
    assert sorted(field.arm for field in fields) == ["section"] * 3 + ["stained"] * 3
    assert len({len(field.png) for field in fields}) == 1
    assert len({(field.arm, field.x, field.y) for field in fields}) == 6
    for field in fields:
        assert Image.open(io.BytesIO(field.png)).size == (96, 96)
        assert re.fullmatch("[0-9a-f]{20}", field.id)
        assert re.findall(rb"tEXt|iTXt|zTXt|eXIf|tIME|pHYs|iCCP", field.png) == []
    assert [field.id for field in fields] == sorted(field.id for field in fields)


def test_the_same_seed_draws_the_same_fields(protocol: Protocol, fields: list[Field], toml: Path) -> None:
    assert draw_fields(protocol, toml.parent, lambda done, total: None) == fields


def test_too_little_tissue_is_said(toml: Path) -> None:
    white = Image.new("RGB", (900, 700), "white")
    white.save(toml.with_name("section.png"))
    with pytest.raises(SlideError, match="arm section: only 0 places"):
        draw_fields(read_protocol(toml), toml.parent, lambda done, total: None)


@pytest.mark.parametrize("mpp", ["", "mpp = 0.75"])
def test_a_slide_without_pixel_size_is_refused_unless_the_protocol_gives_it(
    toml: Path, unscaled_planes: tuple[Path, Path], mpp: str
) -> None:
    """The protocol's um per pixel must not be taken for the slide's."""
    scan = toml.with_name("unscaled")
    scan.mkdir()
    for plane, name in zip(unscaled_planes, ("785.tif", "488.tif"), strict=True):
        (scan / name).symlink_to(plane)
    toml.write_text(re.sub(r'slide = ".*"', f'slide = "unscaled"\n{mpp}', toml.read_text()))
    if mpp:
        assert len(draw_fields(read_protocol(toml), toml.parent, lambda done, total: None)) == 6
        return
    with pytest.raises(SlideError, match=r"arm stained: unscaled does not state its pixel size; .*add mpp"):
        draw_fields(read_protocol(toml), toml.parent, lambda done, total: None)


def test_a_section_without_pixel_size_is_refused(toml: Path) -> None:
    toml.write_text(toml.read_text().replace("mpp = 0.5", ""))
    with pytest.raises(SlideError, match="pixel size"):
        draw_fields(read_protocol(toml), toml.parent, lambda done, total: None)


@pytest.mark.parametrize(
    ("arm", "region", "zoom"),
    [("section", [100, 60, 600, 500], 1.5), ("stained", [64, 32, 300, 320], 1.0), ("section", [0, 0, 900, 300], 1.5)],
)
def test_fields_are_inside_the_region(toml: Path, arm: str, region: list[int], zoom: float) -> None:
    name = f'name = "{arm}"'
    toml.write_text(toml.read_text().replace(name, f"{name}\nregion = {region}\nfields = 2"))
    own = [field for field in draw_fields(read_protocol(toml), toml.parent, lambda *_: None) if field.arm == arm]
    assert len(own) == 2
    for field in own:
        assert region[0] <= field.x * zoom <= (field.x + 96) * zoom <= region[0] + region[2]
        assert region[1] <= field.y * zoom <= (field.y + 96) * zoom <= region[1] + region[3]


@pytest.mark.parametrize("region", [[0, 0, 901, 100], [800, 600, 101, 50], [10, 10, 0, 1]])
def test_a_region_outside_the_slide_is_refused(toml: Path, region: list[int]) -> None:
    toml.write_text(toml.read_text().replace('name = "section"', f'name = "section"\nregion = {region}'))
    with pytest.raises(SlideError, match=r"arm section: region .* inside 900 x 700"):
        draw_fields(read_protocol(toml), toml.parent, lambda done, total: None)


def test_two_models_are_compared_on_the_same_places(toml: Path) -> None:
    text = toml.read_text()
    arm = text[text.index('[[arms]]\nname = "stained"') : text.index("[[questions]]")]
    other = arm.replace('"stained"', '"other"').replace('"gareau"', '"beer-lambert"')
    toml.write_text(text.replace("[[questions]]", f"{other}[[questions]]", 1))
    drawn = draw_fields(read_protocol(toml), toml.parent, lambda done, total: None)
    places = {
        name: {(field.case, field.x, field.y) for field in drawn if field.arm == name} for name in ("stained", "other")
    }
    assert places["stained"] == places["other"]
    assert len({field.id for field in drawn}) == 9
