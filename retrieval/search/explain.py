"""Why a picture was found: where each word looked, and a test of whether that matters.

Reads the compact reranker's attention. Attention is what the model looked at, which need not be
what decided; `erasure_test` covers the hottest patches and measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.base import Encoder, Pixels
from retrieval.rerankers.base import Candidate, RerankQuery
from retrieval.rerankers.compact import AttentionScores

_CONTINUES = "##"
_GREY = 128
_ERASED_SHARE = 0.25
_LEAST = 1e-9


@dataclass(frozen=True)
class Explanation:
    """Where the words of a question looked in one picture.

    `words`: as people write them, without punctuation. `heat`: float32 (words, rows, columns),
    each word's weights summing to one over the patch grid, which covers what the encoder sees of
    the picture. `presence`: float32 (words,), how much of each word's attention went to the picture
    at all, in [0, 1]; `found`: whether that is enough for the word to be in it. `score` is the
    reranker's, `similarity` the first stage's cosine.
    """

    item_id: int
    words: tuple[str, ...]
    heat: NDArray[np.float32]
    presence: NDArray[np.float32]
    found: tuple[bool, ...]
    score: float
    similarity: float


@dataclass(frozen=True)
class Erasure:
    """What covering a share of a picture's patches does to a reranker's score.

    `hottest_drop`: the loss when the patches that the words looked at most are covered;
    `random_drop`: the mean loss over draws of as many patches at random. Larger is a worse loss.
    """

    score: float
    hottest_drop: float
    random_drop: float


class AttentionReranker(Protocol):
    """A reranker that shows its attention, as `CompactReranker` does."""

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the patches."""
        ...

    @property
    def least_presence(self) -> float:
        """The share of its attention that a word gives to a picture that it is found in."""
        ...

    def attend(self, query: RerankQuery, candidates: Sequence[Candidate]) -> AttentionScores:
        """Scores (n,) and attention (n, length, patches)."""
        ...


def explain(
    reranker: AttentionReranker, query: RerankQuery, candidates: Sequence[Candidate]
) -> list[Explanation | None]:
    """An explanation for each candidate; None without tokens, or without a word to explain."""
    words = _words_of(query)
    attended = reranker.attend(query, candidates)
    explanations: list[Explanation | None] = []
    for candidate, score, attention in zip(
        candidates, attended.scores, attended.attention, strict=True
    ):
        if not words or not np.isfinite(score):
            explanations.append(None)
            continue
        looked = np.stack([attention[places].mean(axis=0) for _, places in words])
        presence = looked.sum(axis=1)
        heat = looked / np.maximum(presence, _LEAST)[:, np.newaxis]
        explanations.append(
            Explanation(
                item_id=candidate.item_id,
                words=tuple(word for word, _ in words),
                heat=heat.reshape(len(words), *reranker.grid).astype(np.float32),
                presence=presence.astype(np.float32),
                found=tuple((presence >= reranker.least_presence).tolist()),
                score=float(score),
                similarity=candidate.similarity,
            )
        )
    return explanations


def join_pieces(pieces: Sequence[str], text: str) -> list[tuple[str, list[int]]]:
    """Words with the positions of the word pieces that they are made of.

    A piece that begins with ## continues the one before. Pieces around a hyphen or an apostrophe
    are one word where `text` writes them so; other punctuation is left out.
    """
    written = text.lower()
    words: list[tuple[str, list[int]]] = []
    mark: tuple[str, int] | None = None
    for place, piece in enumerate(pieces):
        if piece.startswith(_CONTINUES) and words and mark is None:
            word, places = words[-1]
            words[-1] = (word + piece.removeprefix(_CONTINUES), [*places, place])
        elif not any(letter.isalnum() for letter in piece):
            mark = (piece, place)
        else:
            compound = words[-1][0] + mark[0] + piece if mark and words else ""
            if mark and compound and compound in written:
                words[-1] = (compound, [*words[-1][1], mark[1], place])
            else:
                words.append((piece, [place]))
            mark = None
    return words


def erasure_test(
    encoder: Encoder,
    reranker: AttentionReranker,
    pixels: Pixels,
    text: str,
    *,
    draws: int = 8,
    seed: int = 0,
) -> Erasure | None:
    """Cover a quarter of a picture's patches with grey, the hottest or random ones; encode again.

    `pixels`: one picture as the encoder takes it, uint8 (size_px, size_px, 3). Heat is the mean
    over the question's words. None where the text has no word or the encoder gives no tokens. The
    idea is that of the deletion metric in Petsiuk, Das and Saenko, *RISE* (BMVC 2018).
    """
    query = RerankQuery(text, encoder.encode_texts([text]))
    found = explain(reranker, query, _as_candidates(encoder, pixels[np.newaxis]))[0]
    if found is None:
        return None
    heat = found.heat.mean(axis=0).ravel()
    count = max(1, round(_ERASED_SHARE * heat.size))
    rng = np.random.default_rng(seed)
    covered = [np.argsort(-heat, kind="stable")[:count]]
    covered += [rng.choice(heat.size, size=count, replace=False) for _ in range(draws)]
    versions = np.stack([cover(pixels, reranker.grid, patches) for patches in covered])
    scores = reranker.attend(query, _as_candidates(encoder, versions)).scores
    drops = found.score - scores.astype(np.float64)
    return Erasure(found.score, float(drops[0]), float(drops[1:].mean()))


def cover(pixels: Pixels, grid: tuple[int, int], patches: NDArray[np.int64]) -> Pixels:
    """A copy of pixels (h, w, 3) with some cells of a grid, counted row by row, made grey."""
    rows, columns = grid
    tops = np.linspace(0, pixels.shape[0], rows + 1).round().astype(int)
    lefts = np.linspace(0, pixels.shape[1], columns + 1).round().astype(int)
    covered = pixels.copy()
    for patch in patches.tolist():
        row, column = divmod(patch, columns)
        covered[tops[row] : tops[row + 1], lefts[column] : lefts[column + 1]] = _GREY
    return covered


# -- inside -----------------------------------------------------------------------------------


def _words_of(query: RerankQuery) -> list[tuple[str, list[int]]]:
    """The question's words with their positions in its encoding."""
    encoding = query.encoding
    if encoding.words is None or encoding.word_mask is None:
        return []
    kept = np.flatnonzero(encoding.word_mask[0]).tolist()
    joined = join_pieces([encoding.words[0][place] for place in kept], query.text)
    return [(word, [kept[i] for i in places]) for word, places in joined]


def _as_candidates(encoder: Encoder, pixels: Pixels) -> list[Candidate]:
    tokens = encoder.encode_images(pixels).patch_tokens
    return [
        Candidate(place, Path(), 0.0, None if tokens is None else tokens[place])
        for place in range(len(pixels))
    ]
