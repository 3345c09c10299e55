import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from confostain.errors import ModelError
from confostain.models.build import read_weights
from confostain.models.card import SHIPPED
from confostain.training.weights import mean_weights, start_weights


def test_the_mean_of_weights_is_by_shares() -> None:
    sets = [({"a": torch.full((2,), value)}, share) for value, share in ((1.0, 0.3), (2.0, 0.7))]
    assert mean_weights(sets)["a"].tolist() == pytest.approx([1.7, 1.7])
    assert torch.equal(mean_weights([(sets[0][0], 1.0)])["a"], sets[0][0]["a"])


def test_weights_of_different_networks_are_not_mixed() -> None:
    with pytest.raises(ModelError, match="different architectures"):
        mean_weights([({"a": torch.zeros(2)}, 0.5), ({"a": torch.zeros(3)}, 0.5)])
    with pytest.raises(ModelError, match="different architectures"):
        mean_weights([({"a": torch.zeros(2)}, 0.5), ({"b": torch.zeros(2)}, 0.5)])


def test_a_training_starts_from_a_file_or_a_model(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2, dtype=torch.float16)}, tmp_path / "w.safetensors")
    assert start_weights(str(tmp_path / "w.safetensors"), "stain")["a"].dtype == torch.float32
    shipped = read_weights(SHIPPED / "swift" / "weights.safetensors")
    assert start_weights("swift", "stain").keys() == shipped.keys()
    with pytest.raises(ModelError, match="no model is called 'nobody'"):
        start_weights("nobody", "stain")
    with pytest.raises(ModelError, match=r"none.safetensors: not readable"):
        start_weights(str(tmp_path / "none.safetensors"), "stain")


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00" * 5, b"\xff" * 8 + b"{}", pickle.dumps({"a": 1}), None],
    ids=["empty", "truncated", "endless header", "pickle", "folder"],
)
def test_what_holds_no_weights_is_refused_in_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "w.safetensors"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    reason = "a folder" if content is None else "Error"
    with pytest.raises(ModelError, match=rf"w.safetensors: not readable as safetensors \({reason}") as refused:
        start_weights(str(path), "stain")
    assert "\n" not in str(refused.value)
