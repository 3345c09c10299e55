from typing import Any

import pytest

from confostain.errors import ConfigError
from confostain.training.config import validated
from confostain.training.stainer_config import Stage, StainerConfig

TABLE: dict[str, Any] = {
    "data": {"train": ["a.tif"], "validate": ["b.tif"]},
    "input": "gareau",
    "objective": {"adversarial": 1, "cycle": 10, "identity": 5},
    "stages": [{"steps": 3, "patch": 32}, {"steps": 3, "patch": 64}],
}


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        (
            {"stages": [{"steps": 3}, {"steps": 1, "patch": 36}]},
            r"stages\[1\].patch is 36; expected a multiple of 8 px",
        ),
        ({"stages": [{"steps": 0}]}, r"stages\[0\].steps is 0; expected a whole number from 1"),
        ({"stages": []}, r"there is no \[\[stages\]\]"),
        ({"stages": [{"step": 3}]}, r"unknown key 'stages\[0\].step'|the key 'stages\[0\].steps' is missing"),
        ({"input": "pair"}, "between colour images; expected input = 'gareau'"),
        ({"input": "pair", "objective": {"cycle": 1}}, "swift makes RGB; expected body = 'resnet'"),
        ({"objective": {"adversarial": 0}}, "objective: all weights are 0"),
        ({"objective": {"identity": 1}}, "objective: identity is a term of CycleGAN; expected cycle above 0"),
        ({"objective": {"ssim": -1}}, "objective.ssim is -1; expected a number from 0 to 10000"),
        ({"intensity_jitter": [1.2, 0.8]}, r"intensity_jitter is \[1.2, 0.8\]; expected \[smallest, largest\]"),
        ({"domain_randomisation": [0.5]}, r"domain_randomisation is \[0.5\]"),
        ({"region": 32}, "region is 32; expected a whole number from 64"),
        ({"design": {"blocks": [1]}}, "design: channels"),
        ({"objective": {"colour_distribution": 1}}, "expected data.confocal and data.colours"),
        ({"keep": "first"}, "keep is 'first'; expected 'best' or 'last'"),
        ({"sed": 1}, "unknown key 'sed'; expected one of seed, ema_decay"),
    ],
)
def test_what_cannot_work_is_refused(keys: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        validated(StainerConfig, TABLE | keys, "c.toml")


def test_stages_follow_each_other() -> None:
    config = validated(StainerConfig, TABLE, "c.toml")
    assert [config.stage_at(step)[0].patch for step in range(6)] == [32, 32, 32, 64, 64, 64]
    assert [config.stage_at(step)[1] for step in range(6)] == [0, 1, 2, 0, 1, 2]


def test_learning_rates_fall_as_told() -> None:
    assert [Stage(steps=4, learning_rate=1.0).rate(step) for step in range(4)] == [1, 1, 1, 1]
    linear = Stage(steps=4, learning_rate=1.0, decay="linear")
    assert [linear.rate(step) for step in range(4)] == [1, 0.75, 0.5, 0.25]
    assert Stage(steps=4, learning_rate=1.0, decay="cosine").rate(2) == pytest.approx(0.5)
