from __future__ import annotations

import numpy as np

from confostain.evaluation.stainer_pictures import MARKS, draw_marks
from confostain.imaging.nuclei import NucleiAudit


def test_nuclei_are_marked_where_they_are() -> None:
    places = [np.array([[y, 30.0]]) for y in (20.0, 40.0, 60.0)]
    audit = NucleiAudit(*places, supported=places[0], missing_share=0.5, invented_share=0.5, area=1.0)
    picture = draw_marks(np.full((90, 70, 3), 128, np.uint8), audit, (slice(10, 90), slice(0, 70)))
    assert picture.shape == (160, 140, 3)
    for (y,), colour in zip((place[:, 0] for place in places), MARKS.values(), strict=True):
        of_colour = np.argwhere((picture == colour).all(axis=-1))
        assert np.abs(of_colour.mean(axis=0) - ((y - 10 + 0.5) * 2, 61)).max() < 1  # twice as large, from row 10
        assert np.ptp(of_colour, axis=0).tolist() == [10, 10]
