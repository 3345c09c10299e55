import json
import pickle
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from confostain.errors import ConfigError, OutputError
from confostain.training import run as runs
from confostain.training.run import Run, commit, load_checkpoint, run_facts


def test_the_log_is_lines_and_can_be_rewound(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.begin("seed = 3", {"seed": 3})
    for step in (1, 2, 3):
        run.log(step, {"loss": step / 2})
    run.sample(3, np.zeros((4, 5), np.uint8))
    run.finish(3)
    with run.metrics.open("a") as file:
        file.write('{"step": 4, "lo')  # what a kill leaves
    run.rewind(2)
    assert [json.loads(line) for line in run.metrics.read_text().splitlines()] == [
        {"step": 1, "loss": 0.5},
        {"step": 2, "loss": 1.0},
    ]
    facts = run_facts(run.folder)
    assert (facts["seed"], facts["steps"]) == (3, 3)
    assert facts["commit"] == commit()
    assert (run.folder / "config.toml").read_text() == "seed = 3"
    assert list((run.folder / "tensorboard").iterdir())
    assert [path.name for path in (run.folder / "samples").iterdir()] == ["0000003.png"]


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04", b"garbage" * 100, pickle.dumps({"step": print}), pickle.dumps({"step": 1})],
    ids=["empty", "truncated archive", "no archive", "pickled function", "pickle"],
)
def test_a_checkpoint_that_is_none_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"checkpoint.pt: .*; remove the folder") as refused:
        load_checkpoint(path, 5)
    assert "\n" not in str(refused.value)


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    torch.save({"step": 3, "weights": torch.rand(1000)}, path)
    assert load_checkpoint(path, 5)["step"] == 3
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ConfigError, match="not a checkpoint that can be read"):
        load_checkpoint(path, 5)


@pytest.mark.parametrize("state", [{"weights": 1}, {"step": 9}, {"step": 0}, {"step": "3"}, [1]], ids=repr)
def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path, state: object) -> None:
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(ConfigError, match="expected the checkpoint of a training of 5 steps"):
        load_checkpoint(tmp_path / "checkpoint.pt", 5)


def test_code_in_a_checkpoint_does_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (Path(tmp_path / "ran"),))

    torch.save({"step": Trap()}, tmp_path / "checkpoint.pt")
    with pytest.raises(ConfigError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "checkpoint.pt", 5)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (print, "it holds something other than tensors and numbers"),
        ({"step": Path("x")}, "it holds something other than tensors and numbers"),
        (None, "Is a directory"),
    ],
    ids=["function", "path", "folder"],
)
def test_why_a_checkpoint_is_refused(tmp_path: Path, state: object, reason: str) -> None:
    path = tmp_path / "checkpoint.pt"
    if state is None:
        path.mkdir()
    else:
        torch.save(state, path)
    with pytest.raises(ConfigError, match=rf"checkpoint.pt: not a checkpoint that can be read \({reason}\)"):
        load_checkpoint(path, 5)


@pytest.mark.parametrize(
    "log",
    [b"garbage\n", b"[1]\n", b"{}\n", b'{"step": "1"}\n', b"\xff\n", b"[" * 100_000 + b"\n", None],
    ids=["no JSON", "list", "no step", "text as step", "no UTF-8", "deep", "folder"],
)
def test_a_damaged_log_is_refused(tmp_path: Path, log: bytes | None) -> None:
    run = Run(tmp_path, resume=True)
    if log is None:
        run.metrics.mkdir()
    else:
        run.metrics.write_bytes(log)
    with pytest.raises(ConfigError, match=r"metrics.jsonl: not the log of a training .*; remove the folder") as refused:
        run.rewind(2)
    assert "\n" not in str(refused.value)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in ("file", "file/run", "file/run/part"):
        with pytest.raises(OutputError, match=r"samples: cannot be made \(.*\); expected a folder"):
            Run(tmp_path / place).begin("", {})
    assert (tmp_path / "file").is_file()


def test_damaged_facts_are_refused(tmp_path: Path) -> None:
    assert run_facts(tmp_path) == {}
    for text in ("{", "[1]", "\xff"):
        (tmp_path / "run.json").write_bytes(text.encode("latin-1"))
        with pytest.raises(ConfigError, match=r"run.json: "):
            run_facts(tmp_path)


def test_code_outside_a_checkout_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = tmp_path / "installed.py"
    code.write_text("")
    monkeypatch.setattr(runs, "__file__", str(code))
    assert commit() == "unknown"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "of somebody else"]):
        subprocess.run([*git, *command], check=True)
    assert commit() == "unknown"  # installed inside the checkout of something else
    subprocess.run([*git, "add", "installed.py"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], check=True)
    assert len(commit()) == 12
    code.write_text("changed")
    assert commit().endswith("-dirty")
