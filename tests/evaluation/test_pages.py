from __future__ import annotations

import base64
import io
import re

import numpy as np
from PIL import Image

from confostain.evaluation.pages import Section, figure, note, page, table


def test_what_stands_in_a_page_is_escaped() -> None:
    text = page("a < b", [Section("R & F", table(["<i>"], [["1 < 2"]]))])
    assert "<h1>a &lt; b</h1>" in text
    assert "<h2>R &amp; F</h2>" in text
    assert "<th>&lt;i&gt;</th>" in text
    assert "<td>1 &lt; 2</td>" in text
    assert note("R & F") == "<p>R &amp; F</p>\n"


def test_a_picture_is_embedded_pixel_by_pixel() -> None:
    rgb = np.zeros((20, 30, 3), np.uint8)
    rgb[:, 15:] = (200, 40, 90)
    html = figure(rgb, 'a "picture"')
    assert 'width="30" height="20" alt="a &quot;picture&quot;"' in html
    data = re.search(r"base64,([^\"]*)", html)
    assert data is not None
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data[1]))))
    assert np.abs(shown[5, 25].astype(int) - (200, 40, 90)).max() < 8
    rgb[:, ::2] = (40, 40, 200)  # colour as fine as a pixel, which most JPEGs average away
    data = re.search(r"base64,([^\"]*)", figure(rgb, ""))
    assert data is not None
    fine = np.asarray(Image.open(io.BytesIO(base64.b64decode(data[1])))).astype(int)
    assert np.abs(fine[5, 20] - (40, 40, 200)).max() < 20
    assert figure(rgb[..., 0], "grey").startswith("<figure>")
