"""Build hook: brings OpenSeadragon, which the viewer's page is built on, into the package.

It comes from the npm registry through npm itself, at one version whose contents are checked. Without npm the package is
built without it, and `confostain view` says how to get it.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VERSION = "6.1.1"
SHA512 = "g4iKe2q8B642SaBT3+x4ZF3/8b1TxPPydyjmtrOLgDrlYWMKd9ZXM+1Cb/xa9DVySkvs/7l6HR1nHKfD5F3Tsw=="
FILES = {
    "package/build/openseadragon/openseadragon.min.js": "openseadragon.min.js",
    "package/LICENSE.txt": "openseadragon.LICENSE.txt",
}
VENDOR = "src/confostain/viewer/static/vendor"
TIMEOUT = 300  # s


class OpenSeadragonHook(BuildHookInterface):
    """Fetches OpenSeadragon before a wheel, a source archive or an editable installation is made."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fill the vendor folder, unless this version lies there already."""
        vendor = Path(self.root) / VENDOR
        problem = "" if _is_there(vendor) else _fetch(vendor)
        if problem:
            self.app.display_warning(f"built without OpenSeadragon, which confostain view needs: {problem}")


def _is_there(vendor: Path) -> bool:
    return (vendor / "VERSION").is_file() and (vendor / "VERSION").read_text().strip() == VERSION


def _fetch(vendor: Path) -> str:
    """Fill `vendor`; return what stood in the way, "" if nothing did."""
    npm = shutil.which("npm")
    if npm is None:
        return "npm was not found; install it (Debian: apt install npm) and install confostain again"
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", f"openseadragon@{VERSION}", "--silent", "--pack-destination", folder]
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=TIMEOUT)
        except (subprocess.SubprocessError, OSError) as error:
            return f"npm could not fetch openseadragon {VERSION} ({error})"
        packed = Path(folder) / f"openseadragon-{VERSION}.tgz"
        if hashlib.sha512(packed.read_bytes()).digest() != base64.b64decode(SHA512):
            raise RuntimeError(f"openseadragon {VERSION} from npm has other contents than expected; nothing was built")
        _unpack(packed, vendor)
    return ""


def _unpack(packed: Path, vendor: Path) -> None:
    vendor.mkdir(parents=True, exist_ok=True)
    with tarfile.open(packed) as archive:
        for name, short in FILES.items():
            member = archive.extractfile(name)
            if member is None:
                raise RuntimeError(f"openseadragon {VERSION} holds no {name}")
            (vendor / short).write_bytes(member.read())
    (vendor / "VERSION").write_text(f"{VERSION}\n")
