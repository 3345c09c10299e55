from pathlib import Path

import numpy as np
import pytest

from confostain.errors import ConfigError
from confostain.models.card import SHIPPED, read_card
from confostain.training.calibration import calibrate, despeckler_inputs, stainer_inputs
from confostain.training.config import validated
from confostain.training.despeckler_config import DespecklerConfig
from confostain.training.recipe import Calibration
from confostain.training.stainer_config import StainerConfig

DATA = {"data": {"train": ["phantom:1"], "validate": ["phantom:2"]}}
PLAN = Calibration(typical=3, judged=2, side=128)


def test_inputs_of_despecklers_have_the_whole_noise_of_the_training() -> None:
    config = validated(DespecklerConfig, DATA | {"noise": {"looks": [1, 100]}}, "c.toml")
    typical, judged = despeckler_inputs(config, PLAN)
    assert (len(typical), len(judged)) == (3 + 4, 2 + 4)
    assert all(image.shape == (1, 128, 128) for image in (*typical, *judged))
    assert max(image.max() for image in typical) > 4  # one look now and then gives several times the mean
    assert all(np.array_equal(*both) for both in zip(typical, despeckler_inputs(config, PLAN)[0], strict=True))


@pytest.mark.parametrize(("model", "channels", "side"), [("swift", 2, 128), ("cyclegan", 3, 128 - 2 * 28)])
def test_inputs_of_stainers_are_what_they_get_when_they_stain(model: str, channels: int, side: int) -> None:
    card = read_card(SHIPPED / model)
    table = DATA | {"objective": {"supervised": 1}, "stages": [{"steps": 1}], "region": 128, "input": card.input}
    typical, judged = stainer_inputs(validated(StainerConfig, table, "c.toml"), PLAN, card)
    assert (len(typical), len(judged)) == (3, 2)
    assert all(image.shape == (channels, side, side) for image in (*typical, *judged))
    assert all(0 <= image.min() <= image.max() <= 1 for image in (*typical, *judged))


def test_images_smaller_than_the_receptive_field_are_refused(tmp_path: Path) -> None:
    card = read_card(SHIPPED / "swift-hq")
    table = DATA | {"objective": {"supervised": 1}, "stages": [{"steps": 1}], "region": 128}
    with pytest.raises(ConfigError, match=r"side is 128, of which 128 px .* receptive field of 143 px"):
        calibrate(SHIPPED / "swift-hq", card, validated(StainerConfig, table, "c.toml"), PLAN)
