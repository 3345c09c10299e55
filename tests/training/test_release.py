import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from confostain import RESEARCH_USE, cli, despeckle
from confostain.errors import ConfigError, ModelError, OptionError, OutputError
from confostain.models.card import read_card
from confostain.models.registry import load_despeckler
from confostain.training import release as releasing
from confostain.training.chain import train_recipe
from confostain.training.release import is_model, release

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of lightning's and tensorboard's own imports
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

RECIPE = """
task = "despeckle"
seed = 11
steps = 3
batch = 2
patch = 32
median = true
validate_every = 3
[data]
train = ["phantom:1"]
validate = ["phantom:2"]
[design]
channels = [4, 8]
blocks = [1, 1]
[noise]
looks = [1.0, 80.0]
[release]
description = "a tiny despeckler"
licence = "Apache-2.0"
credit = "nobody"
failures = ["everything"]
calibration = { typical = 3, judged = 2, side = 96 }
evaluation = { fields = 2, side = 64, looks = [4] }
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs of one recipe with different seeds; not to be changed."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (11, 12):
        (folder / f"{seed}.toml").write_text(RECIPE.replace("seed = 11", f"seed = {seed}"))
        assert train_recipe(folder / f"{seed}.toml", folder / f"run-{seed}").is_complete
    return [folder / "run-11", folder / "run-12"]


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code as committed, now and when it trained."""
    monkeypatch.setattr(releasing, "commit", lambda: "abc")
    facts = releasing.run_facts
    monkeypatch.setattr(releasing, "run_facts", lambda folder: facts(folder) | {"commit": "abc"})


@pytest.mark.usefixtures("clean")
def test_a_despeckler_is_released_with_its_whole_card(runs: list[Path], tmp_path: Path) -> None:
    said: list[str] = []
    card = release(runs[:1], tmp_path / "m", say=said.append)
    assert card == read_card(tmp_path / "m")
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == [
        "card.json", "network.onnx", "weights.safetensors",
    ]  # fmt: skip
    assert (card.name, card.kind, card.input, card.median, card.stride) == ("m", "despeckler", "reflectance", True, 4)
    assert (card.description, card.licence, card.credit) == ("a tiny despeckler", "Apache-2.0", "nobody")
    assert (card.use, card.failures, card.commit) == (RESEARCH_USE, ("everything",), "abc")
    assert card.microns_per_pixel == (0.75, 0.75)
    assert card.data == "H&E, grey and inverted, 0.75 um/px: phantom:1"
    assert card.schedule == "3 steps of 2 patches of 32 px (32-true on 1 x cpu). Weights averaged over the steps"
    assert card.figures.keys() == {"measured_on", "psnr", "ssim"}
    assert card.figures["psnr"]["L = 4"] > 5  # type: ignore[index,call-overload,operator]
    assert card.config["release"] == {
        "calibration": {"typical": 3, "judged": 2, "side": 96},
        "evaluation": {"fields": 2, "side": 64, "looks": [4]},
    }
    assert {"i7"} <= card.precisions.keys()
    assert said == ["precisions: measured beside float32", "figures: measured on the validation slides"]
    image = np.random.default_rng(0).random((80, 90), np.float32)
    assert despeckle(image, load_despeckler(tmp_path / "m")).shape == image.shape


@pytest.mark.usefixtures("clean")
def test_several_runs_of_one_recipe_are_averaged(runs: list[Path], tmp_path: Path) -> None:
    card = release(runs, tmp_path / "m")
    assert card.schedule.endswith("Weights averaged over the steps; mean of 2 runs")
    one, other, mean = (load_file(folder / "weights.safetensors") for folder in (*runs, tmp_path / "m"))
    for name, value in mean.items():
        expected = (one[name].astype(np.float32) + other[name].astype(np.float32)) / 2
        np.testing.assert_allclose(value, expected, atol=1e-3)


@pytest.mark.usefixtures("clean")
def test_a_failure_on_the_way_leaves_nothing(runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> None:
        raise ModelError("does not run")

    for stage in ("calibrate", "evaluate", "read_card"):
        with monkeypatch.context() as patch:
            patch.setattr(releasing, stage, fail)
            with pytest.raises(ModelError):
                release(runs[:1], tmp_path / "m")
        assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("clean")
def test_a_model_is_replaced_only_when_asked_and_nothing_else_ever(runs: list[Path], tmp_path: Path) -> None:
    release(runs[:1], tmp_path / "m")
    with pytest.raises(OutputError, match="--overwrite"):
        release(runs[1:], tmp_path / "m")
    release(runs[1:], tmp_path / "m", overwrite=True)
    weights = [load_file(folder / "weights.safetensors") for folder in (runs[1], tmp_path / "m")]
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
    (tmp_path / "m" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="is a folder and no result"):
        release(runs[1:], tmp_path / "m", overwrite=True)
    assert not is_model(runs[0])


def test_changed_code_is_refused_unless_said(runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = releasing.run_facts
    for now, then, complaint in (
        ("abc-dirty", "abc", r"changed since its last commit \(abc-dirty\)"),
        ("abc", "def-dirty", r"changed when it trained \(def-dirty\)"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(releasing, "commit", lambda now=now: now)
            patch.setattr(releasing, "run_facts", lambda folder, then=then: facts(folder) | {"commit": then})
            with pytest.raises(OptionError, match=complaint + ".*--allow-dirty"):
                release(runs[:1], tmp_path / "m")
            assert not (tmp_path / "m").exists()
            card = release(runs[:1], tmp_path / "m", allow_dirty=True, overwrite=True)
            assert card.commit == f"{then}; released by {now}"
            shutil.rmtree(tmp_path / "m")
    monkeypatch.setattr(releasing, "commit", lambda: "unknown")  # outside a checkout
    monkeypatch.setattr(releasing, "run_facts", lambda folder: facts(folder) | {"commit": "unknown"})
    assert release(runs[:1], tmp_path / "m").commit == "unknown"


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("[release]", "[unreleased]", "unknown key 'unreleased'"),
        (RECIPE[RECIPE.index("[release]") :], "", r"there is no table \[release\]"),
        ("batch = 2", "batch = 3", "its recipe differs from that of"),
        ("phantom:2", "none.png", "its recipe differs from that of"),
        ("steps = 3", "steps = 4", "trained for 3 of 4 steps; finish it with train --resume"),
        ("side = 96", "side = 60", "release.calibration.side is 60; expected a whole number from 64"),
        ("side = 96", "side = 66", "release.calibration.side is 66; expected a multiple of 4 px"),
    ],
)
def test_what_cannot_be_released_is_refused(
    runs: list[Path], tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs[0], run)
    (run / "config.toml").write_text((run / "config.toml").read_text().replace(old, new))
    alone = "differs" not in complaint
    with pytest.raises(ConfigError, match=complaint):
        release([run] if alone else [runs[0], run], tmp_path / "m")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_the_command_says_what_it_made_and_refuses_what_is_no_run(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_:
            cli.main([str(argument) for argument in arguments])
        return int(exit_.value.code or 0), *capsys.readouterr()

    code, said, err = run("release", *runs, "-o", tmp_path / "m", "--allow-dirty")
    assert (code, err) == (0, "")
    assert said.splitlines()[-1].startswith(f"{tmp_path / 'm'}: despeckler, ")
    code, said, err = run("release", tmp_path, "-o", tmp_path / "n")
    assert (code, said) == (2, "")
    assert (
        err
        == f"confostain: {tmp_path / 'recipe.toml'}: cannot be read (No such file or directory); expected a TOML file\n"
    )
    assert json.loads((tmp_path / "m" / "card.json").read_text())["kind"] == "despeckler"
