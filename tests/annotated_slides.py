"""A raw scan, the same scan without pixel size and an H&E section, and a client of their annotations."""

from pathlib import Path

import httpx
import numpy as np
import tifffile

from confostain.geometry import Size
from confostain.io.writers.vivascope import write_mosaic
from confostain.simulation.phantom import Phantom

SCAN_MPP, SECTION_MPP = 0.75, 0.5
SIZE = Size(900, 700)

Feature = dict[str, object]


def write_scan(folder: Path, size: Size = SIZE, seed: int = 4) -> Path:
    phantom = Phantom(size, seed=seed)
    folder.mkdir(parents=True)
    write_mosaic(folder, size, phantom.recorded_bands(), SCAN_MPP)
    return folder / "mosaic"


def write_planes(folder: Path) -> tuple[Path, Path]:
    """Reflectance and fluorescence as TIFFs that say no pixel size."""
    folder.mkdir(parents=True)
    paths = folder / "reflectance.tif", folder / "fluorescence.tif"
    planes = np.concatenate(list(Phantom(SIZE, seed=4).recorded_bands()), axis=1)
    for path, plane in zip(paths, planes, strict=True):
        tifffile.imwrite(path, plane)
    return paths


def write_section(path: Path) -> Path:
    """A red and blue pattern at SECTION_MPP."""
    y, x = np.mgrid[:800, :1000]
    wave = (np.sin(x / 9) * np.sin(y / 7) * 60).astype(np.int16)
    rgb = np.stack([200 + wave // 2, 120 + wave, 190 - wave // 2], axis=-1).clip(0, 255).astype(np.uint8)
    per_centimetre = (1e4 / SECTION_MPP, 1e4 / SECTION_MPP)
    tifffile.imwrite(path, rgb, photometric="rgb", resolution=per_centimetre, resolutionunit="CENTIMETER")
    return path


def point(id_: str | None, name: str = "", x: float = 300, **properties: object) -> Feature:
    """An annotation as the page writes it."""
    made: Feature = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [x, 300]}}
    made["properties"] = {"objectType": "annotation", "name": name, **properties}
    return made if id_ is None else made | {"id": id_}


class Colleague:
    """Somebody else who reads and writes the annotations of a slide."""

    def __init__(self, address: str, slide: str) -> None:
        self.url = f"{address}api/slides/{slide}/annotations"

    def features(self) -> list[Feature]:
        return httpx.get(self.url).json()["features"]

    def write(self, features: list[Feature]) -> None:
        version = httpx.get(self.url).headers["etag"]
        body = {"type": "FeatureCollection", "features": features}
        assert httpx.put(self.url, json=body, headers={"If-Match": version}).status_code == 200

    def change(self, id_: str, **properties: object) -> None:
        """Change a feature's properties."""
        self.write(
            [
                one | {"properties": one["properties"] | properties} if one["id"] == id_ else one
                for one in self.features()
            ]
        )

    def remove(self, id_: str) -> None:
        self.write([one for one in self.features() if one.get("id") != id_])
