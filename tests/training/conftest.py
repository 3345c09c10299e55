"""A painted H&E picture and a configuration small enough for tests."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter


@pytest.fixture(scope="session")
def histology(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pink tissue with purple blobs and a white border, 260 x 200 px."""
    rng = np.random.default_rng(4)
    blobs = gaussian_filter(rng.standard_normal((200, 260)), 3)
    rgb = np.where((blobs > 0.05)[..., None], (90, 60, 140), (230, 150, 190)).astype(np.uint8)
    rgb[:, :20] = 245
    path = tmp_path_factory.mktemp("histology") / "he.png"
    Image.fromarray(rgb).save(path)
    return path


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
