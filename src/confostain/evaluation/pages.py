"""HTML pages without other files: sections, tables, embedded pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

import confostain

QUALITY = 95  # of JPEG; metrics are computed from the exact pixels

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em; color: #222; background: #fff }
table { border-collapse: collapse; margin: 1em 0 } th, td { padding: .25em .8em; text-align: right }
th { border-bottom: 1px solid #999; vertical-align: bottom } th:first-child, td:first-child { text-align: left }
figure { display: inline-block; margin: 0 8px 12px 0; vertical-align: top } figcaption { font-size: 13px }
img { display: block; image-rendering: pixelated } p { max-width: 60em }
"""


@dataclass(frozen=True)
class Section:
    """Part of a page: its heading, and its content as HTML."""

    title: str
    html: str


def page(title: str, sections: Sequence[Section]) -> str:
    """HTML document of a title and sections, with version and the research-use sentence."""
    body = "".join(f"<h2>{escape(section.title)}</h2>\n{section.html}\n" for section in sections)
    label = f"confostain {confostain.__version__}. Digitally stained. <b>{confostain.RESEARCH_USE}</b>"
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n<h1>{escape(title)}</h1>\n"
        f"<p>{label}</p>\n{body}</html>\n"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """HTML table; the text of its cells is escaped."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f"<table><tr>{head}</tr>\n{body}</table>"


def note(text: str) -> str:
    """HTML paragraph; the text is escaped."""
    return f"<p>{escape(text)}</p>\n"


def figure(image: npt.NDArray[np.uint8], caption: str) -> str:
    """HTML figure with an embedded JPEG of a picture, uint8 (h, w) or (h, w, 3), at one screen pixel per pixel."""
    from PIL import Image

    memory = io.BytesIO()
    Image.fromarray(image).save(memory, "JPEG", quality=QUALITY, subsampling=0)
    data = base64.b64encode(memory.getvalue()).decode()
    return (
        f'<figure><img width="{image.shape[1]}" height="{image.shape[0]}" alt="{escape(caption)}" '
        f'src="data:image/jpeg;base64,{data}"><figcaption>{escape(caption)}</figcaption></figure>'
    )
