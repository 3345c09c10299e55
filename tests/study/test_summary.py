"""The report of a study: what is counted, over whom, and in which form others take it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from confostain.errors import OptionError
from confostain.study.agreement import wilson_interval
from confostain.study.protocol import Arm, Protocol, Question
from confostain.study.results import Answer
from confostain.study.summary import mrmc_rows, summary

SCALE = ["no", "rather no", "unsure", "rather yes", "yes"]
PROTOCOL = Protocol(
    title="x",
    arms=[
        Arm(name="tumour", slide="t", model="gareau", modality="gareau"),
        Arm(name="normal", slide="n", model="gareau", modality="gareau"),
        Arm(name="tumour, swift", slide="t", model="swift", modality="swift"),
        Arm(name="normal, swift", slide="n", model="swift", modality="swift"),
        Arm(name="lesson", slide="l", model="swift", training=True),
    ],
    questions=[
        Question(
            id="cancer", text="?", choices=SCALE, ordinal=True, positive="rather yes",
            correct={"tumour": "yes", "normal": "no", "tumour, swift": "yes", "normal, swift": "no", "lesson": "yes"},
        ),
        Question(id="quality", text="?", choices=["1", "2", "3"], ordinal=True),
    ],
)  # fmt: skip


def answers(reader: str, arm: str, choices: str, *, reading: int = 1, question: str = "cancer") -> list[Answer]:
    """One answer for each digit, the number of the choice, about fields 0, 1, 2, ... of an arm."""
    scale = next(one.choices for one in PROTOCOL.questions if one.id == question)
    place = arm.removesuffix(", swift")
    return [
        Answer(reader, reading, 1, f"{arm} {n}", f"{place} {n}", arm, question, scale[int(c) - 1], datetime.now(UTC))
        for n, c in enumerate(choices)
    ]


def lines(table: Sequence[dict[str, object]], **place: object) -> dict[str, dict[str, object]]:
    """Rows of the place by their measure."""
    return {str(row["measure"]): row for row in table if place.items() <= row.items()}


GIVEN = [
    *answers("a", "tumour", "5544"), *answers("a", "normal", "1142"),
    *answers("b", "tumour", "5341"), *answers("b", "normal", "1111"),
    *answers("a", "tumour, swift", "5555"), *answers("a", "normal, swift", "1111"),
    *answers("a", "lesson", "1111", reading=0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("modality", "reader", "measure", "right", "total"),
    [
        ("gareau", "a", "accuracy", 7, 8),
        ("gareau", "a", "sensitivity", 4, 4),
        ("gareau", "a", "specificity", 3, 4),
        ("gareau", "b", "accuracy", 6, 8),
        ("gareau", "b", "sensitivity", 2, 4),
        ("gareau", "b", "specificity", 4, 4),
        ("swift", "a", "accuracy", 8, 8),
    ],
)
def test_sensitivity_and_specificity_of_each_modality(
    modality: str, reader: str, measure: str, right: int, total: int
) -> None:
    """One answer about each case: Wilson's interval. The training is not counted."""
    row = lines(summary(PROTOCOL, GIVEN), question="cancer", modality=modality, reader=reader, round="(all)")[measure]
    low, high = wilson_interval(right, total)
    assert (row["cases"], row["answers"]) == (total, total)
    assert [row[key] for key in ("value", "low", "high")] == [f"{one:.4f}" for one in (right / total, low, high)]


def test_the_training_is_no_reading_of_the_table() -> None:
    assert {row["reading"] for row in summary(PROTOCOL, GIVEN)} == {1}
    assert summary(PROTOCOL, answers("a", "lesson", "1111", reading=0)) == []


def test_all_readers_and_modalities_together_are_clustered_by_case() -> None:
    table = summary(PROTOCOL, GIVEN)
    row = lines(table, question="cancer", modality="(all)", reader="(all)")["accuracy"]
    assert (row["cases"], row["answers"], row["value"]) == (8, 24, f"{21 / 24:.4f}")
    low, high = wilson_interval(21, 24)
    assert float(str(row["low"])) <= low + 5e-5
    assert float(str(row["high"])) >= high - 5e-5


def test_two_readers_with_the_same_answers_narrow_nothing() -> None:
    one = answers("a", "tumour", "5544411155") + answers("a", "normal", "1111144555")
    both = one + [replace(answer, reader="b") for answer in one]
    alone = lines(summary(PROTOCOL, one), question="cancer")["accuracy"]
    together = lines(summary(PROTOCOL, both), question="cancer", reader="(all)")["accuracy"]
    assert together["value"] == alone["value"]
    assert float(str(together["low"])) <= float(str(alone["low"]))
    assert float(str(together["high"])) >= float(str(alone["high"]))


def test_kappa_is_over_the_fields_that_every_reader_has_judged() -> None:
    table = summary(PROTOCOL, GIVEN)
    found = lines(table, question="cancer", modality="gareau", reader="(all)")
    assert (found["kappa"]["cases"], found["weighted kappa"]["cases"]) == (8, 8)
    assert float(str(found["weighted kappa"]["value"])) > float(str(found["kappa"]["value"]))
    assert float(str(found["kappa"]["low"])) < float(str(found["kappa"]["value"])) < float(str(found["kappa"]["high"]))
    assert "kappa" not in lines(table, question="cancer", modality="swift", reader="a")


@pytest.mark.parametrize(
    ("second", "agreement"), [("55441142", "1.0000"), ("11441142", "0.7500"), ("11115555", "0.0000")]
)
def test_readers_are_compared_with_themselves(second: str, agreement: str) -> None:
    again = answers("a", "tumour", second[:4], reading=2) + answers("a", "normal", second[4:], reading=2)
    found = lines(summary(PROTOCOL, GIVEN + again), question="cancer", reading="1-2", reader="a")
    assert found["agreement"]["value"] == agreement
    assert set(found) == {"agreement", "kappa", "weighted kappa"}
    assert lines(summary(PROTOCOL, GIVEN + again), reading="1-2", reader="b") == {}


def test_opinions_are_shares() -> None:
    given = answers("a", "tumour", "1233", question="quality") + answers(
        "a", "tumour, swift", "3333", question="quality"
    )
    table = summary(PROTOCOL, given)
    shares = {measure: row["value"] for measure, row in lines(table, question="quality", modality="gareau").items()}
    assert shares == {"share of 1": "0.2500", "share of 2": "0.2500", "share of 3": "0.5000"}
    assert lines(table, question="quality", modality="swift")["share of 3"]["value"] == "1.0000"


def test_each_round_has_its_accuracy() -> None:
    """A learning curve: half right in the first round, all in the second."""
    protocol = PROTOCOL.model_copy(update={"rounds": 2})
    given = answers("a", "tumour", "15") + [
        replace(one, round=2, field=f"{one.field}+") for one in answers("a", "normal", "11")
    ]
    table = summary(protocol, given)
    values = [lines(table, question="cancer", round=round_)["accuracy"]["value"] for round_ in (1, 2, "(all)")]
    assert values == ["0.5000", "1.0000", "0.7500"]


def test_mrmc_rows_are_what_imrmc_takes() -> None:
    """Columns of `createIMRMCdf`; a case has one truth, and one score of each reader in each modality."""
    rows = mrmc_rows(PROTOCOL, GIVEN + answers("a", "tumour", "1", question="quality"))
    assert list(rows[0].values()) == ["cancer", 1, "a", "tumour 0", "gareau", 5, 1]
    assert list(rows[0]) == ["question", "reading", "readerID", "caseID", "modalityID", "score", "truth"]
    assert len(rows) == 24
    keys = {(row["readerID"], row["caseID"], row["modalityID"]) for row in rows}
    assert len(keys) == 24
    assert len({(row["caseID"], row["truth"]) for row in rows}) == len({row["caseID"] for row in rows}) == 8


def test_mrmc_needs_a_positive_choice() -> None:
    opinions = PROTOCOL.model_copy(update={"questions": PROTOCOL.questions[1:]})
    with pytest.raises(OptionError, match="no question has `positive`"):
        mrmc_rows(opinions, [])


def test_kappa_says_how_many_cases_its_fields_show() -> None:
    """Two models on the same four places: eight fields, four cases."""
    both = [one for arm in ("tumour", "tumour, swift") for reader in "ab" for one in answers(reader, arm, "5544")]
    row = lines(summary(PROTOCOL, both), question="cancer", modality="(all)", reader="(all)", round="(all)")["kappa"]
    assert (row["cases"], row["answers"]) == (4, 16)
