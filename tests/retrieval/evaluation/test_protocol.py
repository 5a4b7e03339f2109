"""The protocol on real photographs: what a second stage may and may not change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.encoders.base import TextEncoding
from retrieval.encoders.registry import load_encoder
from retrieval.errors import UnknownModelError
from retrieval.evaluation.captions import read_captions
from retrieval.evaluation.encoded_set import EncodedSet
from retrieval.evaluation.metrics import Floats, Integers
from retrieval.evaluation.protocol import evaluate, put_in_front
from retrieval.evaluation.rerank import choose_second_stage
from retrieval.fusion.scores import AddedScore, ScoreFusion
from samples.photos import CAPTIONS


class _Knowing:
    """A second stage that knows the answers, to show what the protocol lets it do."""

    name = "knowing"
    fusion: ScoreFusion = AddedScore(1000.0)

    def __init__(self, encoded: EncodedSet) -> None:
        self._owner = dict(zip(encoded.captions, encoded.owner.tolist(), strict=True))

    def score(
        self, text: str, encoding: TextEncoding, similarities: Floats, images: Integers
    ) -> Floats:
        return (images == self._owner[text]).astype(np.float64)


class _Agreeing(_Knowing):
    """A second stage that says what the first one says."""

    name = "agreeing"

    def score(
        self, text: str, encoding: TextEncoding, similarities: Floats, images: Integers
    ) -> Floats:
        return similarities


def test_reranking_all_with_the_answers_puts_every_picture_first(photos: Path) -> None:
    found = evaluate(
        load_encoder(), read_captions(CAPTIONS), photos, second_stage=_Knowing, candidates=99
    )
    assert found.text_to_image.after is not None and found.image_to_text.after is not None
    assert found.text_to_image.after.recall_at_1.value == 1.0
    assert found.image_to_text.after.recall_at_1.value == 1.0
    assert found.timing.rerank_ms is not None


def test_reranking_cannot_find_what_the_first_stage_left_out(photos: Path) -> None:
    found = evaluate(
        load_encoder(), read_captions(CAPTIONS), photos, second_stage=_Knowing, candidates=5
    )
    assert found.text_to_image.after is not None
    assert (
        found.text_to_image.after.recall_at_1.value == found.text_to_image.before.recall_at_5.value
    )


def test_a_second_stage_that_agrees_with_the_first_changes_nothing(photos: Path) -> None:
    found = evaluate(
        load_encoder(), read_captions(CAPTIONS), photos, second_stage=_Agreeing, candidates=7
    )
    assert found.text_to_image.after == found.text_to_image.before
    assert found.image_to_text.after == found.image_to_text.before


@given(
    st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=20, unique=True), st.integers(1, 20)
)
def test_what_is_chosen_stands_in_front_and_the_rest_keep_their_order(
    first: list[float], count: int
) -> None:
    scores = np.array(first)
    chosen = np.arange(min(count, len(first)))
    fused = put_in_front(scores, chosen, -scores[chosen])
    rest = np.arange(len(chosen), len(first))
    if len(rest):
        assert fused[chosen].min() > fused[rest].max()
        assert np.array_equal(fused[rest], scores[rest])
    assert np.array_equal(np.argsort(fused[chosen]), np.argsort(-scores[chosen]))


def test_an_unknown_reranker_is_refused() -> None:
    with pytest.raises(UnknownModelError, match="There is no reranker called nowhere"):
        choose_second_stage("nowhere", load_encoder(), Path())
