"""Report of a reader study: accuracy and agreement as one table, and the answers as multi-reader multi-case data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from confostain.errors import OptionError
from confostain.study.agreement import Estimate, clustered_proportion, kappa, quadratic_weights
from confostain.study.protocol import Protocol, Question
from confostain.study.results import Answer
from confostain.study.session import TRAINING

ALL = "(all)"
Row = dict[str, object]
Marked = tuple[str, bool]  # case, and whether the answer was such


def summary(protocol: Protocol, answers: Sequence[Answer]) -> list[Row]:
    """Table of measures with 95 % intervals, one row each; the training counts for nothing.

    For each question, reading, modality and reader: accuracy, sensitivity and specificity, or for opinions the share of
    each choice; for all readers together kappa, of an ordinal question weighted, too. If there are several rounds,
    also of each round. If there are several readings, also the agreement of each reader with themselves.
    """
    table: list[Row] = []
    for question in protocol.questions:
        own = [one for one in answers if one.question == question.id and one.reading != TRAINING]
        for place, group in _groups(protocol, own):
            head = {"question": question.id} | place
            table += [head | row for row in _proportions(question, group)]
            if place["reader"] == ALL:
                table += [head | row for row in _kappas(question, group, lambda one: one.reader)]
        table += [{"question": question.id} | row for row in _with_themselves(question, own)]
    return table


def _groups(protocol: Protocol, answers: Sequence[Answer]) -> Iterator[tuple[Row, list[Answer]]]:
    """Each reading, round, modality and reader that has answers, and all of them together."""
    for reading in sorted({one.reading for one in answers}):
        of_reading = [one for one in answers if one.reading == reading]
        modalities = _and_all({protocol.modality_of(one.arm) for one in of_reading})
        rounds = range(1, protocol.rounds + 1) if protocol.rounds > 1 else ()
        for round_, modality in [*((ALL, modality) for modality in modalities), *((one, ALL) for one in rounds)]:
            inside = [
                one
                for one in of_reading
                if round_ in (ALL, one.round) and modality in (ALL, protocol.modality_of(one.arm))
            ]
            for reader in _and_all({one.reader for one in inside}):
                place: Row = {"reading": reading, "round": round_, "modality": modality, "reader": reader}
                yield place, [one for one in inside if reader in (ALL, one.reader)]


def _and_all(names: set[str]) -> list[str]:
    return [*sorted(names), ALL] if len(names) > 1 else sorted(names)


def _proportions(question: Question, answers: Sequence[Answer]) -> Iterator[Row]:
    if not question.correct:
        for choice in question.choices:
            yield _proportion(f"share of {choice}", [(one.case, one.choice == choice) for one in answers])
        return
    known = [(one, question.is_correct(one.arm, one.choice)) for one in answers]
    marked = [(one, is_correct) for one, is_correct in known if is_correct is not None]
    measures = {"accuracy": marked}
    if question.positive is not None:
        truths = [question.is_positive(question.correct[one.arm]) for one, _ in marked]
        measures["sensitivity"] = [mark for mark, truth in zip(marked, truths, strict=True) if truth]
        measures["specificity"] = [mark for mark, truth in zip(marked, truths, strict=True) if not truth]
    for measure, marks in measures.items():
        if marks:
            yield _proportion(measure, [(one.case, is_correct) for one, is_correct in marks])


def _proportion(measure: str, marks: Sequence[Marked]) -> Row:
    clusters = np.unique([case for case, _ in marks], return_inverse=True)[1]
    totals = np.bincount(clusters)
    successes = np.bincount(clusters, [mark for _, mark in marks]).astype(int)
    return _row(measure, len(totals), len(marks), clustered_proportion(successes, totals))


def _kappas(question: Question, answers: Sequence[Answer], rater: Callable[[Answer], str | int]) -> Iterator[Row]:
    """Kappa over the fields that every rater has judged; a rater is a reader, or a reading of one."""
    raters = sorted({rater(one) for one in answers}, key=str)
    judged: dict[str, dict[str | int, Answer]] = {}
    for one in answers:
        judged.setdefault(one.field, {})[rater(one)] = one
    common = [by_rater for by_rater in judged.values() if len(by_rater) == len(raters)]
    if len(raters) < 2 or not common:
        return
    choices = np.array([[question.choices.index(by_rater[name].choice) for name in raters] for by_rater in common])
    clusters = np.unique([by_rater[raters[0]].case for by_rater in common], return_inverse=True)[1]
    measures = {"kappa": np.eye(len(question.choices))}
    if question.ordinal:
        measures["weighted kappa"] = quadratic_weights(len(question.choices))
    for measure, weights in measures.items():
        yield _row(measure, clusters.max() + 1, choices.size, kappa(choices, weights, clusters))


def _with_themselves(question: Question, answers: Sequence[Answer]) -> Iterator[Row]:
    """Agreement and kappa of each reader between one reading and the next."""
    for first, second in pairwise(sorted({one.reading for one in answers})):
        for reader in sorted({one.reader for one in answers}):
            own = [one for one in answers if one.reader == reader and one.reading in (first, second)]
            earlier = {one.field: one.choice for one in own if one.reading == first}
            again = [one for one in own if one.reading == second and one.field in earlier]
            if not again:
                continue
            head: Row = {"reading": f"{first}-{second}", "round": ALL, "modality": ALL, "reader": reader}
            yield head | _proportion("agreement", [(one.case, one.choice == earlier[one.field]) for one in again])
            yield from (head | row for row in _kappas(question, own, lambda one: one.reading))


def _row(measure: str, cases: int, answers: int, estimate: Estimate) -> Row:
    figures = {name: "" if math.isnan(one) else f"{one:.4f}" for name, one in estimate._asdict().items()}
    return {"measure": measure, "cases": cases, "answers": answers} | figures


def mrmc_rows(protocol: Protocol, answers: Sequence[Answer]) -> list[Row]:
    """Answers to the questions with `positive` as multi-reader multi-case data, one row each; without the training.

    The columns readerID, caseID, modalityID, score (number of the choice, from 1) and truth (1 positive, 0 negative)
    are those that `createIMRMCdf` of the R package iMRMC takes. Choose one question and one reading first.

    Raises OptionError if no question has `positive` and `correct`.
    """
    questions = {one.id: one for one in protocol.questions if one.positive is not None and one.correct}
    if not questions:
        raise OptionError("no question has `positive` and `correct`; expected one with both; add them to the protocol")
    rows = list[Row]()
    for one in answers:
        question = questions.get(one.question)
        if question is None or one.reading == TRAINING or one.arm not in question.correct:
            continue
        place: Row = {"question": one.question, "reading": one.reading, "readerID": one.reader, "caseID": one.case}
        score = question.choices.index(one.choice) + 1
        truth = int(question.is_positive(question.correct[one.arm]))
        rows.append(place | {"modalityID": protocol.modality_of(one.arm), "score": score, "truth": truth})
    return rows
