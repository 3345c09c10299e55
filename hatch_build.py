"""Build hook: brings what the viewer's page is built on into the package: OpenSeadragon, and Clipper2 for its brush.

Both come from the npm registry through npm itself, each at one version whose contents are checked. Without npm the
package is built without them, and `confostain view` says how to get them.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Package(NamedTuple):
    """A package of npm: its name, version and SHA-512 in base64, and what its files are called in the vendor folder."""

    name: str
    version: str
    sha512: str
    files: dict[str, str]


PACKAGES = (
    Package(
        "openseadragon",
        "6.1.1",
        "g4iKe2q8B642SaBT3+x4ZF3/8b1TxPPydyjmtrOLgDrlYWMKd9ZXM+1Cb/xa9DVySkvs/7l6HR1nHKfD5F3Tsw==",
        {
            "package/build/openseadragon/openseadragon.min.js": "openseadragon.min.js",
            "package/LICENSE.txt": "openseadragon.LICENSE.txt",
        },
    ),
    Package(
        "clipper2-ts",
        "2.0.1",
        "raIgNMpYN/PFYk/T9iRzaG99rf5nlXBWL1FyAdR3wjEYSzJy+pPfolLH5bCdRqCFQqn/eYUsF1jb3cQEMxmWGw==",
        {
            **{f"package/dist/{name}.js": f"{name}.js" for name in ("Core", "Engine", "Offset")},
            "package/LICENSE": "clipper2.LICENSE.txt",
        },
    ),
)
VERSIONS = "\n".join(f"{package.name} {package.version}" for package in PACKAGES)
VENDOR = "src/confostain/viewer/static/vendor"
TIMEOUT = 300  # s


class VendorHook(BuildHookInterface):
    """Fetches the packages before a wheel, a source archive or an editable installation is made."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fill the vendor folder, unless these versions lie there already."""
        vendor = Path(self.root) / VENDOR
        problem = "" if _is_there(vendor) else _fetch(vendor)
        if problem:
            self.app.display_warning(f"built without OpenSeadragon, which confostain view needs: {problem}")


def _is_there(vendor: Path) -> bool:
    return (vendor / "VERSION").is_file() and (vendor / "VERSION").read_text().strip() == VERSIONS


def _fetch(vendor: Path) -> str:
    """Fill `vendor`; return what stood in the way, "" if nothing did."""
    npm = shutil.which("npm")
    if npm is None:
        return "npm was not found; install it (Debian: apt install npm) and install confostain again"
    with tempfile.TemporaryDirectory() as folder:
        for package in PACKAGES:
            problem = _download(npm, package, Path(folder))
            if problem:
                return problem
        for package in PACKAGES:
            _unpack(package, Path(folder), vendor)
    (vendor / "VERSION").write_text(f"{VERSIONS}\n")
    return ""


def _download(npm: str, package: Package, folder: Path) -> str:
    command = [npm, "pack", f"{package.name}@{package.version}", "--silent", "--pack-destination", str(folder)]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=TIMEOUT)
    except (subprocess.SubprocessError, OSError) as error:
        return f"npm could not fetch {package.name} {package.version} ({error})"
    if hashlib.sha512(_packed(package, folder).read_bytes()).digest() != base64.b64decode(package.sha512):
        raise RuntimeError(
            f"{package.name} {package.version} from npm has other contents than expected; nothing was built"
        )
    return ""


def _packed(package: Package, folder: Path) -> Path:
    return folder / f"{package.name}-{package.version}.tgz"


def _unpack(package: Package, folder: Path, vendor: Path) -> None:
    vendor.mkdir(parents=True, exist_ok=True)
    with tarfile.open(_packed(package, folder)) as archive:
        for name, short in package.files.items():
            member = archive.extractfile(name)
            if member is None:
                raise RuntimeError(f"{package.name} {package.version} holds no {name}")
            (vendor / short).write_bytes(member.read())
