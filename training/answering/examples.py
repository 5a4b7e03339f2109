"""Questions as the network takes them: rows of encoded texts, and which answers are right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retrieval.answering.kinds import Kind, plain, subject_of
from retrieval.encoders.base import TextEncoder
from retrieval.evaluation.visual_questions import VisualQuestion


@dataclass(frozen=True)
class QuestionTexts:
    """t distinct questions, encoded: `words` (t, L, d), `mask` (t, L), `subjects` (t, dim)."""

    rows: Mapping[str, int]
    words: Tensor
    mask: Tensor
    subjects: Tensor


def encode_questions(encoder: TextEncoder, texts: Sequence[str]) -> QuestionTexts:
    """Encode questions as the answerer does when one is asked."""
    distinct = sorted(set(texts))
    found = encoder.encode_texts([plain(text) for text in distinct])
    assert found.word_tokens is not None and found.word_mask is not None
    subjects = sorted({subject_of(text) for text in distinct})
    places = {subject: row for row, subject in enumerate(subjects)}
    vectors = encoder.encode_texts(subjects).vectors
    return QuestionTexts(
        {text: row for row, text in enumerate(distinct)},
        torch.from_numpy(found.word_tokens),
        torch.from_numpy(found.word_mask),
        torch.from_numpy(vectors[[places[subject_of(text)] for text in distinct]]),
    )


@dataclass(frozen=True)
class Pictures:
    """p pictures: `tokens` int8 (p, rows, token_dim), `vectors` float32 (p, dim)."""

    tokens: NDArray[np.int8]
    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class Batch:
    """b pictures with up to q questions each.

    `words` (b, q, L, d), `mask` (b, q, L), `subjects` (b, q, dim), `tokens` int8 (b, rows, t),
    `vectors` (b, dim); `allowed` and `right`, bool (b, q, a): the answers of the question's kind
    and those that are right. A question with no right answer is padding.
    """

    words: Tensor
    mask: Tensor
    subjects: Tensor
    tokens: Tensor
    vectors: Tensor
    allowed: Tensor
    right: Tensor


class Examples:
    """Questions of pictures, grouped by picture. Those with no answer of the vocabulary are out."""

    def __init__(
        self,
        questions: Sequence[VisualQuestion],
        pictures: Pictures,
        texts: QuestionTexts,
        answers: Mapping[Kind, Sequence[str]],
    ) -> None:
        self._pictures = pictures
        self._texts = texts
        order = [(kind, answer) for kind, those in answers.items() for answer in those]
        self._column = {pair: column for column, pair in enumerate(order)}
        self._allowed = {kind: torch.tensor([own == kind for own, _ in order]) for kind in answers}
        self.questions = [
            question
            for question in questions
            if any((question.kind, answer) in self._column for answer in question.answers)
        ]
        self._of: dict[int, list[VisualQuestion]] = {}
        for question in self.questions:
            self._of.setdefault(question.picture, []).append(question)

    @property
    def answers(self) -> int:
        """How many answers there are to choose among."""
        return len(self._column)

    def batches(
        self, size: int, most: int, rng: np.random.Generator | None = None
    ) -> Iterator[Batch]:
        """All pictures, `size` at a time, with at most `most` questions of each.

        Drawn and in a new order where `rng` is given; else the first in the order of pictures.
        """
        places = np.array(sorted(self._of))
        if rng is not None:
            places = rng.permutation(places)
        for start in range(0, len(places), size):
            some = places[start : start + size].tolist()
            yield self.batch(some, [self._drawn(place, most, rng) for place in some])

    def batch(self, places: Sequence[int], asked: Sequence[Sequence[VisualQuestion]]) -> Batch:
        """Pictures with the questions asked of each."""
        most = max(len(questions) for questions in asked)
        rows = torch.zeros(len(places), most, dtype=torch.long)
        allowed = torch.zeros(len(places), most, self.answers, dtype=torch.bool)
        right = torch.zeros_like(allowed)
        for place, questions in enumerate(asked):
            for number, question in enumerate(questions):
                rows[place, number] = self._texts.rows[question.text]
                allowed[place, number] = self._allowed[question.kind]
                for answer in question.answers:
                    column = self._column.get((question.kind, answer))
                    if column is not None:
                        right[place, number, column] = True
        mask = self._texts.mask[rows]
        length = int(mask.any(dim=1).any(dim=0).nonzero().max()) + 1
        return Batch(
            self._texts.words[rows][:, :, :length],
            mask[:, :, :length],
            self._texts.subjects[rows],
            torch.from_numpy(self._pictures.tokens[list(places)]),
            torch.from_numpy(self._pictures.vectors[list(places)]),
            allowed,
            right,
        )

    def _drawn(
        self, place: int, most: int, rng: np.random.Generator | None
    ) -> list[VisualQuestion]:
        own = self._of[place]
        if rng is None or len(own) <= most:
            return own[:most]
        return [own[i] for i in rng.permutation(len(own))[:most].tolist()]
