from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from confostain.errors import ModelError
from confostain.inference import engine
from confostain.inference.cards import ONNX, read_card
from confostain.inference.engine import OpenVinoNetwork, Precision, convolution_rate, fastest, open_network
from confostain.inference.precisions import engine_facts
from confostain.inference.quantising import measured_ranges

MakeStainer = Callable[..., Path]


def image(side: int, seed: int = 0, channels: int = 2) -> np.ndarray:
    coarse = np.random.default_rng(seed).random((channels, side // 8, side // 8), np.float32)
    return np.kron(coarse, np.ones((1, 8, 8), np.float32))


def test_threads_share_a_network(make_stainer: MakeStainer) -> None:
    network = OpenVinoNetwork(make_stainer() / ONNX, picture=True)
    images = [image(40 + 8 * (seed % 3), seed) for seed in range(24)]
    expected = [network(one) for one in images]
    with ThreadPoolExecutor(6) as pool:
        for made, one in zip(pool.map(network, images), expected, strict=True):
            np.testing.assert_array_equal(made, one)


def test_pictures_are_the_rounded_result(make_stainer: MakeStainer) -> None:
    onnx, pixels = make_stainer() / ONNX, image(64)
    plain = OpenVinoNetwork(onnx)(pixels)
    assert plain.min() < 0 or plain.max() > 1  # there is something to clip
    expected = np.rint(np.moveaxis(np.clip(plain, 0, 1), 0, 2) * np.float32(255))
    np.testing.assert_array_equal(OpenVinoNetwork(onnx, picture=True)(pixels), expected)


def test_integers_come_near(make_stainer: MakeStainer) -> None:
    onnx = make_stainer() / ONNX
    ranges = measured_ranges(onnx, [image(64, 1), image(64, 2)])
    assert list(ranges) == ["/first/Conv", "/second/Conv"]
    assert ranges["/first/Conv"] == (0, pytest.approx(image(64, 1).max(), abs=0.02))
    exact = OpenVinoNetwork(onnx, picture=True)(image(64)).astype(int)
    rounded = OpenVinoNetwork(onnx, "i8", picture=True, ranges=ranges)(image(64))
    apart = np.abs(rounded - exact)
    assert apart.max() > 0
    assert (apart <= 2).mean() > 0.95
    signed = image(64) - np.float32(0.5)
    exact = OpenVinoNetwork(onnx)(signed)
    rounded = OpenVinoNetwork(onnx, "i8", ranges=measured_ranges(onnx, [signed]))(signed)
    assert np.abs(rounded - exact).max() < 0.03
    with pytest.raises(ModelError, match="no convolution is called 'third'"):
        OpenVinoNetwork(onnx, "i8", ranges={"third": (0, 1)})


def test_the_fastest_precision_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {"f32": 2.0, "bf16": 1.0, "i8": 3.0}
    monkeypatch.setattr(engine, "convolution_rate", lambda precision, *shape: rates[precision])
    assert fastest(["f32", "bf16"]) == "f32"
    assert fastest(["f32", "bf16", "i8"]) == "i8"


@pytest.mark.parametrize("precision", ["f32", "bf16", "i8"])
def test_convolutions_are_timed(precision: Precision) -> None:
    assert 1e8 < convolution_rate(precision, 16, 64) < 1e14


@pytest.mark.parametrize("facts", [{}, {"bf16": False}, {"bf16": True}, {"i8": {"/first/Conv": [0, 1]}}], ids=str)
def test_the_card_says_which_precisions_are_allowed(
    make_stainer: MakeStainer, facts: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = {"f32": 1.0, "bf16": 2.0, "i8": 3.0}
    monkeypatch.setattr(engine, "convolution_rate", lambda precision, *shape: rates[precision])
    folder = make_stainer(engine=facts)
    network = open_network(folder, read_card(folder, "stainer"), "cpu")
    assert isinstance(network, OpenVinoNetwork)
    assert network.precision == ("bf16" if facts.get("bf16") else "i8" if "i8" in facts else "f32")


def test_what_a_stainer_bears_is_measured(make_stainer: MakeStainer, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, pairs, judged = make_stainer(), [image(64, 3), image(64, 4)], [image(64, 5)]
    facts = engine_facts(folder, pairs, judged)
    assert facts["bf16"] == (facts["within_2"]["bf16"] >= 0.999)
    assert ("i8" in facts) == (facts["within_2"]["i8"] >= 0.999)
    monkeypatch.setattr("confostain.inference.precisions.SHARE", 0.5)
    assert set(engine_facts(folder, pairs, judged)["i8"]) == {"/first/Conv", "/second/Conv"}
    monkeypatch.setattr("confostain.inference.precisions.GREY_LEVELS", 0)
    monkeypatch.setattr("confostain.inference.precisions.SHARE", 1.0)
    strict = engine_facts(folder, pairs, judged)
    assert not strict["bf16"]
    assert "i8" not in strict
    assert 0 < strict["within_2"]["i8"] < 1
    kept = {name: unchanged(folder, pairs, judged, name) for name in ("/first/Conv", "/second/Conv")}
    assert strict["within_2"]["i8"] == pytest.approx(max(kept.values()))
    monkeypatch.setattr("confostain.inference.precisions.SHARE", max(kept.values()))
    assert list(engine_facts(folder, pairs, judged)["i8"]) == [max(kept, key=lambda name: kept[name])]


def unchanged(folder: Path, pairs: list[np.ndarray], judged: list[np.ndarray], name: str) -> float:
    """The share of inner pixels that stay the same when one convolution alone is computed in integers."""
    ranges = measured_ranges(folder / ONNX, pairs)
    exact = OpenVinoNetwork(folder / ONNX, picture=True)
    other = OpenVinoNetwork(folder / ONNX, "i8", picture=True, ranges={name: ranges[name]})
    return float(np.mean([(exact(pair) == other(pair)).all(axis=2)[7:-7, 7:-7] for pair in judged]))
