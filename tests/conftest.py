"""Painted fixtures: nothing is downloaded."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from hypothesis import settings
from PIL import Image
from scipy.ndimage import gaussian_filter

from confostain.geometry import Size
from confostain.io.writers.vivascope import write_mosaic
from confostain.simulation.phantom import Phantom

if TYPE_CHECKING:
    import httpx
    from fastapi import FastAPI

    from confostain.viewer.connections import ConnectionLimits

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side; set before torch is loaded, also for children

settings.register_profile("confostain", deadline=None)  # shared machines are now and then slow
settings.load_profile("confostain")


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    return Phantom(Size(700, 523), seed=3)


@pytest.fixture(scope="session")
def phantom_scan(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phantom as a VivaScope mosaic folder, 16 bit, 0.75 um/px."""
    scan = tmp_path_factory.mktemp("scan")
    write_mosaic(scan, phantom.size, phantom.recorded_bands(), phantom.microns_per_pixel)
    return scan / "mosaic"


@pytest.fixture(scope="session")
def unscaled_planes(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The phantom's reflectance and fluorescence as TIFFs that say no pixel size."""
    folder = tmp_path_factory.mktemp("unscaled")
    paths = folder / "reflectance.tif", folder / "fluorescence.tif"
    for path, plane in zip(paths, np.concatenate(list(phantom.recorded_bands()), axis=1), strict=True):
        tifffile.imwrite(path, plane)
    return paths


Stalled = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def stalled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stalled]:
    """Start a module in a process of its own and wait until it calls a function for the Nth time, where it stays.

    No clock is involved: the process waits there until it is sent a signal, however slow the machine.
    """
    processes: list[subprocess.Popen[str]] = []

    def start(target: str, number: int, module: str, *arguments: object) -> subprocess.Popen[str]:
        marker = tmp_path_factory.mktemp("stalled") / "reached"
        driver = Path(__file__).with_name("stalled.py")
        words = map(str, (sys.executable, driver, target, number, marker, module, *arguments))
        process = subprocess.Popen([*words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        while not marker.exists() and process.poll() is None:
            time.sleep(0.01)
        assert marker.exists(), process.communicate()
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def histology(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pink tissue with purple blobs and a white border, 260 x 200 px."""
    rng = np.random.default_rng(4)
    blobs = gaussian_filter(rng.standard_normal((200, 260)), 3)
    rgb = np.where((blobs > 0.05)[..., None], (90, 60, 140), (230, 150, 190)).astype(np.uint8)
    rgb[:, :20] = 245
    path = tmp_path_factory.mktemp("histology") / "he.png"
    Image.fromarray(rgb).save(path)
    return path


@contextmanager
def served(app: "FastAPI", limits: "ConnectionLimits | None" = None) -> Iterator["httpx.Client"]:
    """A client of the application, served as it is to people: through a socket."""
    import httpx

    from confostain.viewer.serving import Address, http_server, listening

    listener = listening(Address(port=0))
    server = http_server(app, limits)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def serve() -> Callable[..., AbstractContextManager["httpx.Client"]]:
    return served


def tiny_network(channels: int, seed: int = 0) -> bytes:
    """An ONNX network of stride 2: pixels are folded into channels, convolved twice, unfolded. It sees 15 px."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(seed)
    folded, width = 4 * channels, 8
    weights = {
        "first.w": rng.normal(0, (9 * folded) ** -0.5, (width, folded, 3, 3)),
        "first.b": rng.normal(0, 0.1, width),
        "second.w": rng.normal(0, (25 * width) ** -0.5, (12, width, 5, 5)),
        "second.b": np.full(12, 0.55),
    }
    nodes = [
        helper.make_node("SpaceToDepth", ["image"], ["folded"], blocksize=2),
        helper.make_node("Conv", ["folded", "first.w", "first.b"], ["seen"], "/first/Conv", pads=[1] * 4),
        helper.make_node("Relu", ["seen"], ["positive"]),
        helper.make_node("Conv", ["positive", "second.w", "second.b"], ["made"], "/second/Conv", pads=[2] * 4),
        helper.make_node("DepthToSpace", ["made"], ["result"], blocksize=2, mode="CRD"),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, channels, "h", "w"])],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


@pytest.fixture
def make_stainer(tmp_path: Path) -> Callable[..., Path]:
    """Write a stainer's folder; keyword arguments go into its card."""

    def make(name: str = "tiny", **card: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        defaults = {"kind": "stainer", "input": "pair", "despeckler": None, "stride": 2, "receptive_field": 15}
        network = tiny_network(2 if card.get("input", "pair") == "pair" else 3)
        files = {"network.onnx": hashlib.sha256(network).hexdigest()}
        card = {**defaults, "description": "made in a test", "files": files, **card}
        (folder / "card.json").write_text(json.dumps(card))
        (folder / "network.onnx").write_bytes(network)
        return folder

    return make
