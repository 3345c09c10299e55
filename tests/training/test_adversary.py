import numpy as np
import torch

from confostain.training.adversary import ImagePool


def test_the_pool_shows_earlier_images() -> None:
    pool, rng = ImagePool(2), np.random.default_rng(0)
    batches = [torch.full((2, 1, 2, 2), float(number)) for number in range(6)]
    shown = [pool.exchanged(batch, rng).flatten(1).mean(1).tolist() for batch in batches]
    assert shown[0] == [0, 0]  # it fills first
    assert any(value < number for number, batch in enumerate(shown) for value in batch)
    assert len(pool.images) == 2


def test_an_empty_pool_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    images = torch.rand(2, 1, 2, 2)
    assert ImagePool(0).exchanged(images, rng) is images
    assert rng.random() == np.random.default_rng(0).random()  # nothing was drawn
