import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from confostain.errors import ConfigError, ModelError
from confostain.inference.despeckle import despeckle
from confostain.models.build import load_weights
from confostain.models.export import folded
from confostain.networks.despeckler import PaperDespeckler, build_despeckler
from confostain.training import losses
from confostain.training.despeckler import DespecklingConfig, train_despeckler
from confostain.training.run import load_config

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of lightning's and tensorboard's own imports
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


def records(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_run_leaves_everything_that_it_should(config: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    train_despeckler(config, tmp_path / "run", progress=lambda *steps: told.append(steps))
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {
        "config.toml", "run.json", "metrics.jsonl", "samples", "tensorboard", "checkpoint.pt",
        "weights.safetensors", "network.onnx", "card.json",
    }  # fmt: skip
    assert told == [(step, 6) for step in range(1, 7)]
    assert [r["step"] for r in records(tmp_path / "run") if "loss" in r] == [1, 2, 3, 4, 5, 6]
    assert [r["step"] for r in records(tmp_path / "run") if "psnr" in r] == [2, 4, 6]


def test_the_same_seed_gives_the_same_losses_and_another_one_others(config: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        train_despeckler(config, tmp_path / name)
    assert records(tmp_path / "a") == records(tmp_path / "b")
    config.write_text(config.read_text().replace("seed = 11", "seed = 12"))
    train_despeckler(config, tmp_path / "c")
    assert records(tmp_path / "a") != records(tmp_path / "c")


@pytest.mark.parametrize("adversarial", [0.0, 0.01])
def test_a_killed_run_resumes_to_the_same_losses(config: Path, tmp_path: Path, adversarial: float) -> None:
    config.write_text(f"adversarial = {adversarial}\n" + config.read_text())
    train_despeckler(config, tmp_path / "whole")

    class Killed(Exception):
        pass

    def kill(done: int, total: int) -> None:
        if done == 5:  # the checkpoint is of step 4
            raise Killed

    with pytest.raises(Killed):
        train_despeckler(config, tmp_path / "broken", progress=kill)
    train_despeckler(config, tmp_path / "broken", resume=True)
    assert records(tmp_path / "broken") == records(tmp_path / "whole")
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("broken", "whole")]
    assert weights[0] == weights[1]


def test_a_run_that_the_system_kills_can_be_resumed(config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text().replace("steps = 6", "steps = 1000"))
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "confostain.cli", "train", "despeckler", "--config", config, "-o", folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        end = time.monotonic() + 50
        while not (folder / "checkpoint.pt").exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        process.kill()
    assert (folder / "checkpoint.pt").exists()
    saved = torch.load(folder / "checkpoint.pt", weights_only=True)["step"]

    class Enough(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == saved + 2:
            raise Enough

    with pytest.raises(Enough):
        train_despeckler(config, folder, resume=True, progress=stop)
    steps = [r["step"] for r in records(folder) if "loss" in r]
    assert steps == list(range(1, saved + 3))


def test_two_processes_train_one_network(config: Path, tmp_path: Path) -> None:
    """As on two GPUs: Lightning Fabric starts the second process and averages the gradients."""
    script, folder = tmp_path / "train.py", tmp_path / "run"
    script.write_text(f"""
from pathlib import Path
import lightning.fabric
from functools import partial
lightning.fabric.Fabric = partial(lightning.fabric.Fabric, accelerator="cpu", devices=2, strategy="ddp")
from confostain.training.despeckler import train_despeckler
train_despeckler(Path({str(config)!r}), Path({str(folder)!r}))
""")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=55, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "run.json").read_text())["devices"] == 2
    assert [r["step"] for r in records(folder) if "loss" in r] == [1, 2, 3, 4, 5, 6]
    train_despeckler(config, tmp_path / "alone")
    assert records(folder)[0] == records(tmp_path / "alone")[0]  # the first process, before the first step
    assert records(folder)[-1] != records(tmp_path / "alone")[-1]


def test_the_files_of_a_run_compute_what_the_network_computes(config: Path, tmp_path: Path) -> None:
    train_despeckler(config, tmp_path / "run")
    network = build_despeckler(load_config(config, DespecklingConfig).design)
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


def test_a_patch_that_does_not_fit_is_refused(config: Path) -> None:
    config.write_text(config.read_text().replace("patch = 32", "patch = 33"))
    with pytest.raises(ConfigError, match="a patch that 4 divides"):
        load_config(config, DespecklingConfig)


def test_losses() -> None:
    clean = torch.zeros(2, 1, 8, 8)
    made = clean + torch.tensor([0.1, 0.01]).reshape(2, 1, 1, 1)
    assert losses.squared_error(made, clean).item() == pytest.approx((1e-2 + 1e-4) / 2)
    assert losses.decibel_error(made, clean).item() == pytest.approx((-20 - 38.2) / 2, abs=0.1)
    assert losses.total_variation(made).item() == 0
    stripes = torch.tensor([0.0, 1.0] * 4).expand(1, 1, 8, 8)
    assert losses.total_variation(stripes).item() == 1
    ones, zeros = torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    assert losses.discriminator_loss(ones, zeros).item() == 0
    assert losses.generator_loss(zeros).item() == 1
