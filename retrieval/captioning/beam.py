"""Beam search over whatever says, word piece by word piece, what is likely to come next.

The sentences are kept that are likely as a whole: the logarithms of their pieces' probabilities are
added up and divided by a length penalty, without which short ones would always win. Both after Wu
et al., *Google's Neural Machine Translation System* (2016), section 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class BeamSettings:
    """How sentences are looked for.

    `end`: the piece that ends one. `longest`: in pieces, the end included. `beams`: how many
    beginnings are followed at once. `length_penalty`: 0 for none; the larger, the longer the
    sentences. `forbidden`: pieces that are never said.
    """

    end: int
    longest: int
    beams: int = 5
    length_penalty: float = 0.7
    forbidden: tuple[int, ...] = ()


@dataclass(frozen=True)
class Hypothesis:
    """A sentence that was found.

    `pieces` is without the end. `log_probability`: of all of its pieces, its end included. `score`:
    that divided by the length penalty; larger is better.
    """

    pieces: tuple[int, ...]
    log_probability: float
    score: float

    @property
    def mean_log_probability(self) -> float:
        """Of a piece, the end counting as one."""
        return self.log_probability / (len(self.pieces) + 1)


class NextPiece(Protocol):
    """A model in the middle of n sentences, each begun in several ways at once."""

    def __call__(self, pieces: Integers | None, parents: Integers | None) -> Floats:
        """Log-probabilities of what comes next, float32 (n, beams, vocabulary).

        `pieces`, int64 (n, beams), are said last, each after the beginning that was at the place
        in `parents`, int64 (n, beams), before; both are None at first, with one beam for each.
        """
        ...


@dataclass
class _Sentence:
    """One of the n: its beginnings, likeliest first, and what is finished."""

    begun: list[tuple[tuple[int, ...], float]] = field(default_factory=lambda: [((), 0.0)])
    found: list[Hypothesis] = field(default_factory=list)


def length_penalty(length: int, strength: float) -> float:
    """What a sentence's log-probability is divided by; `length` in pieces, the end included."""
    return float(((5.0 + length) / 6.0) ** strength)


def beam_search(
    following: NextPiece, sentences: int, settings: BeamSettings
) -> list[list[Hypothesis]]:
    """The best sentences, at most `beams` for each of n, the best first.

    Raises ValueError where `beams` or `longest` is less than one.
    """
    if settings.beams < 1 or settings.longest < 1:
        raise ValueError("A beam search follows one beginning at least, for one piece at least.")
    all_of_them = [_Sentence() for _ in range(sentences)]
    pieces: Integers | None = None
    parents: Integers | None = None
    for length in range(1, settings.longest + 1):
        likely = following(pieces, parents)
        if settings.forbidden:
            likely[..., list(settings.forbidden)] = -np.inf
        if length == settings.longest:
            # What is not at its end by now is ended here.
            likely[..., np.arange(likely.shape[-1]) != settings.end] = -np.inf
        pieces = np.zeros((sentences, settings.beams), np.int64)
        parents = np.zeros((sentences, settings.beams), np.int64)
        for place, sentence in enumerate(all_of_them):
            _extend(sentence, likely[place], settings, length, pieces[place], parents[place])
        if all(_is_done(sentence, settings, length) for sentence in all_of_them):
            break
    return [
        sorted(sentence.found, key=lambda one: one.score, reverse=True)[: settings.beams]
        for sentence in all_of_them
    ]


def _extend(
    sentence: _Sentence,
    likely: Floats,
    settings: BeamSettings,
    length: int,
    pieces: Integers,
    parents: Integers,
) -> None:
    """Go on with the beginnings by the likeliest pieces; ends go to what is found."""
    if not sentence.begun:
        return
    before = np.array([log_probability for _, log_probability in sentence.begun])
    total = before[:, None] + likely[: len(before)]
    # Each beginning may end once, so that so many leave enough to go on with.
    count = min(2 * settings.beams, total.size)
    flat = total.ravel()
    best = np.argpartition(flat, -count)[-count:]
    best = best[np.argsort(-flat[best], kind="stable")]
    begun: list[tuple[tuple[int, ...], float]] = []
    for rank, index in enumerate(best.tolist()):
        parent, piece = divmod(index, likely.shape[-1])
        log_probability = float(flat[index])
        if not np.isfinite(log_probability):
            break
        said = sentence.begun[parent][0]
        if piece == settings.end:
            # An end that is not among the best is not waited for.
            if rank < settings.beams:
                score = log_probability / length_penalty(length, settings.length_penalty)
                sentence.found.append(Hypothesis(said, log_probability, score))
        elif len(begun) < settings.beams:
            pieces[len(begun)], parents[len(begun)] = piece, parent
            begun.append(((*said, piece), log_probability))
    sentence.begun = begun


def _is_done(sentence: _Sentence, settings: BeamSettings, length: int) -> bool:
    """Whether nothing that is begun can still become better than what is found."""
    if not sentence.begun:
        return True
    scores: Sequence[float] = sorted((one.score for one in sentence.found), reverse=True)
    if len(scores) < settings.beams:
        return False
    # As if all that is still to come were certain.
    hoped = sentence.begun[0][1] / length_penalty(settings.longest, settings.length_penalty)
    return hoped <= scores[settings.beams - 1]
