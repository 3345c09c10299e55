"""Calls of the command line inside the test's own process."""

import re

import pytest

from confostain import cli


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a refused call prints."""
    with pytest.raises(SystemExit) as exit_:
        cli.main([str(argument) for argument in arguments])
    assert exit_.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"confostain: [^\n]+\n", err)
    return err


def answered(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What a successful call prints."""
    with pytest.raises(SystemExit) as exit_:
        cli.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert exit_.value.code == 0, err
    return out
