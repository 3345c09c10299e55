import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from confostain.data.prepare import prepare_confocal, prepare_histology
from confostain.data.split import PatchPlan
from confostain.errors import ConfigError, ConfostainWarning, ModelError
from confostain.models.build import load_weights
from confostain.networks.generator import StainerDesign, build_generator
from confostain.training import validation
from confostain.training.chain import train_recipe

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of lightning's and tensorboard's own imports
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

Log = Callable[[Path], list[dict[str, float]]]
Config = Callable[..., Path]


def test_cyclegan_logs_the_terms_of_both_ways(stainer_config: Config, tmp_path: Path, log_of: Log) -> None:
    train_recipe(stainer_config("published"), tmp_path / "run")
    assert log_of(tmp_path / "run")[0].keys() == {
        "step", "generator_loss", "generator_loss back", "cycle", "cycle back", "identity", "identity back",
        "discriminator_loss", "discriminator_loss back",
    }  # fmt: skip


def test_a_run_leaves_a_model_that_stains_without_torch(stainer_config: Config, tmp_path: Path) -> None:
    from confostain import stain

    train_recipe(stainer_config(despeckler='"despeckler"'), tmp_path / "run")
    card = json.loads((tmp_path / "run" / "card.json").read_text())
    assert (card["kind"], card["input"], card["despeckler"]) == ("stainer", "gareau", "despeckler")
    assert card["microns_per_pixel"] == [0.75, 0.75]
    pair = np.random.default_rng(0).random((2, 50, 70), np.float32)
    assert stain(pair, model=str(tmp_path / "run")).shape == (50, 70, 3)


def test_the_best_average_is_kept_and_not_the_last(
    stainer_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.1, 0.9, 0.2])
    kept: list[dict[str, torch.Tensor]] = []
    evaluate = validation.StainerValidation.evaluate

    def scored(self: validation.StainerValidation, stain: object) -> tuple[dict[str, float], NDArray[np.uint8]]:
        trainer = stain.__self__  # type: ignore[attr-defined]  # a bound method
        kept.append({name: value.clone() for name, value in trainer.average.state_dict().items()})
        measures, picture = evaluate(self, stain)  # type: ignore[arg-type]
        return measures | {"score": next(scores)}, picture

    monkeypatch.setattr(validation.StainerValidation, "evaluate", scored)
    train_recipe(stainer_config("supervised = 10\nadversarial = 0"), tmp_path / "run")
    network = build_generator(StainerDesign("resnet", blocks=(1,), width=2, stem="half"), 3)
    load_weights(network, tmp_path / "run" / "weights.safetensors")
    name = "body.1.weight"
    differences = [float((network.state_dict()[name] - one[name]).abs().max()) for one in kept]
    assert differences[1] < min(differences[0], differences[2])


def test_supervision_teaches(stainer_config: Config, tmp_path: Path, log_of: Log) -> None:
    """Sixty steps bring the result nearer to the truth."""
    rng = np.random.default_rng(3)
    rgb = np.where(rng.random((25, 25, 1)) < 0.2, (90, 60, 140), (230, 150, 190)).astype(np.uint8)
    path = tmp_path / "he.png"
    Image.fromarray(rgb.repeat(8, 0).repeat(8, 1)).save(path)
    config = stainer_config("supervised = 10\nadversarial = 0", path, ema_decay="0.5")
    text = config.read_text().replace("steps = 3", "steps = 30").replace("batch = 2", "batch = 4")
    config.write_text(text.replace("validate_every = 2", "validate_every = 60"))
    train_recipe(config, tmp_path / "run")
    losses = [record["supervised"] for record in log_of(tmp_path / "run") if "supervised" in record]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_a_despeckler_that_does_not_exist_is_named(stainer_config: Config, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'nobody'"):
        train_recipe(stainer_config(despeckler='"nobody"'), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_patch_larger_than_a_slide_is_refused(stainer_config: Config, tmp_path: Path) -> None:
    config = stainer_config()
    config.write_text(config.read_text().replace("patch = 64", "patch = 400"))
    with pytest.raises(ConfigError, match=r"260 x 200 px at 0.75 um/px; expected at least 400 px a side"):
        train_recipe(config, tmp_path / "run")


def test_real_scans_take_part_without_a_truth(
    stainer_config: Config, phantom_scan: Path, tmp_path: Path, log_of: Log
) -> None:
    with pytest.warns(ConfostainWarning, match="one slide cannot be split"):
        prepare_confocal([phantom_scan], tmp_path / "scans", PatchPlan(side=128))
    config = stainer_config()
    text = config.read_text()
    config.write_text(text.replace("[data]", f'[data]\nconfocal = "{(tmp_path / "scans").as_posix()}"'))
    train_recipe(config, tmp_path / "run")
    train_recipe(stainer_config(), tmp_path / "simulated only")
    first, other = (log_of(tmp_path / name)[0] for name in ("run", "simulated only"))
    assert first["supervised"] == pytest.approx(other["supervised"], rel=0.3)  # of the simulated half alone
    assert first["nuclei_correlation"] != other["nuclei_correlation"]  # scans are held to their own fluorescence


def test_stains_of_scans_are_held_to_given_colours(
    stainer_config: Config, phantom_scan: Path, tmp_path: Path, log_of: Log
) -> None:
    with pytest.warns(ConfostainWarning, match="one slide cannot be split"):
        prepare_confocal([phantom_scan], tmp_path / "scans", PatchPlan(side=64))  # smaller than a simulated region
    np.save(tmp_path / "colours.npy", np.full((500, 3), [0.3, 0.9, 0.5], np.float32))
    config = stainer_config("colour_distribution = 10\nadversarial = 0")
    files = {"confocal": tmp_path / "scans", "colours": tmp_path / "colours.npy"}
    lines = "".join(f'\n{key} = "{path.as_posix()}"' for key, path in files.items())
    text = re.sub(r"steps = \d+", "steps = 40", config.read_text().replace("[data]", "[data]" + lines))
    config.write_text(text.replace("learning_rate = ", "learning_rate = 0.01 #"))
    train_recipe(config, tmp_path / "run")
    log = [line["colour_distribution"] for line in log_of(tmp_path / "run") if "colour_distribution" in line]
    assert np.mean(log[-10:]) < 0.8 * np.mean(log[:10])


def test_the_last_average_is_kept_when_asked(stainer_config: Config, tmp_path: Path) -> None:
    train_recipe(stainer_config("supervised = 10\nadversarial = 0", keep='"last"'), tmp_path / "run")
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    network = build_generator(StainerDesign("resnet", blocks=(1,), width=2, stem="half"), 3)
    load_weights(network, tmp_path / "run" / "weights.safetensors")
    for name, value in network.state_dict().items():
        assert torch.equal(value, state["average"][name].half().to(value.dtype))


def test_a_folder_without_scans_is_named(stainer_config: Config, histology: Path, tmp_path: Path) -> None:
    with pytest.warns(ConfostainWarning, match="one slide cannot be split"):
        prepare_histology([histology], tmp_path / "he", PatchPlan(side=64, microns_per_pixel=0.75))
    config = stainer_config()
    config.write_text(config.read_text().replace("[data]", f'[data]\nconfocal = "{(tmp_path / "he").as_posix()}"'))
    with pytest.raises(ConfigError, match="expected confocal patches"):
        train_recipe(config, tmp_path / "run")
