from pathlib import Path
from typing import Any

import pytest

from confostain.data.noisy_patches import NoiseRange
from confostain.errors import ConfigError
from confostain.networks.despeckler import DespecklerDesign
from confostain.training.config import validated
from confostain.training.despeckler_config import DespecklerConfig

DATA = {"data": {"train": ["a.tif"], "validate": ["b.tif"]}}


def test_defaults_are_those_of_what_is_configured() -> None:
    config = validated(DespecklerConfig, DATA, "c.toml")
    assert {name: getattr(config.noise, name) for name in vars(NoiseRange())} == vars(NoiseRange())
    assert vars(config.design) == vars(DespecklerDesign())


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"patch": 34}, "patch is 34; expected a multiple of 8 px, the stride of the design"),
        ({"patch": 100_000}, "patch is 100000; expected a whole number from 16 to 4096"),
        ({"design": {"channels": [4, 8]}}, "design: channels .* expected one number each per level"),
        ({"design": {"channels": [4, 0, 8]}}, r"design.channels is \[4, 0, 8\]; expected up to 8 whole numbers from 1"),
        ({"design": {"head": "bald"}}, "design.head is 'bald'; expected 'paper' or 'exponential'"),
        ({"noise": {"looks": [80, 1]}}, r"noise.looks is \[80, 1\]; expected \[smallest, largest\] from 0.01 to 1e"),
        ({"noise": {"looks": [0, 1]}}, r"noise.looks is \[0, 1\]"),
        ({"noise": {"microscope_share": 2}}, "noise.microscope_share is 2; expected a number from 0 to 1"),
        ({"noise": {"microscope_looks": [1]}}, r"noise.microscope_looks is \[1\]; expected \[smallest, largest\]"),
        ({"learning_rate": 0}, "learning_rate is 0; expected a number above 0"),
        ({"seed": -1}, "seed is -1; expected a whole number from 0 to 4294967295"),
        ({"steps": 0}, "steps is 0; expected a whole number from 1 to"),
        ({"stages": []}, "unknown key 'stages'; expected one of seed, "),
    ],
)
def test_what_cannot_work_is_refused(keys: dict[str, Any], complaint: str) -> None:
    design = {"design": {"channels": [4, 8, 8], "blocks": [1, 1, 1]}}
    design["design"] |= keys.get("design", {})
    with pytest.raises(ConfigError, match=complaint):
        validated(DespecklerConfig, DATA | keys | design, "c.toml")


def test_rates() -> None:
    config = validated(DespecklerConfig, DATA | {"steps": 40, "learning_rate": 1.0}, "c.toml")
    assert {config.rate(step) for step in range(40)} == {1.0}
    cosine = config.model_copy(update={"schedule": "cosine"})
    rates = [cosine.rate(step) for step in range(40)]
    assert max(rates) == rates[3]  # it rises for a tenth of the steps
    assert rates[-1] < 0.01


def test_the_card_says_what_the_network_is(despeckler_config: Path) -> None:
    config = validated(DespecklerConfig, DATA | {"median": True}, "c.toml")
    fields = config.card_fields()
    assert (fields["kind"], fields["input"], fields["median"]) == ("despeckler", "reflectance", True)
    assert fields["microns_per_pixel"] == [0.75, 0.75]
