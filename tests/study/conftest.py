"""A study of two arms: a painted H&E section, and the phantom with a stain."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from confostain.study.fields import Field, draw_fields
from confostain.study.protocol import Protocol, read_protocol

PROTOCOL = """
title = "Real or stained?"
fields = 3
field_pixels = 96
microns_per_pixel = 0.75
seed = 7
[[arms]]
name = "section"
histology = "section.png"
mpp = 0.5
[[arms]]
name = "stained"
slide = "{scan}"
model = "gareau"
[[questions]]
id = "real"
text = "What is this?"
choices = ["real", "stained"]
correct = {{section = "real", stained = "stained"}}
[[questions]]
id = "quality"
text = "How good is it?"
choices = ["1", "2", "3"]
"""


@pytest.fixture
def toml(phantom_scan: Path, tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    pink = np.stack(
        [rng.integers(180, 255, (700, 900)), rng.integers(60, 140, (700, 900)), np.full((700, 900), 170)], -1
    )
    Image.fromarray(pink.astype(np.uint8)).save(tmp_path / "section.png")
    (tmp_path / "study.toml").write_text(PROTOCOL.format(scan=phantom_scan))
    return tmp_path / "study.toml"


@pytest.fixture
def protocol(toml: Path) -> Protocol:
    return read_protocol(toml)


@pytest.fixture
def fields(protocol: Protocol, toml: Path) -> list[Field]:
    return draw_fields(protocol, toml.parent, lambda done, total: None)
