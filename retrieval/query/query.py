"""A question as data: words, pictures and vectors that are asked for, and such that are not wanted.

>>> Query.of("a beach").like(Path("reference.jpg"), weight=0.5).minus("people")
>>> Query.of("a dog runs").then("it jumps into water")  # in a video
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retrieval.query.filters import Filter

if TYPE_CHECKING:
    from PIL.Image import Image

    Askable = str | os.PathLike[str] | Image | NDArray[np.floating]
    """Words, the path of a picture, an open picture, or a vector."""


@dataclass(frozen=True)
class Embedding:
    """A vector that is asked with, of the space of an index; `data` are its float32 numbers."""

    data: bytes

    @classmethod
    def of(cls, vector: NDArray[np.floating]) -> Embedding:
        """Of one vector, (dim,) or (1, dim), whose length need not be one.

        Raises ValueError where it is no vector that points somewhere.
        """
        row = np.asarray(vector, dtype=np.float32)
        if row.shape[:-1] not in ((), (1,)) or not row.size:
            raise ValueError(f"A vector has the shape (dim,) or (1, dim), not {row.shape}.")
        length = float(np.linalg.norm(row))
        if not np.isfinite(length) or length == 0:
            raise ValueError("A vector to ask with is finite and not all zeros.")
        # A vector of the index's own, of unit length save for rounding, is asked with as it is.
        unit = row.ravel() if abs(length - 1) < 1e-3 else row.ravel() / np.float32(length)
        return cls(unit.tobytes())

    @property
    def vector(self) -> NDArray[np.float32]:
        """Of unit length, float32 (1, dim)."""
        return np.frombuffer(self.data, dtype=np.float32)[np.newaxis]


@dataclass(frozen=True)
class Term:
    """Words, a picture by its path, an open picture or a vector.

    `weight` is how much it counts, above 0.
    """

    value: str | Path | Image | Embedding
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
        """The words, None for a picture or a vector."""
        return self.value if isinstance(self.value, str) else None


@dataclass(frozen=True)
class Query:
    """What is asked for, what is not wanted, and a condition that all answers fit.

    `following`: what is to be seen after it in a video, one after another.

    Each method returns a new question. Raises TypeError or ValueError for parts that make no sense.
    """

    wanted: tuple[Term, ...]
    unwanted: tuple[Term, ...] = ()
    filter: Filter | None = None
    following: tuple[Query, ...] = ()

    def __post_init__(self) -> None:
        if not self.wanted:
            raise ValueError("A question asks for something: give it words or a picture.")

    @classmethod
    def of(cls, value: Askable, weight: float = 1.0) -> Query:
        """A question for words, for a picture by its path or open, or for what is near a vector."""
        return cls((_term(value, weight),))

    def like(self, value: Askable, weight: float = 1.0) -> Query:
        """And like this, whatever it is, weighed against what is asked for already."""
        return replace(self, wanted=(*self.wanted, _term(value, weight)))

    def minus(self, value: Askable, weight: float = 1.0) -> Query:
        """And not this: what shows it is pushed back, the rest keeps its order."""
        return replace(self, unwanted=(*self.unwanted, _term(value, weight)))

    def then(self, value: Askable | Query, weight: float = 1.0) -> Query:
        """And after it this, later in the same video; called again, one after another.

        Each may itself be a question, with what it wants and does not want.
        """
        step = value if isinstance(value, Query) else Query.of(value, weight)
        if step.filter is not None:
            raise ValueError("A condition holds for the whole question: give it to the first step.")
        steps = (replace(step, following=()), *step.following)
        return replace(self, following=(*self.following, *steps))

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
        return len(self.wanted) == 1 and not self.unwanted and not self.following


def _term(value: Any, weight: float) -> Term:
    if isinstance(value, str):
        return Term(value, weight)
    if isinstance(value, np.ndarray):
        return Term(Embedding.of(value), weight)
    return Term(Path(value) if isinstance(value, os.PathLike) else value, weight)
