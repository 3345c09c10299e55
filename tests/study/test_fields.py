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
