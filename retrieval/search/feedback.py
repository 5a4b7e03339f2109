"""What was marked right or wrong for a question moves the question: relevance feedback.

Rocchio's rule (Rocchio, *Relevance feedback in information retrieval*, 1971): the vector of the
question, plus a share of the mean of the right pictures, less a smaller share of that of the wrong
ones. Its weights were measured against other ones and against a classifier over the marked
pictures, see `benchmarks/feedback.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.base import Vectors
from retrieval.query.query import Query
from retrieval.search.hit import Hit

RIGHT_WEIGHT = 0.75
WRONG_WEIGHT = 0.15


@dataclass(frozen=True)
class Feedback:
    """Answers, or pictures by path, that were marked as right or as wrong for a question."""

    right: Sequence[Hit | str | os.PathLike[str]] = ()
    wrong: Sequence[Hit | str | os.PathLike[str]] = ()

    def __post_init__(self) -> None:
        for marked in (self.right, self.wrong):
            if isinstance(marked, str | os.PathLike | Hit):
                raise TypeError("Marked pictures are a list of hits or paths.")


@dataclass(frozen=True)
class Marks:
    """The ids of items that were marked as right or as wrong, ascending."""

    right: tuple[int, ...] = ()
    wrong: tuple[int, ...] = ()

    @classmethod
    def of(cls, is_right: Mapping[int, bool]) -> Marks:
        """From whether each marked item is right, by its id."""
        return cls(
            tuple(sorted(id_ for id_, right in is_right.items() if right)),
            tuple(sorted(id_ for id_, right in is_right.items() if not right)),
        )

    def __bool__(self) -> bool:
        return bool(self.right or self.wrong)


def key_of(query: Query) -> str | None:
    """The words by which marks for a question are kept; None where it is not of words alone.

    Case and spaces make no difference. What is not wanted is part of it.
    """
    wanted, unwanted = ([term.words for term in terms] for terms in (query.wanted, query.unwanted))
    # Marks are of pictures by themselves, not of what follows what.
    if None in wanted or None in unwanted or query.following:
        return None
    parts = [", ".join(str(words) for words in wanted), *(f"no {words}" for words in unwanted)]
    return " ".join(", ".join(parts).casefold().split())


def moved(question: Vectors, right: NDArray[np.floating], wrong: NDArray[np.floating]) -> Vectors:
    """The question's vector, (1, dim), moved to right pictures and away from wrong ones.

    `right` (r, dim) and `wrong` (w, dim) are unit vectors, and so is the result.
    """
    vector = np.asarray(question, dtype=np.float32).copy()
    if len(right):
        vector += RIGHT_WEIGHT * np.asarray(right, dtype=np.float32).mean(axis=0)
    if len(wrong):
        vector -= WRONG_WEIGHT * np.asarray(wrong, dtype=np.float32).mean(axis=0)
    length = float(np.linalg.norm(vector))
    # Marks that leave nothing of it say nothing.
    return vector / np.float32(length) if length > 1e-6 else question


def of_marks(
    marks: Marks, stored: Mapping[int, NDArray[np.float16]], dim: int
) -> tuple[Vectors, Vectors]:
    """The vectors of right and of wrong pictures, (r, dim) and (w, dim), of those still there."""
    right, wrong = (
        np.array([stored[id_] for id_ in ids if id_ in stored], np.float32).reshape(-1, dim)
        for ids in (marks.right, marks.wrong)
    )
    return right, wrong
