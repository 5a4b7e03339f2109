"""What a reranker is trained on: patches of pictures, words of captions, and hard negatives.

NumPy only. Words of all captions lie end to end, because captions are of unequal length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.base import Encoder, Vectors
from retrieval.errors import MmsearchError
from retrieval.evaluation.encoded_set import TEXTS_A_BATCH, EncodedSet
from retrieval.evaluation.metrics import Integers

_ROWS_AT_ONCE = 1024


class RerankerTrainingError(MmsearchError):
    """A reranker cannot be trained on these captions, with this model or with what is installed."""


@dataclass(frozen=True)
class TokenSet:
    """p pictures and t captions as tokens, with the first stage's view of them.

    `patches`: int8 (p, P, token_dim). `words`: float16 (all words, token_dim); those of caption
    i are `words[starts[i]:starts[i + 1]]`. `owner`: (t,), each caption's picture.
    `picture_vectors` (p, dim) and `text_vectors` (t, dim) are the first stage's.
    """

    image_vectors: Vectors
    patches: NDArray[np.int8]
    text_vectors: Vectors
    words: NDArray[np.float16]
    starts: Integers
    owner: Integers

    def padded_words(self, captions: Integers) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Words float32 (n, L, token_dim) of n captions and their mask (n, L), True for a word."""
        lengths = self.starts[captions + 1] - self.starts[captions]
        longest = max(1, int(lengths.max(initial=1)))
        mask = np.arange(longest) < lengths[:, np.newaxis]
        padded = np.zeros((len(captions), longest, self.words.shape[1]), dtype=np.float32)
        rows = self.starts[captions][:, np.newaxis] + np.arange(longest)
        padded[mask] = self.words[rows[mask]]
        return padded, mask


def tokens_of(encoder: Encoder, encoded: EncodedSet) -> TokenSet:
    """The tokens of an encoded set.

    Raises RerankerTrainingError where the encoder gives no patch tokens or no word tokens.
    """
    pieces: list[NDArray[np.float16]] = []
    lengths: list[int] = []
    for start in range(0, len(encoded.captions), TEXTS_A_BATCH):
        found = encoder.encode_texts(encoded.captions[start : start + TEXTS_A_BATCH])
        if found.word_tokens is None or found.word_mask is None or encoded.patch_tokens is None:
            raise RerankerTrainingError(
                f"{encoder.space.name} gives no patch and word tokens, which a reranker needs.",
                code="no-tokens",
                model=encoder.space.name,
            )
        pieces.append(found.word_tokens[found.word_mask].astype(np.float16))
        lengths += found.word_mask.sum(axis=1).tolist()
    if encoded.patch_tokens is None:
        raise RerankerTrainingError("There are no captions to train on: check the file.")
    return TokenSet(
        image_vectors=encoded.image_vectors,
        patches=encoded.patch_tokens,
        text_vectors=encoded.text_vectors,
        words=np.concatenate(pieces),
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        owner=encoded.owner,
    )


def subset(data: TokenSet, images: Integers) -> TokenSet:
    """Some of the pictures (ascending positions) with their captions."""
    place = np.full(len(data.patches), -1, dtype=np.int64)
    place[images] = np.arange(len(images))
    captions = np.flatnonzero(place[data.owner] >= 0)
    pieces = [data.words[data.starts[i] : data.starts[i + 1]] for i in captions]
    lengths = [len(piece) for piece in pieces]
    return TokenSet(
        image_vectors=data.image_vectors[images],
        patches=data.patches[images],
        text_vectors=data.text_vectors[captions],
        words=np.concatenate(pieces) if pieces else data.words[:0],
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        owner=place[data.owner[captions]],
    )


def hard_negatives(data: TokenSet, count: int) -> Integers:
    """(t, count): for each caption the wrong pictures that the first stage likes best, best first.

    `count` is at most the number of pictures less one.
    """
    blocks: list[Integers] = []
    for start in range(0, len(data.owner), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        similarities = data.text_vectors[rows] @ data.image_vectors.T
        similarities[np.arange(len(similarities)), data.owner[rows]] = -np.inf
        blocks.append(np.argsort(-similarities, axis=1, kind="stable")[:, :count])
    return np.concatenate(blocks)


def nearest_images(data: TokenSet, count: int) -> tuple[Integers, NDArray[np.float32]]:
    """The first stage's candidates of each caption, best first, and their similarities, (t, c)."""
    similarities = data.text_vectors @ data.image_vectors.T
    order = np.argsort(-similarities, axis=1, kind="stable")[:, :count]
    return order, np.take_along_axis(similarities, order, axis=1)


def split_images(count: int, share: float, seed: int) -> tuple[Integers, Integers]:
    """Positions for training and for validation, `share` of them for the latter, both ascending.

    Raises RerankerTrainingError where there are too few pictures for both.
    """
    held_out = max(2, round(share * count))
    if count - held_out < 2:
        raise RerankerTrainingError(
            f"{count} pictures are too few to train a reranker on: give at least 4, better "
            "thousands."
        )
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[held_out:]), np.sort(order[:held_out])
