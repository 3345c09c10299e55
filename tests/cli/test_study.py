"""`confostain study` from the command line."""

import tomllib
from pathlib import Path

import pytest

from command_line import answered, refused
from confostain.cli.study import PROTOCOL_HELP

COLUMNS = "reader,field,arm,x,y,question,answer,correct,seconds,comment,time"


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


def test_the_summary_is_csv(capsys: pytest.CaptureFixture[str], example: Path, tmp_path: Path) -> None:
    assert len(tomllib.loads(example.read_text())["arms"]) == 2
    lines = [f"{reader},{n},section,0,0,real,a real section,1,2.0,,now" for reader in "ab" for n in range(3)]
    (tmp_path / "answers.csv").write_text("\n".join([COLUMNS, *lines]) + "\n")
    printed = answered(capsys, "study", example, "--results", tmp_path / "answers.csv", "--summary").splitlines()
    assert printed[0] == "question,reader,fields,accuracy,low,high,kappa"
    assert [line.split(",")[1:4] for line in printed[1:]] == [
        ["a", "3", "1.0000"], ["b", "3", "1.0000"], ["(all)", "6", "1.0000"]
    ]  # fmt: skip


def test_a_summary_of_no_answers_is_refused(capsys: pytest.CaptureFixture[str], example: Path, tmp_path: Path) -> None:
    assert "no answers yet" in refused(capsys, "study", example, "--results", tmp_path / "none.csv", "--summary")
