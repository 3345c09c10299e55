"""The reader study in a real browser."""

import csv
from pathlib import Path

import pytest

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


LESSON = """
title = "Training"
field_pixels = 96
fields = 1
screen_microns_per_pixel = 0.25
[[arms]]
name = "one"
slide = "{scan}"
model = "gareau"
[[arms]]
name = "lesson"
slide = "{lesson}"
model = "gareau"
training = true
explanation = "Look at the borders."
[[questions]]
id = "which"
text = "Which stain is it?"
choices = ["first", "second"]
correct = {{one = "first", lesson = "first"}}
"""


@pytest.mark.parametrize(
    ("key", "said"), [("1", "Right: first"), ("2", "Not right. Correct is: first")], ids=["right", "wrong"]
)
def test_training_gives_feedback_and_zoom_is_logged(phantom_scan: Path, tmp_path: Path, key: str, said: str) -> None:
    (tmp_path / "other").symlink_to(phantom_scan.parent)
    lesson = tmp_path / "other" / phantom_scan.name
    (tmp_path / "study.toml").write_text(LESSON.format(scan=phantom_scan, lesson=lesson))
    results = tmp_path / "answers.csv"
    arguments = (str(tmp_path / "study.toml"), "--reader", "anna", "--results", str(results))
    with chromium() as browser, serving("study", *arguments) as url:
        reader = Window(browser, url)
        reader.page.goto(url)
        reader.page.get_by_role("button", name="Begin").click(timeout=WAIT)
        reader.page.locator("fieldset.now").first.wait_for(timeout=WAIT)
        assert reader.page.locator("#image").bounding_box()["width"] == 288  # 96 px of 0.75 um at 0.25 um
        reader.page.keyboard.press(key)
        reader.page.keyboard.press("Enter")
        reader.page.get_by_text(said, exact=True).wait_for(timeout=WAIT)
        reader.page.get_by_text("Look at the borders.", exact=True).wait_for(timeout=WAIT)
        reader.page.keyboard.press("Enter")
        reader.page.get_by_text("The training is finished", exact=True).wait_for(timeout=WAIT)
        reader.page.keyboard.press("Enter")
        reader.page.locator("fieldset.now").first.wait_for(timeout=WAIT)
        for pressed in ("+", "+", "-", "1", "Enter"):
            reader.page.keyboard.press(pressed)
        reader.page.get_by_text("That was the last field", exact=True).wait_for(timeout=WAIT)
        assert (reader.problems, reader.hosts) == ([], {reader.own_host})
    rows = list(csv.DictReader(results.read_text().splitlines()))
    assert [(row["reading"], row["arm"], row["max_zoom"]) for row in rows] == [
        ("0", "lesson", "1.0"),
        ("1", "one", "2.0"),
    ]
