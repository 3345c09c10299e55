from pathlib import Path

import pytest

from confostain.training.despeckling import DespecklingConfig
from confostain.training.runs import load_config

FOLDER = Path(__file__).parents[2] / "configs"
DESPECKLERS = sorted([*FOLDER.glob("despeckler*.toml"), *FOLDER.glob("ablations/*.toml")])


@pytest.mark.parametrize("path", DESPECKLERS, ids=lambda path: path.stem)
def test_every_configuration_can_be_read(path: Path) -> None:
    config = load_config(path, DespecklingConfig)
    assert not set(config.data.train) & set(config.data.validate)


def test_the_papers_configuration_is_the_papers() -> None:
    config = load_config(FOLDER / "despeckler-paper.toml", DespecklingConfig)
    assert (config.design.body, config.design.head) == ("paper", "paper")
    assert (config.loss, config.learning_rate, config.patch) == ("squared", 5e-4, 256)
    assert config.noise.looks[0] == config.noise.looks[1]
