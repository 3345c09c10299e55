from pathlib import Path

import pytest

from confostain.training.despeckler import DespecklingConfig
from confostain.training.run import load_config
from confostain.training.stainer import StainingConfig

FOLDER = Path(__file__).parents[2] / "configs"
STAINERS = sorted(path for path in FOLDER.rglob("*.toml") if "[[stages]]" in path.read_text())
DESPECKLERS = sorted(set(FOLDER.rglob("*.toml")) - set(STAINERS))


@pytest.mark.parametrize("path", DESPECKLERS, ids=lambda path: path.stem)
def test_every_configuration_can_be_read(path: Path) -> None:
    config = load_config(path, DespecklingConfig)
    assert not set(config.data.train) & set(config.data.validate)


def test_the_papers_configuration_is_the_papers() -> None:
    config = load_config(FOLDER / "despeckler-paper.toml", DespecklingConfig)
    assert (config.design.body, config.design.head) == ("paper", "paper")
    assert (config.loss, config.learning_rate, config.patch) == ("squared", 5e-4, 256)
    assert config.noise.looks[0] == config.noise.looks[1]


@pytest.mark.parametrize("path", STAINERS, ids=lambda path: path.stem)
def test_every_configuration_of_a_stainer_can_be_read(path: Path) -> None:
    config = load_config(path, StainingConfig)
    assert not set(config.data.train) & set(config.data.validate)


def test_the_papers_stainer_is_the_papers() -> None:
    config = load_config(FOLDER / "cyclegan-paper.toml", StainingConfig)
    assert (config.design.body, config.design.width, config.design.blocks) == ("resnet", 64, (9,))
    aim = config.objective
    assert (aim.adversarial, aim.cycle, aim.identity, aim.supervised, aim.content) == (1, 10, 5, 0, 0)
    assert [(stage.steps, stage.patch, stage.learning_rate, stage.decay) for stage in config.stages] == [
        (50 * 759, 256, 2e-4, "none"),
        (50 * 759, 512, 2e-4, "linear"),
    ]
    assert (config.input, config.pool) == ("gareau", 50)
