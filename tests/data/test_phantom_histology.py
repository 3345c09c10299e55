import numpy as np
import pytest

from confostain.data.noisy_patches import read_inverted
from confostain.data.training_slides import SlideReading, read_histology
from confostain.errors import ConfigError
from confostain.imaging.histology_tissue import tissue_share


def test_the_phantom_is_read_as_a_slide() -> None:
    reading = SlideReading(0.75, 512)
    (slide,), (other,) = read_histology(["phantom:1"], reading), read_histology(["phantom:2"], reading)
    assert (slide.shape, slide.dtype) == ((512, 512, 3), np.uint8)
    assert tissue_share(slide) > 0.3
    assert not np.array_equal(slide, other)
    (inverted,) = read_inverted(["phantom:1"], 0.75)
    assert (inverted.shape, inverted.dtype) == ((512, 512), np.uint8)
    assert inverted.mean() == pytest.approx(255 - slide.mean(), abs=20)


@pytest.mark.parametrize(
    ("source", "microns"), [("phantom:", 0.75), ("phantom:-1", 0.75), ("phantom:x", 0.75), ("phantom:1", 0.5)]
)
def test_a_phantom_that_is_none_is_refused(source: str, microns: float) -> None:
    with pytest.raises(ConfigError, match=source):
        read_histology([source], SlideReading(microns, 64))
