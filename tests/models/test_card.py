import json
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from confostain import cli
from confostain.errors import ConfostainWarning, ModelError
from confostain.models.card import SHIPPED, ModelCard, described_files, read_card, sha256_of
from confostain.models.registry import list_models, load_model

MakeStainer = Callable[..., Path]


def respelt(folder: Path, **changes: Any) -> Path:
    """The folder with some keys of its card changed."""
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | changes))
    return folder


@pytest.mark.parametrize("name", ["despeckler", "despeckler-paper", "swift", "swift-hq", "cyclegan"])
def test_shipped_cards_are_complete_and_written_as_they_are_read(name: str) -> None:
    card = read_card(SHIPPED / name)
    assert card.name == name
    assert all((card.description, card.data, card.credit, card.licence, card.schedule, card.figures, card.failures))
    assert card.microns_per_pixel == ((0.4, 1.0) if name == "swift" else (0.75, 0.75))
    assert (card.colours is not None) == (name == "swift")
    assert set(card.files) == {path.name for path in described_files(SHIPPED / name)} == {
        "network.onnx", "weights.safetensors"
    }  # fmt: skip
    assert json.loads(card.json_text()) == json.loads((SHIPPED / name / "card.json").read_text())


@pytest.mark.parametrize(
    ("scales", "spans", "coarsest"),
    [
        ((0.4, 1.0), True, 1.5),
        ((0.5, 1.0), True, 1.5),
        ((0.51, 1.0), False, float("inf")),
        ((0.75, 0.75), False, float("inf")),
        (None, False, float("inf")),
    ],
)
def test_a_range_of_a_factor_of_two_spans_scales(
    scales: tuple[float, float] | None, spans: bool, coarsest: float
) -> None:
    card = ModelCard(kind="stainer", input="pair", stride=1, receptive_field=1, microns_per_pixel=scales)
    assert (card.spans_scales, card.coarsest) == (spans, coarsest)
    assert not card.refuses(None)
    assert card.refuses(1.6) == spans


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"stride": 0}, "stride"),
        ({"stride": float("inf")}, "stride"),
        ({"stride": 2.0}, "stride"),
        ({"stride": True}, "stride"),
        ({"stride": "2"}, "stride"),
        ({"stride": None}, "stride"),
        ({"receptive_field": 0}, "receptive_field"),
        ({"receptive_field": -5}, "receptive_field"),
        ({"receptive_field": 14}, "receptive_field"),
        ({"engine": None}, "engine"),
        ({"engine": {"within_2": 3}}, "engine"),
        ({"precisions": None}, "precisions"),
        ({"precisions": {"i8": {"within_2": 2, "ranges": {}}}}, "precisions.i8.within_2"),
        ({"precisions": {"i8": {"within_2": 1.0}}}, "precisions.i8.ranges"),
        ({"precisions": {"i8": {"within_2": 1.0, "ranges": {"/first/Conv": [0]}}}}, "precisions.i8.ranges./first/Conv"),
        ({"precisions": {"i8": {"within_2": 1.0, "ranges": {"/first/Conv": [1, 0]}}}}, "precisions.i8.ranges"),
        ({"precisions": {"f16": {"within_2": 1.0}}}, "precisions.f16"),
        ({"despeckler": 7}, "despeckler"),
        ({"despeckler": ["despeckler"]}, "despeckler"),
        ({"input": "sepia"}, "input"),
        ({"input": "reflectance"}, "input"),
        ({"kind": "painter"}, "kind"),
        ({"microns_per_pixel": [0.75]}, "microns_per_pixel"),
        ({"microns_per_pixel": [1.0, 0.5]}, "microns_per_pixel"),
        ({"microns_per_pixel": [0, 0.5]}, "microns_per_pixel"),
        ({"files": {"network.onnx": "abc"}}, "files.network.onnx"),
        ({"colour": "red"}, "colour"),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:a model card of version 0.1")
def test_a_bad_card_gets_one_line_with_file_and_field(
    changes: dict[str, Any],
    field: str,
    make_stainer: MakeStainer,
    phantom_scan: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, out = respelt(make_stainer(), **changes), tmp_path / "a.ome.tif"
    with pytest.raises(SystemExit) as done:
        cli.main(["stain", str(phantom_scan), "-o", str(out), "--model", str(folder)])
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "version 0.1" not in line]
    assert done.value.code == 2
    assert line.startswith(f"confostain: {folder / 'card.json'}: ")
    assert field in line
    assert not out.exists()


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "3", '"card"', "{", "[" * 100_000, '{"a":' * 100_000, '{"stride": 2}', "{}", "\udcff", "NaN"],
    ids=lambda text: text[:12],
)
def test_what_is_no_card_is_refused(text: str, make_stainer: MakeStainer) -> None:
    folder = make_stainer()
    (folder / "card.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ModelError, match=r"card\.json: [^\n]+$") as refused:
        read_card(folder)
    assert len(str(refused.value)) < 500


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_other_json_is_refused_by_validation(value: Any) -> None:
    with pytest.raises(ValidationError), warnings.catch_warnings(action="ignore"):
        ModelCard.model_validate(value)


def test_a_missing_oversized_or_irregular_card_is_refused(make_stainer: MakeStainer) -> None:
    folder = make_stainer()
    (folder / "card.json").write_bytes(b" " * (5 << 20))
    with pytest.raises(ModelError, match="expected a model card of at most"):
        read_card(folder)
    (folder / "card.json").unlink()
    with pytest.raises(ModelError, match=r"card\.json: cannot be read \(no such file\); expected the folder"):
        read_card(folder)
    os.mkfifo(folder / "card.json")
    with pytest.raises(ModelError, match="cannot be read"):
        read_card(folder)


@pytest.mark.parametrize("name", ["network.onnx", "weights.safetensors"])
def test_a_flipped_bit_is_noticed(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "swift"
    shutil.copytree(SHIPPED / "swift", folder)
    assert load_model(folder).name == "swift"
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ModelError, match=rf"{name}: SHA-256 is \w+\.\.\., but card\.json says"):
        load_model(folder)


def test_external_data_is_part_of_the_model(make_stainer: MakeStainer) -> None:
    folder = make_stainer()
    (folder / "network.onnx.data").write_bytes(b"weights")
    with pytest.raises(ModelError, match=r"network\.onnx\.data: is not among the files"):
        read_card(folder)
    files = {path.name: sha256_of(path) for path in described_files(folder)}
    assert read_card(respelt(folder, files=files)).files == files
    (folder / "network.onnx.data").write_bytes(b"Weights")
    with pytest.raises(ModelError, match=r"network\.onnx\.data: SHA-256"):
        read_card(folder)
    (folder / "network.onnx.data").unlink()
    with pytest.raises(ModelError, match=r"network\.onnx\.data: no such file"):
        read_card(folder)
    with pytest.raises(ModelError, match="no such file"):
        read_card(respelt(folder, files={"../tiny/network.onnx": "0" * 64}))


def test_cards_of_version_0_1_are_read_with_a_warning(make_stainer: MakeStainer) -> None:
    folder = make_stainer()
    engine = {"within_2": {"bf16": 0.99, "i8": 0.9995}, "bf16": False, "i8": {"/first/Conv": [0, 1]}}
    old = {"stride": 4, "receptive_field": 63, "config": {"design": {"body": "unet"}}, "engine": engine}
    (folder / "card.json").write_text(json.dumps(old))
    with pytest.warns(ConfostainWarning) as told:
        card = read_card(folder)
    assert ["version 0.1" in str(told[0].message), "no SHA-256" in str(told[1].message)] == [True, True]
    assert (card.kind, card.input, card.design) == ("despeckler", "reflectance", {"body": "unet"})
    assert card.allowed_precisions == ["f32", "i8"]
    assert card.ranges("i8") == {"/first/Conv": (0, 1)}


def test_models_are_listed_by_task() -> None:
    assert {card.task for card in list_models("despeckle")} == {"despeckle"}
    assert [card.name for card in list_models()][:2] == ["gareau", "beer-lambert"]
    assert {"swift", "cyclegan"} <= {card.name for card in list_models("stain")}
