import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "train_weights.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_weights", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PIECE", 20_000)
    return module


def test_pieces_make_up_the_runs_again(script: ModuleType, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "swift"
    run.mkdir(parents=True)
    weights = np.random.default_rng(0).bytes(50_000)
    (run / "weights.safetensors").write_bytes(weights)
    (run / "checkpoint.pt").write_bytes(bytes(10))
    script.pack([run], tmp_path / "runs" / "pieces")
    pieces = sorted((tmp_path / "runs" / "pieces").iterdir())
    assert len(pieces) > 2
    assert all(piece.stat().st_size <= 20_000 for piece in pieces)
    whole = b"".join(piece.read_bytes() for piece in pieces)
    subprocess.run(["tar", "-x", "-C", tmp_path], input=whole, check=True)
    assert (tmp_path / "swift" / "weights.safetensors").read_bytes() == weights
    assert not (tmp_path / "swift" / "checkpoint.pt").exists()


def test_a_chain_goes_on_after_a_failure(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("steps = 'many'")
    chain = script.Chain(f"{tmp_path}/bad.toml,{tmp_path}/worse.toml@2", tmp_path / "runs", None)
    (tmp_path / "worse.toml").write_text("[[stages]]")
    chain.start()
    chain.join()
    assert [run.name for run in chain.failed] == ["bad", "worse"]
    assert "the key 'data' is missing" in (tmp_path / "runs" / "bad.log").read_text()
