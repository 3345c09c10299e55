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
positive = "stained"
correct = {{section = "real", stained = "stained"}}
[[questions]]
id = "quality"
text = "How good is it?"
choices = ["1", "2", "3"]
ordinal = true
"""
TRAINING = """
[[arms]]
name = "lesson"
histology = "other.png"
mpp = 0.5
fields = 2
training = true
explanation = "Look at the borders of the nuclei."
"""


def painted(seed: int) -> Image.Image:
    """A pink section of noise."""
    rng = np.random.default_rng(seed)
    layers = rng.integers(180, 255, (700, 900)), rng.integers(60, 140, (700, 900)), np.full((700, 900), 170)
    return Image.fromarray(np.stack(layers, -1).astype(np.uint8))


@pytest.fixture
def toml(phantom_scan: Path, tmp_path: Path) -> Path:
    painted(1).save(tmp_path / "section.png")
    painted(2).save(tmp_path / "other.png")
    (tmp_path / "study.toml").write_text(PROTOCOL.format(scan=phantom_scan))
    return tmp_path / "study.toml"


@pytest.fixture
def protocol(toml: Path) -> Protocol:
    return read_protocol(toml)


@pytest.fixture
def fields(protocol: Protocol, toml: Path) -> list[Field]:
    return draw_fields(protocol, toml.parent, lambda done, total: None)


@pytest.fixture
def lesson_toml(toml: Path) -> Path:
    """The same study with a training, two rounds and two readings."""
    text = toml.read_text().replace("[[questions]]", f"{TRAINING}[[questions]]", 1)
    text = text.replace('correct = {section = "real"', 'correct = {lesson = "real", section = "real"')
    toml.write_text(text.replace("seed = 7", "seed = 7\nrounds = 2\nreadings = 2\nwashout_days = 14"))
    return toml
