import tomllib
from pathlib import Path
from typing import Any

import pytest

from confostain.errors import ConfigError
from confostain.models.registry import list_models
from confostain.training.despeckler_config import DespecklerConfig
from confostain.training.recipe import Recipe, merged, read_recipe, toml_text
from confostain.training.stainer_config import StainerConfig

FOLDER = Path(__file__).parents[2] / "recipes"

CHAIN = """
task = "stain"
seed = 5
start = "swift"
[data]
train = ["phantom:1"]
validate = ["phantom:2"]
[objective]
supervised = 10
ssim = 2
[[parts]]
name = "first"
stages = [{ steps = 3 }]
[[parts]]
name = "second"
objective = { ssim = 5 }
stages = [{ steps = 4 }]
[[parts]]
name = "third"
seed = 6
mix = [["first", 0.25], ["second", 0.75]]
stages = [{ steps = 5 }]
[release]
description = "d"
licence = "l"
"""


def read(folder: Path, text: str) -> Recipe:
    (folder / "recipe.toml").write_text(text)
    return read_recipe(folder / "recipe.toml")


def stainer(name: str, part: int = 0) -> StainerConfig:
    config = read_recipe(FOLDER / name).parts[part].config
    assert isinstance(config, StainerConfig)
    return config


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_can_be_read(path: Path) -> None:
    for part in read_recipe(path).parts:
        assert not set(part.config.data.train) & set(part.config.data.validate)


def test_every_shipped_model_has_a_recipe_that_makes_such_a_model() -> None:
    for card in list_models():
        if card.kind != "closed form":
            recipe = read_recipe(FOLDER / f"{card.name}.toml")
            assert recipe.release is not None
            assert recipe.task == card.task
            fields = recipe.parts[-1].config.card_fields()
            design = {
                key: list(value) if isinstance(value, tuple) else value for key, value in fields["design"].items()
            }
            assert design == card.design
            assert fields["input"] == card.input
            assert fields.get("despeckler") == card.despeckler
            assert fields.get("median", False) == card.median
            assert fields["microns_per_pixel"] == list(card.microns_per_pixel or ())
            assert recipe.release.failures == card.failures
            assert recipe.parts[-1].config.geometry == (card.stride, card.receptive_field)


def test_the_papers_despeckler_is_the_papers() -> None:
    config = read_recipe(FOLDER / "despeckler-paper.toml").parts[0].config
    assert isinstance(config, DespecklerConfig)
    assert (config.design.body, config.design.head, config.median) == ("paper", "paper", True)
    assert (config.loss, config.learning_rate, config.patch) == ("squared", 5e-4, 256)
    assert config.noise.looks[0] == config.noise.looks[1]


def test_the_papers_stainer_is_the_papers() -> None:
    config = stainer("cyclegan-paper.toml")
    assert (config.design.body, config.design.width, config.design.blocks) == ("resnet", 64, (9,))
    aim = config.objective
    assert (aim.adversarial, aim.cycle, aim.identity, aim.supervised, aim.nuclei_correlation) == (1, 10, 5, 0, 0)
    assert [(stage.steps, stage.patch, stage.learning_rate, stage.decay) for stage in config.stages] == [
        (50 * 759, 256, 2e-4, "none"),
        (50 * 759, 512, 2e-4, "linear"),
    ]
    assert (config.input, config.pool) == ("gareau", 50)


def test_the_chains_of_the_shipped_stainers() -> None:
    cyclegan, swift, large = (read_recipe(FOLDER / f"{name}.toml") for name in ("cyclegan", "swift", "swift-hq"))
    assert [part.config.steps for part in cyclegan.parts] == [1000, 1000, 400, 1000, 400, 1250, 350, 450, 200]
    assert [part.config.seed for part in cyclegan.parts] == [2019, *range(2019, 2027)]
    assert cyclegan.parts[6].mix == (("fifth", 0.2), ("sixth", 0.8))
    assert cyclegan.mix == (("eighth", 0.6), ("ninth", 0.4))
    assert [part.config.steps for part in large.parts] == [1000, 600, 1200, 2000]
    assert large.mix == (("third", 0.3), ("fourth", 0.7))
    assert [stainer("swift-hq.toml", part).objective.adversarial for part in range(4)] == [0, 0.2, 0.2, 0.2]
    assert [part.config.steps for part in swift.parts] == [6000, 2000]
    assert [stainer("swift.toml", part).objective.adversarial for part in range(2)] == [0, 0]
    assert stainer("swift.toml").colours is not None
    held_out = {"skin_section2.tif", "hemangioma", "fibrosis"}
    assert not held_out & {Path(file).name for file in stainer("swift.toml").data.train}


def test_parts_take_the_shared_settings_and_their_own(tmp_path: Path) -> None:
    recipe = read(tmp_path, CHAIN)
    first, second, third = (part.config for part in recipe.parts)
    assert isinstance(first, StainerConfig)
    assert isinstance(second, StainerConfig)
    assert (first.objective.ssim, second.objective.ssim, second.objective.supervised) == (2, 5, 10)
    assert (first.seed, third.seed) == (5, 6)
    assert (first.start, second.start) == ("swift", None)
    assert [part.mix for part in recipe.parts] == [(), (("first", 1.0),), (("first", 0.25), ("second", 0.75))]
    assert (recipe.steps, recipe.mix, recipe.is_one_training) == (12, (("third", 1.0),), False)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('task = "stain"', "", "the key 'task' is missing; expected 'stain' or 'despeckle'"),
        ('task = "stain"', 'task = "paint"', "task is 'paint'; expected 'stain' or 'despeckle'"),
        ('name = "second"', 'name = "first"', "part first: there are two of that name"),
        (
            'name = "second"',
            'name = "../x"',
            r"parts\[1\].name is '../x'; expected up to 64 small letters, digits, _ and -$",
        ),
        ('name = "second"', "", r"the key 'parts\[1\].name' is missing"),
        ('name = "second"', 'name = "second"\nstart = "swift"', "part second: start is for the first part"),
        (
            '["second", 0.75]',
            '["second", 0.8]',
            "part third: mix: is .*; expected parts, each once, with shares that mak",
        ),
        (
            '["second", 0.75]',
            '["third", 0.75]',
            "part third: mix: 'third' is no part before it; expected first, second",
        ),
        ('["second", 0.75]', '["first", 0.75]', "part third: mix: is .*; expected parts, each once"),
        ('["second", 0.75]', '["second", -0.75]', r"parts\[2\].mix\[1\]\[1\] is -0.75; expected a number above 0"),
        ("{ steps = 4 }", "{ steps = 0 }", r"part second: stages\[0\].steps is 0; expected a whole number from 1"),
        (
            "objective = { ssim = 5 }",
            "objective = { sim = 5 }",
            "part second: unknown key 'objective.sim'; expected one",
        ),
        ('licence = "l"', "", "the key 'release.licence' is missing"),
        ('licence = "l"', 'licence = "l"\nmix = [["x", 1.0]]', "release.mix: 'x' is no part before it"),
        (
            'licence = "l"',
            'licence = "l"\ncalibration = { side = 100 }',
            "release.calibration.side is 100; expected a mult",
        ),
        (
            'licence = "l"',
            'licence = "l"\ncalibration = { side = 128 }',
            "release.calibration.side is 128; .* at least 144",
        ),
    ],
)
def test_a_recipe_that_cannot_work_is_refused(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in CHAIN
    with pytest.raises(ConfigError, match=complaint) as refused:
        read(tmp_path, CHAIN.replace(old, new, 1))
    assert "recipe.toml: " in str(refused.value)
    assert "\n" not in str(refused.value)


def test_parts_are_tables(tmp_path: Path) -> None:
    for parts in ("parts = 3", "parts = []", "parts = [1]"):
        with pytest.raises(ConfigError, match=r"expected one or more tables \[\[parts\]\]"):
            read(tmp_path, f'task = "stain"\n{parts}')


def test_a_recipe_for_another_task_is_refused(tmp_path: Path) -> None:
    read(tmp_path, CHAIN)
    with pytest.raises(ConfigError, match="task is 'stain'; expected 'despeckle'"):
        read_recipe(tmp_path / "recipe.toml", "despeckle")


def test_tables_are_merged_key_by_key() -> None:
    assert merged({"a": 1, "t": {"x": 1, "y": 2}}, {"t": {"y": 3}, "b": 4}) == {"a": 1, "b": 4, "t": {"x": 1, "y": 3}}
    assert merged({"t": [1]}, {"t": {"y": 3}}) == {"t": {"y": 3}}


def test_settings_are_written_as_toml() -> None:
    table: dict[str, Any] = {
        "text": 'a "quoted" ü \\ \n line',
        "numbers": [1, 2.5, 1e-05, -3],
        "yes": True,
        "table": {"odd key.": [{"a": 1}, {"b": []}], "mix": [["first", 0.3]]},
    }
    assert tomllib.loads(toml_text(table)) == table
