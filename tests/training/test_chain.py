"""The way from a recipe to a model, broken at every place where it can be."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from safetensors.numpy import load_file, save_file

from confostain import cli
from confostain.errors import ConfigError, ConfostainWarning, OptionError, OutputError
from confostain.training import chain
from confostain.training.chain import train_recipe
from confostain.training.recipe import read_recipe
from confostain.training.release import release
from confostain.training.run import Run

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of lightning's and tensorboard's own imports
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

TINY = Path(__file__).parents[2] / "recipes" / "tiny.toml"
PARTS = ("first", "second")

Stalled = Callable[..., subprocess.Popen[str]]


class Killed(Exception):
    """Ends a training as a signal would."""


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a call."""
    with pytest.raises(SystemExit) as exit_:
        cli.main([str(argument) for argument in arguments])
    return int(exit_.value.code or 0), *capsys.readouterr()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of the tiny recipe without a break; not to be changed."""
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    assert train_recipe(TINY, folder).is_complete
    return folder


def weights(folder: Path) -> list[bytes]:
    return [(folder / part / "weights.safetensors").read_bytes() for part in PARTS]


def test_a_recipe_becomes_a_model_that_stains_though_killed_in_each_part_and_in_the_release(
    unbroken: Path, phantom_scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], stalled: Stalled
) -> None:
    folder, model, out = tmp_path / "r", tmp_path / "m", tmp_path / "x.ome.tif"
    train = ("train", TINY, "-o", folder)
    step = "confostain.training.stainer:StainerTrainer.train_step"
    stalled(step, 6, "confostain.cli", *train).kill()  # in the first part, whose checkpoint is of step 4
    stalled(step, 4 + 6, "confostain.cli", *train, "--resume").kill()  # in the second part, likewise
    assert run(capsys, *train, "--resume")[:2] == (0, f"{folder}: trained, 16 steps\n")
    assert weights(folder) == weights(unbroken)

    make = ("release", folder, "-o", model, "--allow-dirty")
    stalled("confostain.training.release:calibrate", 1, "confostain.cli", *make).kill()
    assert not model.exists()
    assert run(capsys, *make)[0] == 0
    assert run(capsys, "stain", phantom_scan, "--model", model, "-o", out)[0] == 0
    assert tifffile.imread(out).shape == (523, 700, 3)

    first, second, mixed = (
        load_file(path / "weights.safetensors") for path in (folder / "first", folder / "second", model)
    )
    for name, value in mixed.items():
        mean = np.float32(0.3) * first[name].astype(np.float32) + np.float32(0.7) * second[name].astype(np.float32)
        np.testing.assert_allclose(value, mean, atol=1e-3)


@pytest.mark.parametrize(
    ("owner", "name", "call"),
    [
        (Run, "begin", 1), (Run, "begin", 2), (Run, "finish", 1), (Run, "finish", 2), (chain, "save_model", 1),
        (chain, "save_model", 2), (chain, "launched", 2),
    ],
)  # fmt: skip
def test_a_break_anywhere_changes_nothing(
    owner: Any, name: str, call: int, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = getattr(owner, name), 0

    def dying(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise Killed
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, dying)
    with pytest.raises(Killed):
        train_recipe(TINY, tmp_path / "run")
    assert train_recipe(TINY, tmp_path / "run", resume=(tmp_path / "run").exists()).is_complete
    assert weights(tmp_path / "run") == weights(unbroken)


def test_a_complete_part_is_not_trained_again(unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    shutil.copytree(unbroken, folder)
    shutil.rmtree(folder / "second")
    trained: list[str] = []
    monkeypatch.setattr(chain, "train", lambda trainer, run, *rest: trained.append(run.folder.name) or 0)
    train_recipe(TINY, folder, resume=True)
    assert trained == ["second"]


def test_progress_is_that_of_all_parts(unbroken: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(unbroken, folder)
    shutil.rmtree(folder / "second")
    told: list[tuple[int, int]] = []
    train_recipe(TINY, folder, resume=True, progress=lambda *steps: told.append(steps))
    assert told == [(step, 16) for step in range(9, 17)]
    told.clear()
    assert train_recipe(TINY, folder, resume=True, progress=lambda *steps: told.append(steps)).is_complete
    assert told == []


def test_a_part_begins_with_the_mean_that_it_names(tmp_path: Path) -> None:
    for name, value in (("first", 1.0), ("second", 3.0)):
        (tmp_path / name).mkdir()
        save_file({"a": np.full(2, value, np.float16)}, tmp_path / name / "weights.safetensors")
    recipe = tmp_path / "recipe.toml"
    parts = 'name = "second"\nstages = [{ steps = 1, patch = 64 }]\n'
    parts += '[[parts]]\nname = "third"\nmix = [["first", 0.25], ["second", 0.75]]'
    recipe.write_text(TINY.read_text().replace('name = "second"', parts))
    first, second, third = read_recipe(recipe).parts
    assert chain.start_of(first, tmp_path) is None
    for part, value in ((second, 1.0), (third, 2.5)):
        start = chain.start_of(part, tmp_path)
        assert start is not None
        assert start["a"].tolist() == [value, value]


def test_an_interruption_ends_the_chain_and_keeps_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(trainer: Any, run: Run, *rest: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(chain, "train", interrupt)
        code, said, err = run(capsys, "train", TINY, "-o", tmp_path / "early")
    assert (code, said, err) == (1, "", "confostain: interrupted\n")
    with monkeypatch.context() as patch:
        patch.setattr(chain, "train", lambda trainer, run, *rest: 5)
        code, said, err = run(capsys, "train", TINY, "-o", tmp_path / "late")
    assert (code, said) == (1, "")
    assert "interrupted after 5 of 16 steps" in err
    assert (tmp_path / "late" / "first" / "weights.safetensors").exists()
    assert not (tmp_path / "late" / "second").exists()
    with pytest.raises(ConfigError, match=r"first: trained for 5 of 8 steps; finish it with train --resume"):
        release([tmp_path / "late"], tmp_path / "m", allow_dirty=True)


def test_a_run_is_neither_overwritten_nor_resumed_with_another_recipe(unbroken: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(OutputError, match="holds no run to resume"):
        train_recipe(TINY, folder, resume=True)
    assert not folder.exists()
    shutil.copytree(unbroken, folder)
    with pytest.raises(OutputError, match="--resume"):
        train_recipe(TINY, folder)
    other = tmp_path / "other.toml"
    other.write_text(TINY.read_text().replace("seed = 2", "seed = 3"))
    with pytest.raises(ConfigError, match="differs"):
        train_recipe(other, folder, resume=True)
    other.write_text("# what it says of the release may change\n" + TINY.read_text().replace("far from", "not"))
    assert train_recipe(other, folder, resume=True).is_complete
    assert (folder / "recipe.toml").read_text() == other.read_text()


def test_a_number_of_workers_that_cannot_be_is_refused(tmp_path: Path) -> None:
    for workers in (-1, 3, 16):
        with pytest.raises(OptionError, match=f"{workers} workers: expected 0, 1, 2, 4 or 8"):
            train_recipe(TINY, tmp_path / "run", workers=workers)


def test_the_old_words_train_one_network(
    despeckler_config: Path, stainer_config: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = despeckler_config.read_text().replace('task = "despeckle"\n', "").replace("log_every", "record_every")
    despeckler_config.write_text(old)
    code, said, err = run(capsys, "train", "despeckler", "--config", despeckler_config, "-o", tmp_path / "d")
    assert (code, said) == (0, f"{tmp_path / 'd'}: trained, 6 steps\n")
    assert err.count("\n") == 1
    assert "record_every (now log_every)" in err
    assert json.loads((tmp_path / "d" / "card.json").read_text())["kind"] == "despeckler"
    code, _, err = run(capsys, "train", "swift", "--config", stainer_config(), "-o", tmp_path / "s")
    assert (code, err) == (
        0,
        "confostain: train swift does the same as train stainer; use that, or give the recipe alone\n",
    )
    assert json.loads((tmp_path / "s" / "card.json").read_text())["kind"] == "stainer"
    with pytest.warns(ConfostainWarning, match="record_every"):
        assert train_recipe(despeckler_config, tmp_path / "d", task="despeckle", resume=True).is_complete


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{tmp}/none.toml"], "none.toml: cannot be read"),
        (["{tmp}"], "cannot be read"),
        (["swift"], "give one with --config FILE"),
        (["painter", "--config", "x.toml"], "expected despeckler, stainer, swift before --config"),
        (["despeckler", "--config", str(TINY)], "task is 'stain'; expected 'despeckle'"),
        ([str(TINY), "--workers", "-1"], "-1 workers"),
        ([str(TINY), "--resume"], "holds no run to resume"),
        ([str(TINY), "--workers", "nan"], "invalid int value: 'nan'"),
    ],
)
def test_bad_input_gets_one_line_and_leaves_nothing(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = (argument.format(tmp=tmp_path) for argument in arguments)
    code, out, err = run(capsys, "train", *given, "-o", tmp_path / "run")
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_data_that_is_not_there_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(TINY.read_text().replace('"phantom:2"', '"none.tif"'))
    code, out, err = run(capsys, "train", recipe, "-o", tmp_path / "run")
    assert (code, out) == (2, "")
    assert "none.tif: no such file" in err
    assert not (tmp_path / "run").exists()


def test_a_damaged_checkpoint_is_one_line(unbroken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    shutil.copytree(unbroken, folder)
    (folder / "second" / "run.json").unlink()
    (folder / "second" / "checkpoint.pt").write_bytes(b"")
    code, out, err = run(capsys, "train", TINY, "-o", folder, "--resume")
    assert (code, out) == (2, "")
    assert "checkpoint.pt: not a checkpoint that can be read" in err
    assert err.count("\n") == 1
