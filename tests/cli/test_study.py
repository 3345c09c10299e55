"""`confostain study` from the command line."""

import tomllib
from pathlib import Path

import pytest

from command_line import answered, refused
from confostain.cli.study import PROTOCOL_HELP
from confostain.study.protocol import read_protocol
from confostain.study.results import append_results


def test_study_refuses_in_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text("title = 1")
    options = ("--reader", "anna", "--results", tmp_path / "answers.csv")
    assert "title: Input should be a valid string" in refused(capsys, "study", tmp_path / "study.toml", *options)
    assert "cannot be read as a protocol" in refused(capsys, "study", tmp_path / "nowhere.toml", *options)


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The protocol that the help text shows."""
    (tmp_path / "study.toml").write_text(PROTOCOL_HELP.partition("\n\n")[2])
    return tmp_path / "study.toml"


@pytest.fixture
def results(example: Path, tmp_path: Path) -> Path:
    """Three fields of the section, which two readers take for real."""
    fingerprint = read_protocol(example).fingerprint
    place = {"study": fingerprint, "reading": 1, "round": 1, "arm": "section", "question": "real"}
    given = {"answer": "a real section", "correct": 1, "time": "2026-01-31T12:00:00+00:00"}
    rows = [place | given | {"reader": reader, "field": n, "case": n} for reader in "ab" for n in range(3)]
    append_results(tmp_path / "answers.csv", rows)
    return tmp_path / "answers.csv"


def test_the_summary_is_csv(capsys: pytest.CaptureFixture[str], example: Path, results: Path) -> None:
    assert len(tomllib.loads(example.read_text())["arms"]) == 3
    printed = answered(capsys, "study", example, "--results", results, "--summary").splitlines()
    assert printed[0] == "question,reading,round,modality,reader,measure,cases,answers,value,low,high"
    assert printed[1] == "real,1,(all),section,a,accuracy,3,3,1.0000,0.4385,1.0000"
    assert "real,1,(all),section,(all),specificity,3,6,1.0000,0.4385,1.0000" in printed
    assert "real,1,(all),section,(all),kappa,3,6,,," in printed


def test_mrmc_is_csv(capsys: pytest.CaptureFixture[str], example: Path, results: Path) -> None:
    printed = answered(capsys, "study", example, "--results", results, "--mrmc").splitlines()
    assert printed[0] == "question,reading,readerID,caseID,modalityID,score,truth"
    assert printed[1:3] == ["real,1,a,0,section,1,0", "real,1,a,1,section,1,0"]


@pytest.mark.parametrize("report", ["--summary", "--mrmc"])
def test_a_changed_protocol_is_refused(
    capsys: pytest.CaptureFixture[str], example: Path, results: Path, report: str
) -> None:
    example.write_text(example.read_text().replace("seed = 1", "seed = 2"))
    assert "this protocol before it was changed" in refused(capsys, "study", example, "--results", results, report)


def test_a_name_of_no_reader_is_refused(capsys: pytest.CaptureFixture[str], example: Path, tmp_path: Path) -> None:
    (tmp_path / "answers.csv").write_text("a,b\n")
    said = refused(capsys, "study", example, "--results", tmp_path / "answers.csv", "--reader", "(all)")
    assert "expected a name that begins with a letter or digit" in said


def test_a_summary_of_no_answers_is_refused(capsys: pytest.CaptureFixture[str], example: Path, tmp_path: Path) -> None:
    assert "no answers yet" in refused(capsys, "study", example, "--results", tmp_path / "none.csv", "--summary")
