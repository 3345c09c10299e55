import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from confostain.errors import ConfigError, ModelError
from confostain.geometry import Region
from confostain.imaging.intensity import range_share
from confostain.inference.despeckle import despeckle
from confostain.models.build import load_weights
from confostain.models.export import folded
from confostain.networks.despeckler import PaperDespeckler, build_despeckler
from confostain.slide import open_slide
from confostain.training.chain import train_recipe
from confostain.training.recipe import read_recipe

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of lightning's and tensorboard's own imports
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

Log = Callable[[Path], list[dict[str, float]]]


def test_a_discriminator_takes_part_and_training_resumes_with_it(
    despeckler_config: Path, tmp_path: Path, log_of: Log
) -> None:
    despeckler_config.write_text("adversarial = 0.01\n" + despeckler_config.read_text())
    train_recipe(despeckler_config, tmp_path / "whole")

    class Killed(Exception):
        pass

    def kill(done: int, total: int) -> None:
        if done == 5:  # the checkpoint is of step 4
            raise Killed

    with pytest.raises(Killed):
        train_recipe(despeckler_config, tmp_path / "broken", progress=kill)
    train_recipe(despeckler_config, tmp_path / "broken", resume=True)
    assert log_of(tmp_path / "broken") == log_of(tmp_path / "whole")
    assert log_of(tmp_path / "whole")[0].keys() == {"step", "loss", "generator_loss", "discriminator_loss"}


def test_raw_reflectance_takes_part_without_a_truth(
    despeckler_config: Path, phantom_scan: Path, tmp_path: Path, log_of: Log
) -> None:
    with open_slide(phantom_scan) as slide:
        raw = range_share(slide.reflectance_plane.read(Region(100, 100, 192, 192)), slide.ranges[0])
    np.save(tmp_path / "raw.npy", raw[np.newaxis])
    text = despeckler_config.read_text()
    with_scans = text.replace("[data]", f'[data]\nreflectance = "{(tmp_path / "raw.npy").as_posix()}"')
    despeckler_config.write_text(with_scans)
    with pytest.raises(ConfigError, match="expected that weight above 0"):
        train_recipe(despeckler_config, tmp_path / "run")
    despeckler_config.write_text("residual_statistics = 1.0\n" + with_scans)
    train_recipe(despeckler_config, tmp_path / "run")
    log = log_of(tmp_path / "run")
    assert {"residual_statistics", "residual_statistics of scans"} <= log[0].keys()


def test_two_processes_train_one_network(despeckler_config: Path, tmp_path: Path, log_of: Log) -> None:
    """As on two GPUs: Lightning Fabric starts the second process and averages the gradients, in each part."""
    recipe = tmp_path / "recipe.toml"
    parts = '\n[[parts]]\nname = "first"\n[[parts]]\nname = "second"\nseed = 12\nsteps = 3\n'
    recipe.write_text(despeckler_config.read_text() + parts)
    script, folder = tmp_path / "train.py", tmp_path / "run"
    script.write_text(f"""
from pathlib import Path
import lightning.fabric
from functools import partial
lightning.fabric.Fabric = partial(lightning.fabric.Fabric, accelerator="cpu", devices=2, strategy="ddp")
from confostain.training.chain import train_recipe
outcome = train_recipe(Path({str(recipe)!r}), Path({str(folder)!r}))
assert outcome.is_complete
""")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    train_recipe(recipe, tmp_path / "alone")
    for part, steps in (("first", 6), ("second", 3)):
        assert json.loads((folder / part / "run.json").read_text())["devices"] == 2
        assert [r["step"] for r in log_of(folder / part) if "loss" in r] == [*range(1, steps + 1)]
    first, alone = (log_of(path / "first") for path in (folder, tmp_path / "alone"))
    assert first[0] == alone[0]  # the first process, before the first step
    assert first[-1] != alone[-1]


def test_the_files_of_a_run_compute_what_the_network_computes(despeckler_config: Path, tmp_path: Path) -> None:
    train_recipe(despeckler_config, tmp_path / "run")
    network = build_despeckler(read_recipe(despeckler_config).parts[0].config.design)  # type: ignore[arg-type]
    load_weights(network, tmp_path / "run" / "weights.safetensors")
    image = np.random.default_rng(1).random((64, 72), np.float32)
    with torch.no_grad():
        expected = network.eval()(torch.from_numpy(image)[None, None])[0, 0].clamp(min=0).numpy()
    made = despeckle(image, str(tmp_path / "run"))
    inner = (slice(30, -30), slice(30, -30))  # the border is padded in one case, mirrored in the other
    assert np.abs(made[inner] - expected[inner]).max() < 1e-5
    with pytest.raises(ModelError, match="another network"):
        load_weights(PaperDespeckler(), tmp_path / "run" / "weights.safetensors")


@torch.no_grad()
def test_folding_batch_normalisation_changes_nothing() -> None:
    torch.manual_seed(0)
    network = PaperDespeckler("exponential").double()
    for _ in range(3):
        network(torch.rand(4, 1, 16, 16).double())  # gives the normalisations statistics
    network.eval()
    image = torch.rand(1, 1, 20, 20).double()
    plain = folded(network)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in plain.modules())
    assert torch.allclose(plain(image), network(image))


@pytest.mark.parametrize(
    ("patch", "complaint"),
    [
        (1024, r"data.train: a slide of 260 x 200 px; expected at least 1024 px a side, or a smaller patch"),
        (196, None),
    ],
)
def test_a_patch_larger_than_a_slide_is_refused(
    despeckler_config: Path, tmp_path: Path, patch: int, complaint: str | None
) -> None:
    text = despeckler_config.read_text().replace("patch = 32", f"patch = {patch}").replace("steps = 6", "steps = 1")
    despeckler_config.write_text(text)
    if complaint is None:
        assert train_recipe(despeckler_config, tmp_path / "run").is_complete
    else:
        with pytest.raises(ConfigError, match=complaint):
            train_recipe(despeckler_config, tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_a_training_starts_from_the_weights_of_another(despeckler_config: Path, tmp_path: Path, log_of: Log) -> None:
    train_recipe(despeckler_config, tmp_path / "run")
    text = (
        despeckler_config.read_text()
        .replace("steps = 6", "steps = 1")
        .replace("learning_rate = 1e-3", "learning_rate = 1e-9")
    )
    despeckler_config.write_text(f'start = "{(tmp_path / "run" / "weights.safetensors").as_posix()}"\n' + text)
    train_recipe(despeckler_config, tmp_path / "on")
    before, after = (log_of(tmp_path / name)[-1]["validation/psnr"] for name in ("run", "on"))
    assert after == pytest.approx(before, abs=1e-3)
