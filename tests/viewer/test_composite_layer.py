"""Composite of both channels, in colours that colour-blind readers tell apart."""

import io

import httpx
import numpy as np
import pytest
from PIL import Image


@pytest.mark.parametrize("level", [0, 1, 3])
def test_reflectance_is_magenta_and_fluorescence_green(client: httpx.Client, slide_url: str, level: int) -> None:
    tiles = {
        layer: np.asarray(Image.open(io.BytesIO(client.get(f"{slide_url}/tiles/{layer}/{level}/0_0.png").content)))
        for layer in ("composite", "reflectance", "fluorescence")
    }
    assert tiles["reflectance"].std() > 1
    expected = [tiles["reflectance"][..., 0], tiles["fluorescence"][..., 0], tiles["reflectance"][..., 0]]
    assert np.abs(tiles["composite"].astype(int) - np.stack(expected, axis=-1)).max() <= 1


def test_its_caption_names_the_colours(client: httpx.Client) -> None:
    (slide,) = client.get("/api/slides").json()
    assert slide["layers"][-1]["id"] == "composite"
    assert slide["layers"][-1]["colours"] == "reflectance magenta, fluorescence green"
