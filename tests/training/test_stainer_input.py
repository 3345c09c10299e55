import pytest
import torch

from confostain.errors import ModelError
from confostain.training import stainer_input
from confostain.training.losses import gareau_composite
from confostain.training.stainer_input import StainerInput


def test_speckle_is_taken_out_of_the_reflectance_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Flat(torch.nn.Module):
        def forward(self, noisy: torch.Tensor) -> torch.Tensor:
            return torch.full_like(noisy, 1.25)

    monkeypatch.setattr(stainer_input, "despeckler_network", lambda folder: Flat())
    pair = torch.rand(1, 2, 32, 32)
    cleaned = StainerInput("gareau", "despeckler", torch.device("cpu")).despeckled(pair)
    assert (cleaned[:, 0] == 1).all()  # no brighter than the range
    assert torch.equal(cleaned[:, 1], pair[:, 1])


def test_the_input_is_the_pair_or_its_gareau_image() -> None:
    pair = torch.rand(1, 2, 32, 32)
    plain, gareau = (StainerInput(kind, None, torch.device("cpu")) for kind in ("pair", "gareau"))  # type: ignore[arg-type]
    assert plain.of(plain.despeckled(pair)) is pair
    assert torch.equal(gareau.of(pair), gareau_composite(pair))
    assert (plain.channels, gareau.channels) == (2, 3)


def test_a_stainer_is_no_despeckler() -> None:
    with pytest.raises(ModelError, match="no model is called 'swift'; expected one of despeckler"):
        StainerInput("pair", "swift", torch.device("cpu"))
