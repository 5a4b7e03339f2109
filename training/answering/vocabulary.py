"""The answers that the network chooses among, by kind of question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from retrieval.answering.kinds import KINDS, Kind
from retrieval.evaluation.visual_questions import VisualQuestion

# Rarer answers are not learnt.
LEAST_COUNT = 12


def choose_answers(
    questions: Sequence[VisualQuestion], least: int = LEAST_COUNT
) -> dict[Kind, list[str]]:
    """The answers of each kind that are right `least` times, the most frequent first."""
    counts: Mapping[Kind, Counter[str]] = {kind: Counter() for kind in KINDS}
    for question in questions:
        counts[question.kind].update(question.answers)
    chosen = {
        kind: [answer for answer, count in counts[kind].most_common() if count >= least]
        for kind in KINDS
    }
    # Numbers are few at the upper end, and have an order.
    chosen["number"] = sorted(counts["number"], key=int)
    return {kind: answers for kind, answers in chosen.items() if answers}
