"""Shipped networks in engines that others wrote: the same picture within 1 grey level."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from confostain.models.build import CHANNELS
from confostain.models.card import ONNX, SHIPPED, read_card
from confostain.models.engines.cpu import OpenVinoNetwork

SIZES = [(128, 160), (256, 64)]  # height and width, after one another: both are free


@pytest.mark.parametrize("engine", ["onnxruntime", "opencv"])
@pytest.mark.parametrize("name", ["swift", "swift-hq", "cyclegan", "despeckler", "despeckler-paper"])
def test_other_engines_give_the_same_picture(name: str, engine: str) -> None:
    path = SHIPPED / name / ONNX
    ours = OpenVinoNetwork(path)
    for height, width in SIZES:
        noise = np.random.default_rng(0).standard_normal((CHANNELS[read_card(SHIPPED / name).input], height, width))
        smooth = gaussian_filter(noise, (0, 2, 2))
        image = (0.5 + smooth / np.abs(smooth).max() / 2).astype(np.float32)
        if engine == "onnxruntime":
            onnxruntime = pytest.importorskip("onnxruntime")
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            (made,) = session.run(None, {"image": image[np.newaxis]})
        else:
            cv2 = pytest.importorskip("cv2", minversion="5")
            network = cv2.dnn.readNetFromONNX(str(path))
            network.setInput(image[np.newaxis])
            made = network.forward()
        assert made[0].shape[1:] == (height, width)
        assert np.abs(made[0] - ours(image)).max() < 1 / 255
