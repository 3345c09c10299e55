"""The pages of the viewer and the reader study as files, and how OpenSeadragon gets there."""

import importlib.util
import re
import sys
import types
from pathlib import Path

import pytest

from confostain.study.app import PAGE as STUDY
from confostain.viewer.guarded_app import STATIC

ROOT = Path(__file__).parents[2]
FILES = sorted([*STATIC.iterdir(), *STUDY.iterdir()])
PAGES = [path for path in FILES if path.suffix == ".html"]
OWN = [path for path in FILES if path.suffix in {".html", ".js", ".css", ".svg"}]
SCRIPTS = [path for path in FILES if path.suffix == ".js"]


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """hatch_build.py, with a stand-in for the build tool that calls it."""
    interface = types.ModuleType("hatchling.builders.hooks.plugin.interface")
    interface.BuildHookInterface = object
    monkeypatch.setitem(sys.modules, interface.__name__, interface)
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_is_inline(page: Path) -> None:
    text = page.read_text()
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=|javascript:", text) == []


def test_nothing_is_asked_of_another_host() -> None:
    known = {"http://www.w3.org/2000/svg"}
    named = {path.name: set(re.findall(r"(?:https?:)?//[\w.-]+\.\w[\w./-]*", path.read_text())) - known for path in OWN}
    assert {name: hosts for name, hosts in named.items() if hosts} == {}


def test_every_element_that_the_scripts_look_for_is_in_a_page() -> None:
    ids = set(re.findall(r'\bid="([\w-]+)"', "".join(page.read_text() for page in PAGES)))
    scripts = "".join(path.read_text() for path in SCRIPTS)
    wanted = set(re.findall(r'(?:byId|getElementById)\("([\w-]+)"\)', scripts))
    assert len(wanted) > 20
    assert wanted - ids <= {"comment", "next"}  # the study's page makes these two


def test_every_module_that_is_imported_is_there() -> None:
    wanted = {path.parent / name for path in SCRIPTS for name in re.findall(r'from "\./([\w.]+)"', path.read_text())}
    assert wanted
    assert [path for path in wanted if not path.is_file()] == []


def test_every_file_that_a_page_names_is_there() -> None:
    """The study's files lie under /static/study, all others under /static."""
    named = {name for page in PAGES for name in re.findall(r'(?:href|src)="/?static/([\w./-]+)', page.read_text())}
    wanted = {STUDY / name.removeprefix("study/") if name.startswith("study/") else STATIC / name for name in named}
    assert len(wanted) > 5
    assert [path for path in wanted if not path.is_file() and "vendor" not in path.parts] == []


def test_the_build_refuses_an_openseadragon_with_other_contents(
    hook: types.ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def pack(command: list[str], **options: object) -> None:
        Path(command[-1], f"{command[2].replace('@', '-')}.tgz").write_bytes(b"something else")

    monkeypatch.setattr(hook.shutil, "which", lambda name: name)
    monkeypatch.setattr(hook.subprocess, "run", pack)
    with pytest.raises(RuntimeError, match="other contents"):
        hook._fetch(tmp_path / "vendor")
    assert not (tmp_path / "vendor").exists()


def test_the_build_goes_on_without_npm_and_says_so(
    hook: types.ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(hook.shutil, "which", lambda name: None)
    assert "install" in hook._fetch(tmp_path / "vendor")


def test_every_address_is_relative() -> None:
    """Behind a proxy, the page does not lie at the root of its host."""
    absolute = {path.name: re.findall(r"""["'`(]/(?:static|api)\b[^"'`)]*""", path.read_text()) for path in OWN}
    assert {name: found for name, found in absolute.items() if found} == {}
