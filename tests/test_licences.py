"""Licences of all dependencies, by scripts/licences.py."""

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "licences.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("licences", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["licences"] = module  # where dataclasses look for their module
    spec.loader.exec_module(module)
    return module


def check(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--check", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def write_metadata(folder: Path, name: str, fields: str) -> Path:
    """A distribution of which nothing but the metadata is there."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{fields}\n")
    return info


def test_all_dependencies_have_an_allowed_licence() -> None:
    result = check()
    assert result.returncode == 0, result.stderr


def test_the_table_names_all_direct_dependencies() -> None:
    text = (ROOT / "docs" / "licences.md").read_text()
    rows = {canonicalize_name(name) for name in re.findall(r"^\| ([\w.-]+) \|", text, flags=re.MULTILINE)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    direct = {canonicalize_name(Requirement(one).name) for one in texts}
    assert direct - rows == set(), "run python scripts/licences.py > docs/licences.md"


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("GPL-3.0-only OR MIT AND BSD-3-Clause", True),
        ("(GPL-3.0-only OR MIT) AND GPL-2.0-only", False),
        ("(BSD-3-Clause OR GPL-2.0-only) AND (Zlib)", True),
        ("Apache-2.0 AND Apache-2.0 WITH LLVM-exception", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
    ],
)
def test_licence_expressions_are_evaluated(script: ModuleType, expression: str, allowed: bool) -> None:
    assert script.is_allowed(expression, script.PERMISSIVE) is allowed


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ("License-Expression: MIT AND BSD-3-Clause", "MIT AND BSD-3-Clause"),
        ("License: MPL-2.0 AND MIT", "MPL-2.0 AND MIT"),
        ("License: Apache 2.0\nClassifier: License :: OSI Approved :: MIT License", "Apache-2.0"),
        ("License: See LICENSE\nClassifier: License :: OSI Approved :: BSD License", "BSD"),
        ("License: Free for non-commercial use", None),
        ("Summary: nothing said", None),
    ],
)
def test_licences_are_read_from_metadata(script: ModuleType, tmp_path: Path, fields: str, licence: str | None) -> None:
    info = write_metadata(tmp_path, "some", fields)
    assert script.declared_licence(importlib.metadata.PathDistribution(info).metadata) == licence


@pytest.mark.parametrize(
    ("licence", "message"),
    [
        ("License-Expression: GPL-3.0-only", "second: GPL-3.0-only: not permissive"),
        ("License: for non-commercial use only", "second: no licence in its metadata"),
    ],
)
def test_a_transitive_dependency_under_another_licence_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, licence: str, message: str
) -> None:
    write_metadata(tmp_path, "first", "License-Expression: MIT\nRequires-Dist: second; extra == 'all'")
    write_metadata(tmp_path, "second", licence)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\ndependencies = ["first"]')
    assert check("--pyproject", project).returncode == 0
    project.write_text('[project]\ndependencies = []\noptional-dependencies = {extra = ["first[all]"]}')
    result = check("--pyproject", project)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(message)


def test_a_dependency_that_is_not_installed_is_reported(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\ndependencies = ["no-such-distribution"]')
    result = check("--pyproject", project)
    assert result.returncode == 1
    assert "no-such-distribution is not installed" in result.stderr
