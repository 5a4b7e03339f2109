"""A question with all that says how it is to be answered, as the stages of a search pass it on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypedDict

from retrieval.query.filters import Filter
from retrieval.query.query import Query
from retrieval.rerankers.registry import AUTO
from retrieval.search.compose import Fusion
from retrieval.search.feedback import Feedback, Marks
from retrieval.vectors.base import Ids

# What is held against the words of a question: pictures, the words beside them, or both.
Match = Literal["both", "pictures", "words"]
MATCHES: tuple[Match, ...] = ("both", "pictures", "words")
DEFAULT_CANDIDATES = 50


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked, and how many answers are wanted of what.

    `only`: the ids that may answer, ascending, None where all may. The answers are those from
    `offset` on, at most `k`. `diversity`: how much scores count against differing from the other
    answers, from 0 to 1; None where only scores do. `marks`: what was marked for it, None where
    nothing was. The rest is as `SearchEngine.search` takes it.
    """

    query: Query
    only: Ids | None = None
    k: int = 10
    offset: int = 0
    min_score: float | None = None
    rerank: str = AUTO
    candidates: int = DEFAULT_CANDIDATES
    fusion: Fusion = "average"
    relevant: bool = False
    diversity: float | None = None
    fold: bool = False
    match: Match = "both"
    marks: Marks | None = None

    @property
    def text(self) -> str | None:
        """The words that are looked at again; several things have no score together."""
        return self.query.wanted[0].words if len(self.query.wanted) == 1 else None

    @property
    def last(self) -> int:
        """The rank of the last answer that is wanted."""
        return self.offset + self.k


class SearchOptions(TypedDict, total=False):
    """The options of `SearchEngine.search` that say what may answer and how it is ranked."""

    within: str | os.PathLike[str] | None
    after: datetime | None
    before: datetime | None
    filter: Filter | str | None
    min_score: float | None
    rerank: str
    candidates: int
    fusion: Fusion
    relevant: bool
    diverse: bool | float
    fold: bool
    match: Match
    feedback: Feedback | Literal["kept"] | None
