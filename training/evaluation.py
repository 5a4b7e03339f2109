"""What the exported reranker is to be used with, found as the product runs it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retrieval.encoders.compact import CompactEncoder
from retrieval.evaluation.captions import CaptionedImage
from retrieval.evaluation.encoded_set import EncodedSet, encode_set
from retrieval.evaluation.protocol import DEFAULT_CANDIDATES, top
from retrieval.evaluation.rerank import RerankedSet
from retrieval.fusion.scores import AddedScore, fit_weight
from retrieval.rerankers.base import Candidate, RerankQuery
from retrieval.rerankers.compact import NAME, RERANKER_FILE, CompactReranker
from retrieval.search.explain import explain
from training.captions import content_word, content_words
from training.data import Picture
from training.metrics import CUTOFFS
from training.sources import is_well_told

_WEIGHTS = (0.0, *(float(weight) for weight in np.geomspace(0.002, 0.2, 21)))


def fit_reranker(model: Path, held: Sequence[Picture]) -> tuple[float, float]:
    """What the exported reranker is to be used with, by the pictures `held` out.

    Its weight, with which captions are answered best; and the presence from which a word is found.
    Two captions of each picture are asked: more would take minutes and tell little.
    """
    encoder = CompactEncoder(model)
    reranker = CompactReranker(model / RERANKER_FILE, encoder.token_grid, NAME, weight=0.0)
    some = [CaptionedImage(str(p.path), None, p.captions[:2]) for p in held]
    encoded = encode_set(encoder, some, Path())
    return (
        _weight(encoder, reranker, encoded),
        _least_presence(encoder, reranker, encoded, held),
    )


def _weight(encoder: CompactEncoder, reranker: CompactReranker, encoded: EncodedSet) -> float:
    stage = RerankedSet(reranker, Path(), encoded)
    similarities = encoded.text_vectors @ encoded.image_vectors.T
    order = top(similarities, DEFAULT_CANDIDATES)
    first = np.take_along_axis(similarities, order, axis=1)
    second = np.stack(
        [
            stage.score(
                text, encoder.encode_texts([text]), first[row].astype(np.float64), order[row]
            )
            for row, text in enumerate(encoded.captions)
        ]
    )
    right = order == encoded.owner[:, np.newaxis]
    # Recall at 1 alone would be won by a weight that costs as much further down.
    return fit_weight(first, second, right, AddedScore, _WEIGHTS, cutoffs=CUTOFFS)


def _least_presence(
    encoder: CompactEncoder,
    reranker: CompactReranker,
    encoded: EncodedSet,
    held: Sequence[Picture],
) -> float:
    """The presence that best parts words that a picture's captions name from words they do not.

    By the sum of both shares told right, on each picture's first caption and on its neighbour's.
    """
    tokens = encoded.patch_tokens
    assert tokens is not None
    told = [(row, picture) for row, picture in enumerate(held) if is_well_told(picture)]
    there: list[float] = []
    absent: list[float] = []
    for place, (row, picture) in enumerate(told):
        named = set().union(*(content_words(text) for text in picture.captions))
        for text in (picture.captions[0], told[place - 1][1].captions[0]):
            query = RerankQuery(text, encoder.encode_texts([text]))
            found = explain(reranker, query, [Candidate(0, picture.path, 0.0, tokens[row])])[0]
            if found is None:
                continue
            for word, presence in zip(found.words, found.presence.tolist(), strict=True):
                stem = content_word(word)
                if stem is not None:
                    (there if stem in named else absent).append(presence)
    kept, left = np.array(there), np.array(absent)
    if not len(kept) or not len(left):
        return 0.0
    steps = np.quantile([*there, *absent], np.linspace(0.02, 0.98, 49))
    told_right = [float((kept >= step).mean() + (left < step).mean()) for step in steps]
    return float(steps[int(np.argmax(told_right))])
