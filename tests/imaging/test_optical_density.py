import numpy as np

from confostain.imaging.optical_density import optical_density


def test_optical_density_is_decadic() -> None:
    rgb = np.array([[[255, 26, 0]]], np.uint8)
    density = optical_density(rgb)
    assert density.dtype == np.float32
    np.testing.assert_allclose(density[0, 0], [0, np.log10(255 / 26), np.log10(510)], rtol=1e-6)
    assert optical_density(rgb, white=20).min() == 0
