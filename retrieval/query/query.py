"""A question as data: words and pictures that are asked for, and such that are not wanted.

>>> Query.of("a beach").like(Path("reference.jpg"), weight=0.5).minus("people")
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.query.filters import Filter

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Term:
    """Words, a picture by its path, or an open picture; `weight` is how much it counts, above 0."""

    value: str | Path | Image
    weight: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.value, str) and not self.value.strip():
            raise ValueError("A part of a question is empty: say what is to be seen.")
        if isinstance(self.weight, bool) or not isinstance(self.weight, int | float):
            raise TypeError(f"weight is a number, not {type(self.weight).__name__}.")
        if not 0 < self.weight <= 100:
            raise ValueError(f"weight is above 0 and at most 100, not {self.weight}.")

    @property
    def words(self) -> str | None:
        """The words, None for a picture."""
        return self.value if isinstance(self.value, str) else None


@dataclass(frozen=True)
class Query:
    """What is asked for, what is not wanted, and a condition that all answers fit.

    Each method returns a new question. Raises TypeError or ValueError for parts that make no sense.
    """

    wanted: tuple[Term, ...]
    unwanted: tuple[Term, ...] = ()
    filter: Filter | None = None

    def __post_init__(self) -> None:
        if not self.wanted:
            raise ValueError("A question asks for something: give it words or a picture.")

    @classmethod
    def of(cls, value: str | os.PathLike[str] | Image, weight: float = 1.0) -> Query:
        """A question for words, or for a picture by its path or open."""
        return cls((_term(value, weight),))

    def like(self, value: str | os.PathLike[str] | Image, weight: float = 1.0) -> Query:
        """And like this, words or a picture, weighed against what is asked for already."""
        return replace(self, wanted=(*self.wanted, _term(value, weight)))

    def minus(self, value: str | os.PathLike[str] | Image, weight: float = 1.0) -> Query:
        """And not this: what shows it is pushed back, the rest keeps its order."""
        return replace(self, unwanted=(*self.unwanted, _term(value, weight)))

    def where(self, filter_: Filter) -> Query:
        """And only of what fits; called again, of what fits both."""
        return replace(self, filter=filter_ if self.filter is None else self.filter & filter_)

    @property
    def words(self) -> str | None:
        """The words that are asked for, where nothing but words is."""
        found = [term.words for term in self.wanted]
        return ", ".join(word for word in found if word) if all(found) else None

    @property
    def is_plain(self) -> bool:
        """Whether it is one thing that is asked for, and nothing besides."""
        return len(self.wanted) == 1 and not self.unwanted


def _term(value: Any, weight: float) -> Term:
    if isinstance(value, str):
        return Term(value, weight)
    return Term(Path(value) if isinstance(value, os.PathLike) else value, weight)
