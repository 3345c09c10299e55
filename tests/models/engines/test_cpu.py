from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from confostain.errors import ModelError, OptionError
from confostain.models import precision as precision_module
from confostain.models.card import ONNX, PrecisionFacts, read_card
from confostain.models.engines import cpu as engine
from confostain.models.engines.cpu import WEIGHT_BITS, OpenVinoNetwork, Precision, computes, convolution_rate, fastest
from confostain.models.engines.device import open_network
from confostain.models.engines.picture import Picture
from confostain.models.precision import measure_precisions
from confostain.models.quantisation import measured_ranges

MakeStainer = Callable[..., Path]

PRECISIONS: tuple[Precision, ...] = ("f32", "bf16", "i8", "i7")


def needs(precision: Precision) -> None:
    if not computes(precision):
        pytest.skip(f"this processor does not compute in {precision}; its refusal is tested")


def image(side: int, seed: int = 0, channels: int = 2) -> np.ndarray:
    coarse = np.random.default_rng(seed).random((channels, side // 8, side // 8), np.float32)
    return np.kron(coarse, np.ones((1, 8, 8), np.float32))


def test_threads_share_a_network(make_stainer: MakeStainer) -> None:
    network = OpenVinoNetwork(make_stainer() / ONNX, picture=Picture())
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
    np.testing.assert_array_equal(OpenVinoNetwork(onnx, picture=Picture())(pixels), expected)


@pytest.mark.parametrize(("precision", "share"), [("i8", 0.95), ("i7", 0.9)])
def test_integers_come_near(precision: Precision, share: float, make_stainer: MakeStainer) -> None:
    needs(precision)
    onnx = make_stainer() / ONNX
    (ranges,) = measured_ranges(onnx, [image(64, 1), image(64, 2)])
    assert list(ranges) == ["/first/Conv", "/second/Conv"]
    assert ranges["/first/Conv"] == (0, pytest.approx(image(64, 1).max(), abs=0.02))
    exact = OpenVinoNetwork(onnx, picture=Picture())(image(64)).astype(int)
    rounded = OpenVinoNetwork(onnx, precision, picture=Picture(), ranges=ranges)(image(64))
    apart = np.abs(rounded - exact)
    assert apart.max() > 0
    assert (apart <= 2).mean() > share
    signed = image(64) - np.float32(0.5)
    exact = OpenVinoNetwork(onnx)(signed)
    rounded = OpenVinoNetwork(onnx, precision, ranges=measured_ranges(onnx, [signed])[0])(signed)
    assert np.abs(rounded - exact).max() < 0.03
    with pytest.raises(ModelError, match="no convolution is called 'third'"):
        OpenVinoNetwork(onnx, precision, ranges={"third": (0, 1)})


def test_seven_bits_are_computed_everywhere() -> None:
    assert computes("f32")
    assert computes("i7")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_precision_is_computed_or_refused(precision: Precision, make_stainer: MakeStainer) -> None:
    """What this processor has gives the picture that float32 gives; what it lacks is refused, never replaced."""
    onnx = make_stainer() / ONNX
    if computes(precision):
        (ranges,) = measured_ranges(onnx, [image(64, 1)])
        made = OpenVinoNetwork(onnx, precision, picture=Picture(), ranges=ranges)(image(64)).astype(int)
        assert np.abs(made - OpenVinoNetwork(onnx, picture=Picture())(image(64))).mean() < 2
    else:
        with pytest.raises(OptionError, match=f"precision {precision}: this processor"):
            OpenVinoNetwork(onnx, precision)


@pytest.mark.parametrize("precision", ["bf16", "i8", "i7"])
def test_what_a_processor_lacks_is_refused(
    precision: Precision, make_stainer: MakeStainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On any processor: a stand-in for one that has float32 alone."""
    folder = make_stainer(precisions=facts_of("bf16") | facts_of("i8") | facts_of("i7"))
    monkeypatch.setattr(engine, "convolution_rate", lambda precision, *shape: float(precision == "f32"))
    with pytest.raises(OptionError, match=f"precision {precision}: this processor"):
        OpenVinoNetwork(folder / ONNX, precision)
    network = open_network(folder, read_card(folder), "cpu", Picture())
    assert isinstance(network, OpenVinoNetwork)
    assert network.precision == "f32"


def test_the_fastest_precision_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {"f32": 2.0, "bf16": 1.0, "i8": 3.0, "i7": 4.0}
    monkeypatch.setattr(engine, "convolution_rate", lambda precision, *shape: rates[precision])
    assert fastest(["f32", "bf16"]) == "f32"
    assert fastest(["f32", "bf16", "i8"]) == "i8"
    assert fastest(["f32", "bf16", "i8", "i7"]) == "i8"  # 8 bits are right here, and finer
    rates["i8"] = 0.0
    assert fastest(["f32", "bf16", "i8", "i7"]) == "i7"


@pytest.mark.parametrize("precision", PRECISIONS)
def test_convolutions_are_timed(precision: Precision) -> None:
    needs(precision)
    assert 1e7 < convolution_rate(precision, 16, 64) < 1e14


def facts_of(precision: str, share: float = 1.0) -> dict[str, object]:
    ranges = {"/first/Conv": [0, 1]} if precision in WEIGHT_BITS else None
    return {precision: {"within_2": share, "ranges": ranges}}


@pytest.mark.parametrize(
    ("facts", "chosen"),
    [
        ({}, "f32"),
        (facts_of("bf16", 0.99), "f32"),
        (facts_of("bf16"), "bf16"),
        (facts_of("i8"), "i8"),
        (facts_of("i7"), "i7"),
    ],
    ids=str,
)
def test_the_card_says_which_precisions_are_allowed(
    make_stainer: MakeStainer, facts: dict[str, object], chosen: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs(chosen)
    rates = {"f32": 1.0, "bf16": 2.0, "i8": 3.0, "i7": 3.0}
    monkeypatch.setattr(engine, "convolution_rate", lambda precision, *shape: rates[precision])
    folder = make_stainer(precisions=facts)
    network = open_network(folder, read_card(folder), "cpu", Picture())
    assert isinstance(network, OpenVinoNetwork)
    assert network.precision == chosen


def measured(folder: Path, *, grey_levels: int = 2, required_share: float = 0.999) -> dict[str, PrecisionFacts]:
    typical, judged = [image(64, 3), image(64, 4)], [image(64, 5)]
    options = {"grey_levels": grey_levels, "required_share": required_share}
    return measure_precisions(folder, 15, typical, judged, picture=Picture(), **options)


def test_precisions_are_measured(make_stainer: MakeStainer) -> None:
    folder = make_stainer()
    facts = measured(folder)
    assert set(facts) == {one for one in ("bf16", "i8", "i7") if computes(one)}
    assert 0.9 < facts["i7"].within_2 <= 1
    assert set(measured(folder, required_share=0.5)["i7"].ranges) == {"/first/Conv", "/second/Conv"}
    strict = measured(folder, grey_levels=0, required_share=1.0)
    assert 0 < strict["i7"].within_2 < 1
    kept = {name: unchanged(folder, [image(64, 3), image(64, 4)], [image(64, 5)], name) for name in facts["i7"].ranges}
    assert strict["i7"].within_2 == pytest.approx(max(kept.values()))
    tuned = measured(folder, grey_levels=0, required_share=max(kept.values()))
    assert list(tuned["i7"].ranges) == [max(kept, key=lambda name: kept[name])]


def test_what_a_processor_lacks_is_not_measured(make_stainer: MakeStainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision_module, "computes", lambda precision: precision in ("f32", "i7"))
    assert set(measured(make_stainer())) == {"i7"}


def unchanged(folder: Path, images: list[np.ndarray], judged: list[np.ndarray], name: str) -> float:
    """The share of inner pixels that stay the same when one convolution alone is computed in 7-bit integers."""
    (ranges,) = measured_ranges(folder / ONNX, images)
    exact = OpenVinoNetwork(folder / ONNX, picture=Picture())
    other = OpenVinoNetwork(folder / ONNX, "i7", picture=Picture(), ranges={name: ranges[name]})
    return float(np.mean([(exact(one) == other(one)).all(axis=2)[7:-7, 7:-7] for one in judged]))
