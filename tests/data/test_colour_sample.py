from pathlib import Path

import numpy as np
import pytest

from confostain.data.colour_sample import NUMBER, read_densities, sample_densities
from confostain.errors import ConfigError


def test_densities_are_logarithms_of_means_of_two_pixels() -> None:
    image = np.zeros((40, 41, 3), np.uint8)
    image[:] = [255, 128, 0]
    image[::2, :, 1] = 64
    densities = sample_densities([image, image[:10]])
    assert densities.shape == (NUMBER, 3)
    np.testing.assert_allclose(densities, np.tile([0, -np.log(96 / 255), -np.log(0.02)], (NUMBER, 1)), atol=1e-5)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (np.zeros((4, 3), np.float16), None),
        (np.zeros((4, 2)), r"\(4, 2\); expected finite"),
        (np.full((4, 3), np.nan), "expected finite"),
        (np.zeros((0, 3)), r"\(0, 3\)"),
        (np.array([[{}, 1, 2]], object), "cannot be read"),
        (None, "cannot be read"),
        (b"no array", "cannot be read"),
    ],
)
def test_files_of_densities_are_checked(content: object, complaint: str | None, tmp_path: Path) -> None:
    path = tmp_path / "colours.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content, allow_pickle=True)
    if complaint is None:
        assert read_densities(path).dtype == np.float32
    else:
        with pytest.raises(ConfigError, match=complaint):
            read_densities(path)
