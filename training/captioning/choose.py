"""How captions are looked for, chosen on pictures that were held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from retrieval.captioning.beam import Hypothesis, length_penalty
from retrieval.captioning.compact import CaptionerSettings, CompactCaptioner
from retrieval.encoders.compact import CompactEncoder
from retrieval.evaluation.caption_scores import CaptionScores, score_captions

LENGTH_PENALTIES = (0.4, 0.7, 1.0, 1.3)
NEARNESSES = (0.0, 1.0, 2.0, 4.0, 6.0, 9.0)
_BATCH = 32


@dataclass(frozen=True)
class Chosen:
    """The choice, and what it reaches on the pictures held out."""

    length_penalty: float
    nearness: float
    scores: CaptionScores


def choose_settings(
    encoder: CompactEncoder,
    references: Sequence[Sequence[str]],
    vectors: NDArray[np.float32],
    tokens: NDArray[np.int8],
) -> Chosen:
    """The length penalty and nearness with the highest CIDEr for n pictures.

    Sentences are looked for once, with the middle penalty, and chosen among by each.
    """
    captioner = CompactCaptioner(encoder, replace(CaptionerSettings.read(encoder.model_dir)))
    found: list[list[Hypothesis]] = []
    for start in range(0, len(vectors), _BATCH):
        own = slice(start, start + _BATCH)
        found += captioner.hypotheses(vectors[own], tokens[own])
    texts = [[captioner.text(one.pieces) for one in own] for own in found]
    flat = [text for own in texts for text in own]
    encoded = encoder.encode_texts(flat).vectors
    ends = np.cumsum([len(own) for own in texts])
    cosines = [
        encoded[end - len(own) : end] @ vector
        for own, end, vector in zip(texts, ends.tolist(), vectors, strict=True)
    ]
    best: Chosen | None = None
    for penalty in LENGTH_PENALTIES:
        likely = [
            np.array(
                [one.log_probability / length_penalty(len(one.pieces) + 1, penalty) for one in own]
            )
            for own in found
        ]
        for nearness in NEARNESSES:
            said = [
                own[int(np.argmax(score + nearness * near))]
                for own, score, near in zip(texts, likely, cosines, strict=True)
            ]
            scores = score_captions(said, references, with_meteor=False)
            if best is None or scores.cider > best.scores.cider:
                best = Chosen(penalty, nearness, scores)
    assert best is not None
    return best
