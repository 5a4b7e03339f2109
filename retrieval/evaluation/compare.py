"""Two encoders compared on the same captioned pictures, by the protocol of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrieval.evaluation.encoded_set import EncodedSet
from retrieval.evaluation.metrics import Ranks, rank_right_answers
from retrieval.evaluation.protocol import Direction, compared


@dataclass(frozen=True)
class Comparison:
    """Both directions' measures with the encoder before and the one after, without reranking."""

    text_to_image: Direction
    image_to_text: Direction

    @property
    def is_better(self) -> bool:
        """Whether captions find their pictures better afterwards, beyond chance.

        That is, whether the 95 % interval of the paired gain in recall at 1 is above nought.
        """
        gain = self.text_to_image.gain_at_1
        return gain is not None and gain.low > 0


def compare_encoders(before: EncodedSet, after: EncodedSet) -> Comparison:
    """Compare what two encoders made of the same pictures and captions.

    Raises ValueError where the pictures are not the same.
    """
    if before.names != after.names:
        raise ValueError("before and after are not of the same pictures")
    ranks = [_ranks(before), _ranks(after)]
    return Comparison(
        text_to_image=compared(ranks[0][0], ranks[1][0]),
        image_to_text=compared(ranks[0][1], ranks[1][1]),
    )


def _ranks(encoded: EncodedSet) -> tuple[Ranks, Ranks]:
    """Ranks of pictures asked for by captions, and of captions asked for by pictures."""
    scores = encoded.text_vectors @ encoded.image_vectors.T
    places = np.arange(len(encoded.names), dtype=np.int64)
    return (
        rank_right_answers(scores, encoded.owner, places),
        rank_right_answers(scores.T, places, encoded.owner),
    )
