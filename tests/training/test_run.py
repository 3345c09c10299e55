import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from confostain.errors import ConfigError, OutputError
from confostain.training.run import Run, load_config


@dataclass(frozen=True)
class Inner:
    ends: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class Outer:
    name: str
    steps: int = 3
    rate: float = 0.5
    kind: Literal["a", "b"] = "a"
    start: str | None = None
    inner: Inner = Inner()


def written(folder: Path, text: str) -> Path:
    path = folder / "c.toml"
    path.write_text(text)
    return path


def test_a_config_fills_its_dataclass(tmp_path: Path) -> None:
    text = 'name = "x"\nrate = 2\nkind = "b"\nstart = "w"\n[inner]\nends = [1, 2.5]\n'
    assert load_config(written(tmp_path, text), Outer) == Outer("x", 3, 2.0, "b", "w", Inner((1.0, 2.5)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "x"\nstep = 3', "unknown key 'step'"),
        ('name = "x"\n[inner]\nend = 3', "unknown key 'end'"),
        ("steps = 3", "'name' is missing"),
        ('name = "x"\nsteps = 3.5', "steps is 3.5; expected int"),
        ('name = "x"\nsteps = true', "steps is True"),
        ('name = "x"\nrate = "fast"', "expected float"),
        ('name = "x"\nkind = "c"', "expected 'a' or 'b'"),
        ('name = "x"\n[inner]\nends = [1, 2, 3]', "ends"),
        ("name = ", "not valid TOML"),
    ],
)
def test_a_wrong_config_is_refused_with_the_reason(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(written(tmp_path, text), Outer)


def test_a_missing_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.toml", Outer)


def test_a_run_is_neither_overwritten_nor_resumed_with_another_config(tmp_path: Path) -> None:
    folder, config = tmp_path / "run", written(tmp_path, 'name = "x"')
    with pytest.raises(OutputError, match="no run to resume"):
        Run(folder, config, resume=True)
    Run(folder, config, resume=False)
    with pytest.raises(OutputError, match="--resume"):
        Run(folder, config, resume=False)
    Run(folder, config, resume=True)
    with pytest.raises(ConfigError, match="differs"):
        Run(folder, written(tmp_path, 'name = "y"'), resume=True)


def test_records_are_lines_and_can_be_rewound(tmp_path: Path) -> None:
    run = Run(tmp_path / "run", written(tmp_path, 'name = "x"'), resume=False)
    run.describe({"seed": 3})
    for step in (1, 2, 3):
        run.record(step, {"loss": step / 2})
    run.sample(3, np.zeros((4, 5), np.uint8))
    run.close()
    with run.metrics.open("a") as file:
        file.write('{"step": 4, "lo')  # what a kill leaves
    run.rewind(2)
    assert [json.loads(line) for line in run.metrics.read_text().splitlines()] == [
        {"step": 1, "loss": 0.5},
        {"step": 2, "loss": 1.0},
    ]
    facts = json.loads((run.folder / "run.json").read_text())
    assert facts["seed"] == 3
    assert facts["commit"]
    assert list((run.folder / "tensorboard").iterdir())
    assert [path.name for path in (run.folder / "samples").iterdir()] == ["0000003.png"]
