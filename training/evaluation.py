"""What the exported model scores, as the product runs it, and the reranker's weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.compact import CompactEncoder
from retrieval.evaluation.captions import CaptionedImage
from retrieval.evaluation.encoded_set import encode_set
from retrieval.evaluation.metrics import Summary
from retrieval.evaluation.protocol import DEFAULT_CANDIDATES, evaluate, top
from retrieval.evaluation.rerank import RerankedSet, choose_second_stage
from retrieval.rerankers.base import Candidate, RerankQuery
from retrieval.rerankers.compact import NAME, RERANKER_FILE, CompactReranker
from retrieval.search.explain import explain
from training.captions import content_word, content_words
from training.data import Picture, of_split, read_pictures
from training.metrics import CUTOFFS
from training.sources import is_well_told

Scores = tuple[str, ...]
Floats = NDArray[np.floating]
_WEIGHTS = (0.0, *(float(weight) for weight in np.geomspace(0.002, 0.2, 21)))


def fit_reranker_weight(model: Path, held: Sequence[Picture]) -> float:
    """The weight of the exported reranker that answers captions of `held` pictures best.

    Two captions of each picture: more would take minutes and tell little.
    """
    encoder = CompactEncoder(model)
    some = [replace(picture, captions=picture.captions[:2]) for picture in held]
    encoded = encode_set(encoder, _captioned(some), Path())
    reranker = CompactReranker(model / RERANKER_FILE, encoder.token_grid, NAME, weight=0.0)
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
    return _best_weight(first, second, order == encoded.owner[:, np.newaxis])


def _best_weight(first: Floats, second: Floats, right: NDArray[np.bool_]) -> float:
    """The weight with the largest sum of recalls at 1, 5 and 10; of equals the smallest.

    Recall at 1 alone would be won by a weight that costs as much further down. All are (t, c).
    """

    def quality(weight: float) -> float:
        fused = first + weight * second
        own = np.where(right, fused, -np.inf).max(axis=1)
        rank = np.where(right, -np.inf, fused >= own[:, np.newaxis]).clip(0).sum(axis=1)
        return float(sum((rank < k)[right.any(axis=1)].sum() for k in CUTOFFS))

    return max(_WEIGHTS, key=lambda weight: (quality(weight), -weight))


def fit_least_presence(model: Path, held: Sequence[Picture]) -> float:
    """The presence that best parts words that a picture's captions name from words they do not.

    By the sum of both shares told right, on each picture's first caption and on its neighbour's.
    """
    encoder = CompactEncoder(model)
    reranker = CompactReranker(model / RERANKER_FILE, encoder.token_grid, NAME, weight=0.0)
    told = [picture for picture in held if is_well_told(picture)]
    if not told:
        return 0.0
    encoded = encode_set(encoder, _captioned(told), Path())
    tokens = encoded.patch_tokens
    assert tokens is not None
    there: list[float] = []
    absent: list[float] = []
    for row, picture in enumerate(told):
        named = set().union(*(content_words(text) for text in picture.captions))
        for text in (picture.captions[0], told[row - 1].captions[0]):
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


def score_on_dev(model: Path, captions: Path, images: Path) -> Scores:
    """Lines on text-to-image recall over the split `dev`, without and with the reranker."""
    pictures = of_split(read_pictures(captions, images), "dev")
    if not pictures:
        return ()
    encoder = CompactEncoder(model)
    found = evaluate(
        encoder,
        _captioned(pictures),
        Path(),
        second_stage=choose_second_stage("auto", encoder, Path()),
    ).text_to_image
    lines = [f"dev text to image, R@1/5/10: {_recalls(found.before)}"]
    if found.after is not None and found.gain_at_1 is not None:
        gain = found.gain_at_1
        lines.append(
            f"reranked: {_recalls(found.after)}, R@1 {100 * gain.value:+.1f} "
            f"[{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
        )
    return tuple(lines)


def _captioned(pictures: Sequence[Picture]) -> list[CaptionedImage]:
    return [CaptionedImage(str(p.path), None, tuple(p.captions)) for p in pictures]


def _recalls(summary: Summary) -> str:
    recalls = (summary.recall_at_1, summary.recall_at_5, summary.recall_at_10)
    return "/".join(f"{100 * recall.value:.1f}" for recall in recalls)
