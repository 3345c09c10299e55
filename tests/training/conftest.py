"""A configuration small enough for tests."""

from pathlib import Path

import pytest


@pytest.fixture
def config(tmp_path: Path, histology: Path) -> Path:
    """Six steps of a tiny blind U-Net."""
    path = tmp_path / "config.toml"
    path.write_text(f"""
seed = 11
steps = 6
batch = 2
patch = 32
learning_rate = 1e-3
schedule = "cosine"
loss = "decibel"
record_every = 1
look_every = 2

[data]
train = ["{histology}"]
validate = ["{histology}"]

[design]
channels = [4, 8]
blocks = [1, 1]

[noise]
looks = [1.0, 80.0]
microscope_share = 0.5
grain = [0.0, 1.0]
pedestal = [0.0, 0.15]
gain = [0.25, 1.2]
read_noise = [0.0, 0.01]
contrast = [0.6, 1.6]
clipped_share = 0.3
""")
    return path
