"""The reader study in a real browser."""

import csv
from pathlib import Path

from headless_browser import WAIT, Window, chromium, needs_chromium, serving

pytestmark = needs_chromium

STUDY = """
title = "Which stain?"
introduction = "Two fields."
fields = 1
field_pixels = 96
[[arms]]
name = "one"
slide = "{scan}"
model = "gareau"
[[arms]]
name = "other"
slide = "{scan}"
model = "beer-lambert"
[[questions]]
id = "which"
text = "Which stain is it?"
choices = ["first", "second"]
correct = {{one = "first", other = "second"}}
[[questions]]
id = "quality"
text = "How good is it?"
choices = ["1", "2", "3"]
"""


def test_a_study_is_answered_by_keyboard_and_resumed(phantom_scan: Path, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY.format(scan=phantom_scan))
    results = tmp_path / "answers.csv"
    arguments = (str(tmp_path / "study.toml"), "--reader", "anna", "--results", str(results))
    with chromium() as browser, serving("study", *arguments) as url:
        for answered, keys, begin in ((0, "12", "Begin"), (1, "23", "Go on")):
            reader = Window(browser, url)
            reader.page.goto(url)
            reader.page.get_by_role("button", name=begin).click(timeout=WAIT)
            reader.page.get_by_text(f"{answered} of 2", exact=True).wait_for(timeout=WAIT)
            reader.page.locator("fieldset.now").first.wait_for(timeout=WAIT)
            for key in (*keys, "Enter"):
                reader.page.keyboard.press(key)
            reader.page.get_by_text(f"{answered + 1} of 2", exact=True).wait_for(timeout=WAIT)
            assert reader.page.content().count("gareau") == 0
            assert (reader.problems, reader.hosts) == ([], {reader.own_host})
            reader.context.close()
    rows = [(row["question"], row["answer"]) for row in csv.DictReader(results.read_text().splitlines())]
    assert rows == [("which", "first"), ("quality", "2"), ("which", "second"), ("quality", "3")]
