"""Answers that show the same folded into the best of them: copies, and pictures of one burst.

Moments of one video fold into the best of them, whatever they show.

Two pictures are copies where their vectors are as near as only those of copies are; of one burst
where they were taken within a minute and their vectors are near. How near was measured, see
`benchmarks/diversity.py`, for the built-in model; of another model's vectors only what is nearly
the same is taken for a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.search.hit import Hit, Hits
from retrieval.search.question import Question

# So many times as many answers as are wanted are looked through for what folds into them.
_REACH = 4
_SMALLEST_REACH = 50


@dataclass(frozen=True)
class FoldRule:
    """Cosines from which two pictures are copies, or of one burst when taken within `burst`."""

    copy_cosine: float
    burst_cosine: float
    burst: timedelta = timedelta(seconds=60)


_MEASURED = {"compact": FoldRule(0.92, 0.85)}
_CAREFUL = FoldRule(0.97, 0.92)


def rule_for(space_name: str) -> FoldRule:
    """The rule for the vectors of a model by its name."""
    return _MEASURED.get(space_name, _CAREFUL)


def fold(
    hits: Sequence[Hit], vectors: Mapping[int, NDArray[np.floating]], rule: FoldRule
) -> list[Hit]:
    """The answers, best first, each with those after it that are like it in `Hit.like`.

    Whether one folds is told by comparing it with the best of each group alone, so that a long
    series of slow changes does not fold as a whole. `vectors`, of unit length, by item id; an
    answer without one stays by itself. Ranks are those of the groups.
    """
    leaders: list[Hit] = []
    like: list[list[Hit]] = []
    # The group of each video, and of one that has shown only what another shows, the other's.
    of_video: dict[Path, int] = {}
    twin_of: dict[Path, int] = {}
    dim = next((len(vector) for vector in vectors.values()), 0)
    known = np.zeros((len(hits), dim), dtype=np.float32)
    for hit in hits:
        vector = vectors.get(hit.item_id)
        if hit.path in of_video:
            like[of_video[hit.path]].append(hit)
            continue
        if vector is not None:
            cosines = known[: len(leaders)] @ np.asarray(vector, dtype=np.float32)
            group = next(
                (
                    int(place)
                    for place in np.flatnonzero(cosines >= min(rule.copy_cosine, rule.burst_cosine))
                    if _shows_the_same(leaders[place], hit, float(cosines[place]), rule)
                ),
                None,
            )
            # A video may share a title with another, and may be another's copy.
            if group is None and hit.path in twin_of:
                twin = twin_of[hit.path]
                if _is_moment_of(leaders[twin].path, vector, hits, vectors, rule):
                    group = twin
            if group is not None:
                like[group].append(hit)
                if hit.time_ms is not None:
                    twin_of[hit.path] = group
                continue
            known[len(leaders)] = vector
        if hit.time_ms is not None:
            of_video[hit.path] = len(leaders)
        leaders.append(hit)
        like.append([])
    return [
        replace(hit, rank=rank, like=tuple(own))
        for rank, (hit, own) in enumerate(zip(leaders, like, strict=True), start=1)
    ]


def answer_folded(
    questions: Sequence[Question],
    answer: Callable[[Sequence[Question]], Sequence[Sequence[Hit]]],
    vectors_of: Callable[[Sequence[int]], Mapping[int, NDArray[np.floating]]],
    rule: FoldRule,
) -> list[Hits]:
    """Answers to questions whose `k` and `offset` count groups.

    `answer` answers them unfolded, with as many answers as are needed to make so many groups.
    """
    folded: list[Hits] = [Hits() for _ in questions]
    reach = {
        place: max(_SMALLEST_REACH, _REACH * question.last)
        for place, question in enumerate(questions)
    }
    while reach:
        places = list(reach)
        found = answer([replace(questions[place], offset=0, k=reach[place]) for place in places])
        for place, hits in zip(places, found, strict=True):
            question = questions[place]
            groups = fold(hits, vectors_of([hit.item_id for hit in hits]), rule)
            if len(groups) >= question.last or len(hits) < reach[place]:
                folded[place] = Hits(groups[question.offset : question.last])
                del reach[place]
            else:
                reach[place] *= _REACH
    return folded


def _is_moment_of(
    video: Path,
    vector: NDArray[np.floating],
    hits: Sequence[Hit],
    vectors: Mapping[int, NDArray[np.floating]],
    rule: FoldRule,
) -> bool:
    """Whether a moment is one of another video's as well."""
    others = [vectors[hit.item_id] for hit in hits if hit.path == video and hit.item_id in vectors]
    return bool(others) and float(np.max(np.stack(others) @ vector)) >= rule.copy_cosine


def _shows_the_same(one: Hit, other: Hit, cosine: float, rule: FoldRule) -> bool:
    if cosine >= rule.copy_cosine:
        return True
    if one.taken_at is None or other.taken_at is None or cosine < rule.burst_cosine:
        return False
    return abs(one.taken_at - other.taken_at) <= rule.burst
