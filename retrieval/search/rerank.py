"""The second stage of a search: the best candidates looked at again by a reranker.

Fetches what the reranker needs and nothing else, and goes on without it where it is missing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from retrieval.catalog.records import Item
from retrieval.encoders.base import Encoder
from retrieval.fusion.scores import Floats
from retrieval.rerankers.base import Candidate, Reranker, RerankQuery
from retrieval.rerankers.compact import CompactReranker
from retrieval.rerankers.registry import AUTO, OFF, load_reranker
from retrieval.search.parallel import each
from retrieval.storage.index_dir import IndexDir
from retrieval.storage.patch_tokens import PatchTokens, PatchTokenStore, Tokens, fingerprint_of

if TYPE_CHECKING:
    from retrieval.search.explain import Explanation

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Looked:
    """A question's candidates that are to be looked at again, with their similarities."""

    reranker: Reranker
    query: RerankQuery
    images: Sequence[Item]
    similarities: Sequence[float]


class RerankStage:
    """Rerankers by name and the patch tokens of one index, each loaded when first needed.

    `fingerprint` is that of the index's own encoder, `tokens` where its tokens are if not in a
    file of the index's folder. Thread-safe.
    """

    def __init__(
        self,
        encoder: Encoder,
        location: IndexDir,
        fingerprint: str,
        tokens: PatchTokens | None = None,
    ) -> None:
        self._encoder = encoder
        self._location = location
        self._fingerprint = fingerprint
        self._rerankers: dict[str, Reranker | None] = {}
        self._tokens = tokens
        self._lock = threading.Lock()

    def reranker(self, name: str) -> Reranker | None:
        """The reranker that a name stands for in this index; None for none.

        Raises UnknownModelError.
        """
        if name == OFF:
            return None
        with self._lock:
            if name not in self._rerankers:
                self._rerankers[name] = load_reranker(name, self._encoder, self._location.folder)
            return self._rerankers[name]

    def look(self, asked: Sequence[Looked | None]) -> list[Floats | None]:
        """Fused scores, float64 (n,), of each question's candidates in their order; None for None.

        Where a reranker can look at none of them, the similarities; one line is logged. Questions
        whose reranker opens no files are looked at side by side, their tokens fetched at once.
        """
        tokens = self.tokens_of(
            sorted(
                {
                    image.id
                    for look in asked
                    if look is not None and look.reranker.needs_tokens
                    for image in look.images
                }
            )
        )

        def rescore(look: Looked | None) -> Floats | None:
            return None if look is None else _rescored(look, tokens)

        if any(look is not None and look.reranker.needs_images for look in asked):
            return [rescore(look) for look in asked]
        return each(rescore, asked)

    def explain(
        self,
        query: RerankQuery,
        images: Sequence[Item],
        similarities: Sequence[float],
        name: str = AUTO,
    ) -> list[Explanation | None]:
        """Where the words looked in each picture, by the reranker called `name`.

        None where that is not known: a reranker may not show its attention.
        """
        from retrieval.search.explain import explain

        reranker = self.reranker(name)
        if not isinstance(reranker, CompactReranker):
            return [None] * len(images)
        tokens = self.tokens_of([image.id for image in images])
        return explain(reranker, query, _as_candidates(images, similarities, tokens))

    def close(self) -> None:
        """Let go of the cache of tokens."""
        with self._lock:
            if self._tokens is not None:
                self._tokens.close()
                self._tokens = None

    def tokens_of(self, ids: Sequence[int]) -> dict[int, Tokens]:
        """The patch tokens that are kept of items; those without are left out."""
        if not ids:
            return {}
        with self._lock:
            if self._tokens is None:
                # A question makes no file, and empties none: where the indexer has left none of
                # this encoder's, there are no tokens.
                if fingerprint_of(self._location.tokens) != self._fingerprint:
                    return {}
                self._tokens = PatchTokenStore.open(
                    self._location.tokens, self._fingerprint, begins_anew=False
                )
            cache = self._tokens
        return cache.get(ids)


def _rescored(look: Looked, tokens: dict[int, Tokens]) -> Floats:
    """One question's fused scores, float64 (n,)."""
    reranker = look.reranker
    candidates = _as_candidates(
        look.images, look.similarities, tokens if reranker.needs_tokens else {}
    )
    scores = reranker.rerank(look.query, candidates)
    first = np.asarray(look.similarities, dtype=np.float64)
    unseen = np.isnan(scores)
    missing, what = int(unseen.sum()), "files are missing."
    if reranker.needs_tokens:
        # A question without words has no scores either.
        missing = sum(candidate.patch_tokens is None for candidate in candidates)
        what = "patch tokens are missing; indexing again makes them."
    if missing:
        logger.warning(
            "%d of %d candidates are ranked without a second look: their %s",
            missing, len(scores), what,
        )  # fmt: skip
    return first if unseen.all() else reranker.fusion.fuse(first, scores)


def _as_candidates(
    images: Sequence[Item], similarities: Sequence[float], tokens: dict[int, Tokens]
) -> list[Candidate]:
    return [
        Candidate(image.id, image.path, similarity, tokens.get(image.id), image.time_ms)
        for image, similarity in zip(images, similarities, strict=True)
    ]
