"""Tokens of `view` and `study`: where they come from, and where they do not appear."""

import argparse
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from confostain.cli.server_options import TOKEN_VARIABLE, add_server_arguments, server_address
from confostain.errors import OptionError
from confostain.viewer import serving
from confostain.viewer.guard import AccessRules
from confostain.viewer.serving import OPENSEADRAGON, Address, serve

SECRET = "open-sesame_1"


def address(*arguments: object) -> Address:
    parser = argparse.ArgumentParser()
    add_server_arguments(parser)
    return server_address(parser.parse_args([str(argument) for argument in arguments]))


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)


@pytest.mark.parametrize("content", [SECRET, f"{SECRET}\n", f"{SECRET}\r\n"], ids=repr)
def test_the_token_is_read_from_a_file(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_bytes(content.encode())
    monkeypatch.setenv(TOKEN_VARIABLE, "another")
    assert address("--token-file", tmp_path / "token").token == SECRET


def test_the_token_is_read_from_the_environment_unless_an_option_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert address().token is None
    monkeypatch.setenv(TOKEN_VARIABLE, SECRET)
    assert address().token == SECRET
    assert address("--token", "another").token == "another"


@pytest.mark.parametrize("word", ["", "two words", "two\nlines", "a&b", "ümlaut", "x" * 257, "x" * 2000])
def test_what_is_no_token_is_refused_without_being_repeated(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(word, encoding="utf-8")
    monkeypatch.setenv(TOKEN_VARIABLE, word)
    for arguments, where in (
        (("--token", word), "--token"),
        (("--token-file", tmp_path / "token"), str(tmp_path / "token")),
        ((), TOKEN_VARIABLE),
    ):
        with pytest.raises(OptionError) as refused:
            address(*arguments)
        assert str(refused.value) == (
            f"{where}: not a token; expected 1 to 256 letters, digits, - . _ or ~ and nothing else"
        )


def test_a_token_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"none: cannot be read \(No such file or directory\)"):
        address("--token-file", tmp_path / "none")
    with pytest.raises(OptionError, match=r"cannot be read \(Is a directory\)"):
        address("--token-file", tmp_path)


def test_a_random_token_cannot_be_hidden() -> None:
    assert address("--token", SECRET, "--hide-token").shows_token is False
    for host in ("127.0.0.1", "0.0.0.0", "::1"):
        with pytest.raises(OptionError, match="--hide-token: no token is given"):
            address("--host", host, "--hide-token")


@pytest.mark.parametrize(
    ("options", "announced", "opened"),
    [
        ({}, "", True),
        ({"opens_browser": False}, "", False),
        ({"token": SECRET}, f"?token={SECRET}", False),
        ({"token": SECRET, "shows_token": False}, "", False),
    ],
    ids=str,
)
def test_the_browser_never_gets_a_token_on_its_command_line(
    options: dict[str, object], announced: str, opened: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import uvicorn

    pages: list[str] = []
    monkeypatch.setattr(serving.webbrowser, "open", pages.append)
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: [one.close() for one in sockets])
    monkeypatch.setattr(sys, "setswitchinterval", lambda seconds: None)
    said: list[str] = []
    create: Callable[[AccessRules], object] = lambda rules: None  # noqa: E731
    serve(create, Address(port=0, **options), said.append)  # type: ignore[arg-type]
    page, _, query = said[0].partition("?")
    assert (f"?{query}" if query else "", pages) == (announced, [page] if opened else [])


@pytest.mark.skipif(not OPENSEADRAGON.is_file(), reason="installed without npm, so there is no OpenSeadragon")
def test_a_hidden_token_is_asked_for_and_appears_nowhere(phantom_scan: Path) -> None:
    command = [sys.executable, "-m", "confostain.cli", "view", str(phantom_scan), "--port", "0", "--hide-token"]
    with subprocess.Popen(
        command, env=os.environ | {TOKEN_VARIABLE: SECRET}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            url = server.stdout.readline().strip()
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(f"{url}api/slides")
            allowed = urllib.request.Request(f"{url}api/slides", headers={"Authorization": f"Bearer {SECRET}"})
            with urllib.request.urlopen(allowed) as answer:
                assert len(json.load(answer)) == 1
        finally:
            server.send_signal(signal.SIGINT)
        rest, errors = server.communicate()
    assert SECRET not in url + rest + errors


@pytest.mark.parametrize("path", ["/user/anna/proxy/8765", "/user/anna/proxy/8765/", "/viewer", "/a%40b/c"])
def test_a_root_path_is_part_of_the_address_and_needs_a_token(path: str) -> None:
    given = address("--root-path", path)
    assert given.root_path == path.removesuffix("/")
    assert not given.is_local


@pytest.mark.parametrize("path", ["viewer", "//evil.example", "/a b", "/a?b", "/a/../b\n", "https://hub.example/a"])
def test_what_is_no_root_path_is_refused(path: str) -> None:
    with pytest.raises(OptionError, match="not a path that a proxy shows a page at"):
        address("--root-path", path)
