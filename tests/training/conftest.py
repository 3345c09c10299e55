"""Configurations small enough for tests."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

OBJECTIVES = {
    "faithful": "adversarial = 0.5\nconditional_discriminator = true\nsupervised = 10\nssim = 1\nstructure = 0.1\n"
    "gradient_order = 0.1\nnuclei_correlation = 1",
    "published": "adversarial = 1\ncycle = 10\nidentity = 5",
}


@pytest.fixture
def despeckler_config(tmp_path: Path, histology: Path) -> Path:
    """Six steps of a tiny blind U-Net."""
    path = tmp_path / "despeckler.toml"
    path.write_text(f"""
task = "despeckle"
seed = 11
steps = 6
batch = 2
patch = 32
learning_rate = 1e-3
schedule = "cosine"
loss = "decibel"
log_every = 1
validate_every = 2

[data]
train = ["{histology.as_posix()}"]
validate = ["{histology.as_posix()}"]

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


@pytest.fixture
def stainer_config(tmp_path: Path, histology: Path) -> Callable[..., Path]:
    """Write six steps in two stages with an objective of OBJECTIVES, or TOML; keyword arguments are further keys."""

    def write(objective: str = "faithful", file: Path = histology, **keys: str) -> Path:
        settings = {"input": '"gareau"', "pool": "3", "discriminator_width": "4", "ema_decay": "0.9"} | keys
        lines = "\n".join(f"{key} = {value}" for key, value in settings.items())
        path = tmp_path / "stainer.toml"
        path.write_text(f"""
task = "stain"
seed = 11
region = 96
log_every = 1
validate_every = 2
{lines}

[data]
train = ["{file.as_posix()}"]
validate = ["{file.as_posix()}"]

[design]
body = "resnet"
width = 2
blocks = [1]
stem = "half"
norm = "batch"

[objective]
{OBJECTIVES.get(objective, objective)}

[[stages]]
steps = 3
patch = 32
batch = 2

[[stages]]
steps = 3
patch = 64
batch = 2
decay = "linear"
""")
        return path

    return write


@pytest.fixture
def log_of() -> Callable[[Path], list[dict[str, float]]]:
    """The log of a run."""
    return lambda folder: [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
