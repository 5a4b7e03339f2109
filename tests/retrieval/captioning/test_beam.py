"""Beam search, against looking at every sentence there is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.captioning.beam import BeamSettings, Floats, Integers, beam_search, length_penalty

END, PIECES, LONGEST = 0, 4, 3


class Table:
    """What comes next hangs on the sentence and on all that was said, drawn at random."""

    def __init__(self, sentences: int, seed: int) -> None:
        self.seed = seed
        self.said: list[list[tuple[int, ...]]] = [[()] for _ in range(sentences)]

    def likely(self, sentence: int, said: tuple[int, ...]) -> np.ndarray:
        logits = np.random.default_rng((self.seed, sentence, *said)).normal(size=PIECES)
        return (logits - np.log(np.exp(logits).sum())).astype(np.float32)

    def __call__(self, pieces: Integers | None, parents: Integers | None) -> Floats:
        if pieces is not None and parents is not None:
            self.said = [
                [(*own[parent], piece) for piece, parent in zip(row, places, strict=True)]
                for own, row, places in zip(
                    self.said, pieces.tolist(), parents.tolist(), strict=True
                )
            ]
        return np.array([[self.likely(i, said) for said in own] for i, own in enumerate(self.said)])


def every_sentence(
    table: Table, sentence: int, strength: float
) -> list[tuple[float, tuple[int, ...]]]:
    """All sentences with their scores, the best first."""
    found = []
    for length in range(LONGEST):
        for said in itertools.product(range(1, PIECES), repeat=length):
            total = sum(
                float(table.likely(sentence, said[:i])[piece]) for i, piece in enumerate(said)
            )
            total += float(table.likely(sentence, said)[END])
            found.append((total / length_penalty(length + 1, strength), said))
    return sorted(found, reverse=True)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.7, 2.0]))
def test_a_wide_beam_finds_what_is_best_of_all(seed: int, strength: float) -> None:
    rules = BeamSettings(END, LONGEST, beams=PIECES**LONGEST, length_penalty=strength)
    found = beam_search(Table(2, seed), 2, rules)
    for sentence, hypotheses in enumerate(found):
        best, said = every_sentence(Table(2, seed), sentence, strength)[0]
        assert hypotheses[0].pieces == said
        assert hypotheses[0].score == pytest.approx(best, abs=1e-4)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_what_is_found_is_scored_as_it_is_likely(seed: int, beams: int) -> None:
    rules = BeamSettings(END, LONGEST, beams=beams)
    found = beam_search(Table(3, seed), 3, rules)
    for sentence, hypotheses in enumerate(found):
        assert 1 <= len(hypotheses) <= beams
        scores = {said: score for score, said in every_sentence(Table(3, seed), sentence, 0.7)}
        for one in hypotheses:
            assert len(one.pieces) < LONGEST
            assert one.score == pytest.approx(scores[one.pieces], abs=1e-4)
        ranked = [one.score for one in hypotheses]
        assert ranked == sorted(ranked, reverse=True)


def test_one_beam_takes_the_likeliest_piece_each_time() -> None:
    table = Table(1, 5)
    [[found, *_]] = beam_search(Table(1, 5), 1, BeamSettings(END, LONGEST, beams=1))
    said: tuple[int, ...] = ()
    while len(said) < LONGEST - 1 and int(np.argmax(table.likely(0, said))) != END:
        said = (*said, int(np.argmax(table.likely(0, said))))
    assert found.pieces == said


def test_a_sentence_does_not_hang_on_those_beside_it() -> None:
    rules = BeamSettings(END, LONGEST, beams=3)
    together = beam_search(Table(3, 7), 3, rules)
    assert beam_search(Table(1, 7), 1, rules)[0] == together[0]


def test_a_larger_penalty_makes_sentences_longer_and_forbidden_pieces_are_not_said() -> None:
    def lengths(strength: float) -> int:
        rules = BeamSettings(END, LONGEST, beams=64, length_penalty=strength)
        return sum(len(beam_search(Table(1, seed), 1, rules)[0][0].pieces) for seed in range(20))

    assert lengths(0.0) <= lengths(0.7) <= lengths(3.0)
    assert lengths(0.0) < lengths(3.0)
    for seed in range(5):
        rules = BeamSettings(END, LONGEST, forbidden=(2, 3))
        for one in beam_search(Table(1, seed), 1, rules)[0]:
            assert set(one.pieces) <= {1}


def test_no_beam_is_refused() -> None:
    with pytest.raises(ValueError, match="one beginning"):
        beam_search(Table(1, 0), 1, BeamSettings(END, LONGEST, beams=0))
