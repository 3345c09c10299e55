"""Which channel is the reflectance, which the fluorescence, as the names of both say."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from itertools import permutations

from confostain.errors import ConfostainWarning

# Words count twice: a wavelength says how a channel was lit, which can be the same for both.
_WORDS = {
    "R": re.compile(r"refl|rcm|back.?scatter|\bR\b", re.IGNORECASE),
    "F": re.compile(r"fluo|fcm|acridine|nuclei|nuclear|\bAO\b|\bF\b", re.IGNORECASE),
}
_WAVELENGTHS = {
    "R": re.compile(r"(?<!\d)(638|640|658|660|670|785|830)(?!\d)"),
    "F": re.compile(r"(?<!\d)488(?!\d)"),
}


def evidence(name: str, kind: str) -> int:
    """How much a channel's name speaks for "R" or "F": 2 for a word, 1 for a wavelength."""
    return 2 * bool(_WORDS[kind].search(name)) + bool(_WAVELENGTHS[kind].search(name))


def reflectance_and_fluorescence(names: Sequence[str]) -> tuple[int, int] | None:
    """Positions of reflectance and fluorescence among channel names; None where the names do not decide.

    All names are weighed together, so that "Refl 488" beside "Fluo" is the reflectance. Of more than two channels both
    wanted ones must be named.
    """
    scores = {
        (r, f): evidence(names[r], "R") - evidence(names[r], "F") + evidence(names[f], "F") - evidence(names[f], "R")
        for r, f in permutations(range(len(names)), 2)
    }
    if not scores:
        return None
    best = max(scores.values())
    winners = [pair for pair, score in scores.items() if score == best]
    if len(winners) != 1 or best <= 0:
        return None
    r, f = winners[0]
    if len(names) > 2 and not (evidence(names[r], "R") and evidence(names[f], "F")):
        return None
    return r, f


def warn_of_pairs(name: str, axis: str) -> None:
    """Warn that two planes along an axis of depth or time are taken for the two channels."""
    warnings.warn(
        f"{name}: no channels but 2 planes along {axis}; the first is taken for reflectance, the second for"
        " fluorescence; if they are depths or times, export one of them with both channels",
        ConfostainWarning,
        stacklevel=2,
    )
