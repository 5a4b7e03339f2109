"""BLIP as a reranker: the probability, by its image-text matching head, that words fit a picture.

Li et al., *BLIP: Bootstrapping Language-Image Pre-training for Unified Vision-Language
Understanding and Generation* (ICML 2022), by transformers, which loads when first needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.blip import LoadedBlip
from retrieval.encoders.once import LoadedOnce
from retrieval.encoders.requirements import require_packages
from retrieval.fusion.scores import AddedScore, ScoreFusion
from retrieval.rerankers.base import Candidate, RerankQuery, Scores
from retrieval.rerankers.encoding_cache import DEFAULT_MAX_BYTES, Encoded, EncodingCache

DEFAULT_BLIP = "Salesforce/blip-itm-base-coco"

_IMAGES_A_BATCH = 16


class BlipItmReranker:
    """A BLIP model with a matching head: a Hugging Face repository or a folder of one.

    Raises UnknownModelError, where transformers is not installed at once, and on first use where
    the weights cannot be had.
    """

    def __init__(
        self,
        source: str = DEFAULT_BLIP,
        *,
        fusion: ScoreFusion | None = None,
        cache_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        require_packages("Reranking with BLIP", "blip", "transformers", "torch")
        self._source = source
        self._fusion = fusion or AddedScore(1.0)
        self._model = LoadedOnce(lambda: _LoadedBlip(source, cache_bytes))

    @property
    def name(self) -> str:
        """`blip:` and the repository or folder."""
        return f"blip:{self._source}"

    @property
    def needs_tokens(self) -> bool:
        """It brings its own picture encoder."""
        return False

    @property
    def needs_images(self) -> bool:
        """It opens the candidates' files."""
        return True

    @property
    def fusion(self) -> ScoreFusion:
        """By default cosine + matching score, as BLIP's authors rank."""
        return self._fusion

    def rerank(self, query: RerankQuery, candidates: Sequence[Candidate]) -> Scores:
        """Probabilities of a match, float32 (n,); NaN where a file cannot be read."""
        scores = np.full(len(candidates), np.nan, dtype=np.float32)
        if not candidates or not query.text.strip():
            return scores
        model = self._model()
        words = model.tokenize([query.text])
        paths = [candidate.path for candidate in candidates]
        times = [candidate.time_ms for candidate in candidates]
        for places, pictures in model.images.batches(paths, _IMAGES_A_BATCH, times):
            scores[places] = model.match(words, pictures)
        return scores


class _LoadedBlip(LoadedBlip):
    """The torch side."""

    def __init__(self, source: str, cache_bytes: int) -> None:
        super().__init__(source, "BlipForImageTextRetrieval")
        self.images = EncodingCache(self._encode, self.preprocessing, cache_bytes)

    def match(self, words: Any, pictures: Encoded) -> Scores:
        """Probabilities, float32 (n,), that the words fit the encoded pictures (n, patches, d)."""
        import torch

        with torch.inference_mode():
            seen = torch.from_numpy(pictures).to(self.device)
            n = len(seen)
            states = self.model.text_encoder(
                input_ids=words["input_ids"].expand(n, -1),
                attention_mask=words["attention_mask"].expand(n, -1),
                encoder_hidden_states=seen,
                encoder_attention_mask=torch.ones(
                    seen.shape[:2], dtype=torch.long, device=self.device
                ),
            ).last_hidden_state
            logits = self.model.itm_head(states[:, 0])
            # The head's two classes: does not match, matches.
            matches: Scores = logits.float().softmax(dim=-1)[:, 1].cpu().numpy()
            return matches

    def _encode(self, pixels: NDArray[np.uint8]) -> Encoded:
        """Pixels to patch states, float32 (n, patches, d)."""
        import torch

        with torch.inference_mode():
            states = self.model.vision_model(pixel_values=self.normalise(pixels)).last_hidden_state
            encoded: Encoded = states.float().cpu().numpy()
            return encoded
