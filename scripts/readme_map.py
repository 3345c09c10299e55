"""Writes the house map of README.md from the tree and the first line of each module's docstring.

python scripts/readme_map.py           # rewrites README.md
python scripts/readme_map.py --check   # exit code 1 where it would change
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "confostain"
WIDTH = 30  # of the names
# Packages from the command line down to the errors, as imports run; what is not named here comes last.
ORDER = (
    *(
        "cli",
        "study",
        "adaptation",
        "viewer",
        "evaluation",
        "demo.py",
        "training",
        "data",
        "inference",
        "models",
        "weights",
    ),
    *("networks", "slide.py", "survey.py", "simulation", "imaging", "io", "geometry.py", "arrays.py", "errors.py"),
)
OTHERS = {
    "src/confostain/weights": "shipped models, one folder each: card, ONNX, safetensors",
    "src/confostain/sample": "H&E of human skin for the demo, CC0, and its credit",
    "src/confostain/viewer/static": "the page: plain JavaScript modules, no build step",
    "src/confostain/study/static": "the page of the reader study",
}
OUTSIDE = {
    "recipes/": "one TOML per shipped model: all stages, mixing of weights, seeds",
    "benchmarks/": "each prints a ratio against a named peer, measured in the same run",
    "examples/": "scripts that show the Python interface, run by the tests; a protocol of a reader study",
    "scripts/": "for developers: this map, the opening picture, hashes of outputs, ...",
}


def summary(path: Path) -> str:
    """First line of a module's docstring, without its full stop."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return text.partition("\n")[0].rstrip(".")


def entries(folder: Path, depth: int) -> Iterator[str]:
    """Lines of the map for what a package holds."""
    indent = "  " * depth

    def rank(path: Path) -> tuple[int, bool, str]:
        place = ORDER.index(path.name) if depth == 1 and path.name in ORDER else len(ORDER)
        return place, path.is_dir(), path.name

    for path in sorted(folder.iterdir(), key=rank):
        told = OTHERS.get(str(path.relative_to(ROOT)))
        if told:
            yield f"{indent}{path.name}/".ljust(WIDTH) + told
        elif (path / "__init__.py").exists():
            yield (f"{indent}{path.name}/".ljust(WIDTH) + summary(path / "__init__.py")).rstrip()
            yield from entries(path, depth + 1)
        elif path.suffix == ".py" and path.name != "__init__.py":
            yield f"{indent}{path.name}".ljust(WIDTH) + summary(path)


def house_map() -> str:
    """The map as it should stand in the README."""
    lines = ["src/confostain/", "  __init__.py".ljust(WIDTH) + summary(PACKAGE / "__init__.py"), *entries(PACKAGE, 1)]
    lines += [name.ljust(WIDTH) + told for name, told in OUTSIDE.items() if (ROOT / name).is_dir()]
    return "\n".join(lines)


def main() -> int:
    """Rewrite or check."""
    readme = ROOT / "README.md"
    text = readme.read_text()
    head, _, rest = text.partition("```\nsrc/confostain/")
    _, _, tail = rest.partition("\n```")
    new = f"{head}```\n{house_map()}\n```{tail}"
    if "--check" in sys.argv:
        return int(new != text)
    readme.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
