"""The loop with both trainers: what it leaves, and that a break changes nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from confostain.data import pairs
from confostain.errors import ConfigError
from confostain.models.build import load_weights
from confostain.networks.generator import StainerDesign, build_generator
from confostain.training.chain import train_recipe
from confostain.training.recipe import read_recipe

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of lightning's and tensorboard's own imports
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

Log = Callable[[Path], list[dict[str, float]]]
Progress = Callable[[int, int], None]


@pytest.fixture(params=["despeckler", "faithful", "published"])
def config(request: pytest.FixtureRequest, despeckler_config: Path, stainer_config: Callable[..., Path]) -> Path:
    if request.param == "despeckler":
        return despeckler_config
    return stainer_config(request.param)


def raising(error: type[BaseException], step: int) -> Progress:
    def progress(done: int, total: int) -> None:
        if done == step:
            raise error

    return progress


def test_a_run_leaves_everything_that_it_should(config: Path, tmp_path: Path, log_of: Log) -> None:
    told: list[tuple[int, int]] = []
    outcome = train_recipe(config, tmp_path / "run", progress=lambda *steps: told.append(steps))
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {
        "config.toml", "run.json", "metrics.jsonl", "samples", "tensorboard", "checkpoint.pt",
        "weights.safetensors", "network.onnx", "card.json",
    }  # fmt: skip
    assert (outcome.done, outcome.is_complete) == (6, True)
    assert told == [(step, 6) for step in range(1, 7)]
    log = log_of(tmp_path / "run")
    validations = [record["step"] for record in log if any(key.startswith("validation/") for key in record)]
    assert validations == [2, 4, 6]
    assert [record["step"] for record in log] == [1, 2, 2, 3, 4, 4, 5, 6, 6]
    assert (tmp_path / "run" / "config.toml").read_text() == config.read_text()


def test_a_killed_run_resumes_to_the_same_losses_and_weights(config: Path, tmp_path: Path, log_of: Log) -> None:
    class Killed(Exception):
        pass

    train_recipe(config, tmp_path / "whole")
    with pytest.raises(Killed):
        train_recipe(config, tmp_path / "broken", progress=raising(Killed, 5))  # the checkpoint is of step 4
    pairs._region.cache_clear()
    train_recipe(config, tmp_path / "broken", resume=True)
    assert log_of(tmp_path / "broken") == log_of(tmp_path / "whole")
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("broken", "whole")]
    assert weights[0] == weights[1]


def test_an_interrupted_run_keeps_the_best_weights_so_far(stainer_config: Callable[..., Path], tmp_path: Path) -> None:
    config = stainer_config()
    with pytest.raises(KeyboardInterrupt):
        train_recipe(config, tmp_path / "early", progress=raising(KeyboardInterrupt, 1))
    assert not (tmp_path / "early" / "weights.safetensors").exists()  # nothing has been validated yet
    outcome = train_recipe(config, tmp_path / "late", progress=raising(KeyboardInterrupt, 5))
    assert (outcome.done, outcome.is_complete) == (5, False)
    network = build_generator(StainerDesign("resnet", blocks=(1,), width=2, stem="half"), 3)
    load_weights(network, tmp_path / "late" / "weights.safetensors")
    assert train_recipe(config, tmp_path / "late", resume=True).is_complete


def test_the_same_seed_gives_the_same_log_and_another_one_another(config: Path, tmp_path: Path, log_of: Log) -> None:
    for name in ("a", "b"):
        train_recipe(config, tmp_path / name)
    assert log_of(tmp_path / "a") == log_of(tmp_path / "b")
    config.write_text(config.read_text().replace("seed = 11", "seed = 12"))
    train_recipe(config, tmp_path / "c")
    assert log_of(tmp_path / "a") != log_of(tmp_path / "c")


def test_batches_drawn_ahead_are_the_same(config: Path, tmp_path: Path, log_of: Log) -> None:
    train_recipe(config, tmp_path / "here")
    train_recipe(config, tmp_path / "ahead", workers=2)
    assert log_of(tmp_path / "ahead") == log_of(tmp_path / "here")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_training_that_diverges_is_refused_and_leaves_no_model(config: Path, value: float, tmp_path: Path) -> None:
    part = read_recipe(config).parts[0].config
    weights = part.build().state_dict()
    weights[next(iter(weights))].fill_(value)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, tmp_path / "w.safetensors")
    config.write_text(f'start = "{(tmp_path / "w.safetensors").as_posix()}"\n' + config.read_text())
    with pytest.raises(
        ConfigError, match=r"step 2: the weights are no longer finite numbers; .*lower its learning_rate"
    ):
        train_recipe(config, tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoint.pt").exists()
    assert not (tmp_path / "run" / "card.json").exists()


def test_a_checkpoint_of_another_training_is_refused(
    despeckler_config: Path, stainer_config: Callable[..., Path], tmp_path: Path
) -> None:
    class Killed(Exception):
        pass

    config = stainer_config()
    train_recipe(despeckler_config, tmp_path / "other")
    with pytest.raises(Killed):
        train_recipe(config, tmp_path / "run", progress=raising(Killed, 3))
    whole = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    wrong_shape = whole | {"best_weights": {"body.1.weight": torch.zeros(3)}}
    for state in (torch.load(tmp_path / "other" / "checkpoint.pt", weights_only=True), wrong_shape, {"step": 2}):
        torch.save(state, tmp_path / "run" / "checkpoint.pt")
        with pytest.raises(ConfigError, match=r"checkpoint.pt: the checkpoint of another training or version; remove"):
            train_recipe(config, tmp_path / "run", resume=True)
