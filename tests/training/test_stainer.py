import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from confostain.data import pairs
from confostain.data.prepare import prepare_confocal, prepare_histology
from confostain.data.split import PatchPlan
from confostain.errors import ConfigError, ConfostainWarning, ModelError
from confostain.models.build import load_weights
from confostain.networks.generator import StainerDesign, build_generator
from confostain.training import stainer_trainer as stain_player
from confostain.training import validation as stain_trial
from confostain.training.run import launched, load_config
from confostain.training.stainer import Stage, StainingConfig, train_stainer
from confostain.training.stainer_trainer import ImagePool

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of lightning's and tensorboard's own imports
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

FAITHFUL = (
    "adversarial = 0.5\nwitnessed = true\nsupervised = 10\nresemblance = 1\nstructure = 0.1\ntexture = 0.1\ncontent = 1"
)
PUBLISHED = "adversarial = 1\ncycle = 10\nidentity = 5"


@pytest.fixture(autouse=True)
def small_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pairs, stain_trial):
        monkeypatch.setattr(module, "REGION", 96)


def written(folder: Path, histology: Path, objective: str, **keys: str) -> Path:
    """A configuration of six steps in two stages."""
    settings = {"input": '"gareau"', "pool": "3", "critic_width": "4", "averaging": "0.9"} | keys
    lines = "\n".join(f"{key} = {value}" for key, value in settings.items())
    path = folder / "config.toml"
    path.write_text(f"""
seed = 11
record_every = 1
look_every = 2
{lines}

[data]
train = ["{histology}"]
validate = ["{histology}"]

[design]
body = "resnet"
width = 2
blocks = [1]
stem = "half"
norm = "batch"

[objective]
{objective}

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


def records(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("objective", [FAITHFUL, PUBLISHED], ids=["faithful", "published"])
def test_a_killed_run_resumes_to_the_same_losses(histology: Path, tmp_path: Path, objective: str) -> None:
    config = written(tmp_path, histology, objective)
    train_stainer(config, tmp_path / "whole")

    class Killed(Exception):
        pass

    def kill(done: int, total: int) -> None:
        if done == 5:  # the checkpoint is of step 4
            raise Killed

    with pytest.raises(Killed):
        train_stainer(config, tmp_path / "broken", progress=kill)
    pairs._region.cache_clear()
    train_stainer(config, tmp_path / "broken", resume=True)
    assert records(tmp_path / "broken") == records(tmp_path / "whole")
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("broken", "whole")]
    assert weights[0] == weights[1]


def test_an_interrupted_run_keeps_the_best_weights_so_far(histology: Path, tmp_path: Path) -> None:
    config = written(tmp_path, histology, FAITHFUL)

    def interrupt_after(step: int) -> Callable[[int, int], None]:
        def progress(done: int, total: int) -> None:
            if done == step:
                raise KeyboardInterrupt

        return progress

    with pytest.raises(KeyboardInterrupt):
        train_stainer(config, tmp_path / "early", progress=interrupt_after(1))
    assert not (tmp_path / "early" / "weights.safetensors").exists()  # nothing has been judged yet
    assert train_stainer(config, tmp_path / "late", progress=interrupt_after(5)) == 5
    network = build_generator(load_config(config, StainingConfig).design, 3)
    load_weights(network, tmp_path / "late" / "weights.safetensors")


def test_speckle_is_taken_out_of_the_reflectance_alone(
    histology: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Flat(torch.nn.Module):
        def forward(self, noisy: torch.Tensor) -> torch.Tensor:
            return torch.full_like(noisy, 1.25)

    monkeypatch.setattr(stain_player, "_despeckler", lambda name: Flat())
    config = load_config(written(tmp_path, histology, FAITHFUL, despeckler='"despeckler"'), StainingConfig)
    pair = torch.rand(1, 2, 32, 32)
    cleaned = stain_player.Player(config, launched(1, "32-true"))._cleaned(pair)
    assert (cleaned[:, 0] == 1).all()  # no brighter than the range
    assert torch.equal(cleaned[:, 1], pair[:, 1])


def test_batches_drawn_ahead_are_the_same(histology: Path, tmp_path: Path) -> None:
    config = written(tmp_path, histology, FAITHFUL)
    train_stainer(config, tmp_path / "here")
    train_stainer(config, tmp_path / "ahead", workers=2)
    assert records(tmp_path / "ahead") == records(tmp_path / "here")


def test_a_run_leaves_a_model_that_stains_without_torch(histology: Path, tmp_path: Path) -> None:
    from confostain import stain

    train_stainer(written(tmp_path, histology, FAITHFUL, despeckler='"despeckler"'), tmp_path / "run")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {
        "config.toml", "run.json", "metrics.jsonl", "samples", "tensorboard", "checkpoint.pt",
        "weights.safetensors", "network.onnx", "card.json",
    }  # fmt: skip
    card = json.loads((tmp_path / "run" / "card.json").read_text())
    assert (card["kind"], card["input"], card["despeckler"]) == ("stainer", "gareau", "despeckler")
    pair = np.random.default_rng(0).random((2, 50, 70), np.float32)
    assert stain(pair, model=str(tmp_path / "run")).shape == (50, 70, 3)


def test_the_same_seed_gives_the_same_losses_and_another_one_others(histology: Path, tmp_path: Path) -> None:
    config = written(tmp_path, histology, FAITHFUL)
    for name in ("a", "b"):
        train_stainer(config, tmp_path / name)
    assert records(tmp_path / "a") == records(tmp_path / "b")
    config.write_text(config.read_text().replace("seed = 11", "seed = 12"))
    train_stainer(config, tmp_path / "c")
    assert records(tmp_path / "a") != records(tmp_path / "c")


def test_the_best_average_is_kept_and_not_the_last(
    histology: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.1, 0.9, 0.2])
    kept: list[dict[str, torch.Tensor]] = []
    judge = stain_trial.Trial.judge

    def scored(self: stain_trial.Trial, stain: object) -> tuple[dict[str, float], NDArray[np.uint8]]:
        player = stain.__self__  # type: ignore[attr-defined]  # a bound method
        kept.append({name: value.clone() for name, value in player.average.state_dict().items()})
        verdict, picture = judge(self, stain)  # type: ignore[arg-type]
        return verdict | {"score": next(scores)}, picture

    monkeypatch.setattr(stain_trial.Trial, "judge", scored)
    train_stainer(written(tmp_path, histology, "supervised = 10\nadversarial = 0"), tmp_path / "run")
    network = build_generator(StainerDesign("resnet", blocks=(1,), width=2, stem="half"), 3)
    load_weights(network, tmp_path / "run" / "weights.safetensors")
    name = "body.1.weight"
    differences = [float((network.state_dict()[name] - one[name]).abs().max()) for one in kept]
    assert differences[1] < min(differences[0], differences[2])


def test_supervision_teaches(tmp_path: Path) -> None:
    """Sixty steps bring what is made nearer to the truth."""
    rng = np.random.default_rng(3)
    rgb = np.where(rng.random((25, 25, 1)) < 0.2, (90, 60, 140), (230, 150, 190)).astype(np.uint8)
    path = tmp_path / "he.png"
    Image.fromarray(rgb.repeat(8, 0).repeat(8, 1)).save(path)
    config = written(tmp_path, path, "supervised = 10\nadversarial = 0", averaging="0.5")
    config.write_text(config.read_text().replace("steps = 3", "steps = 30").replace("batch = 2", "batch = 4"))
    train_stainer(config, tmp_path / "run")
    losses = [record["supervised"] for record in records(tmp_path / "run") if "supervised" in record]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("patch = 32", "patch = 30", "patch that 4 divides"),
        ("seed = 11", "sed = 11", "unknown key 'sed'"),
        ('input = "gareau"', 'input = "pair"', "between colour images"),
        ("steps = 3", "steps = 0", "positive numbers"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(
    histology: Path, tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    config = written(tmp_path, histology, PUBLISHED)
    config.write_text(config.read_text().replace(old, new))
    with pytest.raises(ConfigError, match=complaint):
        train_stainer(config, tmp_path / "run")


def test_a_despeckler_that_does_not_exist_is_named(histology: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'nobody'"):
        train_stainer(written(tmp_path, histology, FAITHFUL, despeckler='"nobody"'), tmp_path / "run")


def test_stages_follow_each_other(histology: Path, tmp_path: Path) -> None:
    config = load_config(written(tmp_path, histology, PUBLISHED), StainingConfig)
    assert [config.stage(step)[0].patch for step in range(6)] == [32, 32, 32, 64, 64, 64]
    assert [config.stage(step)[1] for step in range(6)] == [0, 1, 2, 0, 1, 2]


def test_learning_rates_fall_as_told() -> None:
    assert [Stage(4, learning_rate=1.0).rate(step) for step in range(4)] == [1, 1, 1, 1]
    assert [Stage(4, learning_rate=1.0, decay="linear").rate(step) for step in range(4)] == [1, 0.75, 0.5, 0.25]
    assert Stage(4, learning_rate=1.0, decay="cosine").rate(2) == pytest.approx(0.5)


def test_the_pool_shows_earlier_images() -> None:
    pool, rng = ImagePool(2), np.random.default_rng(0)
    batches = [torch.full((2, 1, 2, 2), float(number)) for number in range(6)]
    shown = [pool.exchanged(batch, rng).flatten(1).mean(1).tolist() for batch in batches]
    assert shown[0] == [0, 0]  # it fills first
    assert any(value < number for number, batch in enumerate(shown) for value in batch)
    assert len(pool.images) == 2


def test_real_scans_take_part_without_a_truth(histology: Path, phantom_scan: Path, tmp_path: Path) -> None:
    with pytest.warns(ConfostainWarning, match="one slide cannot be split"):
        prepare_confocal([phantom_scan], tmp_path / "scans", PatchPlan(side=128))
    config = written(tmp_path, histology, FAITHFUL)
    config.write_text(config.read_text().replace("[data]", f'[data]\nconfocal = "{tmp_path / "scans"}"'))
    train_stainer(config, tmp_path / "run")
    without = written(tmp_path, histology, FAITHFUL)
    train_stainer(without, tmp_path / "simulated only")
    first, other = (records(tmp_path / name)[0] for name in ("run", "simulated only"))
    assert first["supervised"] == pytest.approx(other["supervised"], rel=0.3)  # of the simulated half alone
    assert first["content"] != other["content"]  # the scans are held to their own fluorescence


def test_a_folder_without_scans_is_named(histology: Path, tmp_path: Path) -> None:
    with pytest.warns(ConfostainWarning, match="one slide cannot be split"):
        prepare_histology([histology], tmp_path / "he", PatchPlan(side=64, microns_per_pixel=0.75))
    config = written(tmp_path, histology, FAITHFUL)
    config.write_text(config.read_text().replace("[data]", f'[data]\nconfocal = "{tmp_path / "he"}"'))
    with pytest.raises(ConfigError, match="expected confocal patches"):
        train_stainer(config, tmp_path / "run")
