"""BLIP as a reranker: the probability, by its image-text matching head, that words fit a picture.

Li et al., *BLIP: Bootstrapping Language-Image Pre-training for Unified Vision-Language
Understanding and Generation* (ICML 2022), by transformers, which loads when first needed.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.requirements import require_packages
from retrieval.errors import UnknownModelError
from retrieval.fusion.scores import AddedScore, ScoreFusion
from retrieval.images.preprocess import Preprocessing
from retrieval.rerankers.base import Candidate, RerankQuery, Scores
from retrieval.rerankers.encoding_cache import DEFAULT_MAX_BYTES, Encoded, EncodingCache

DEFAULT_BLIP = "Salesforce/blip-itm-base-coco"

_IMAGES_A_BATCH = 16
# The normalisation of all published BLIP models, which is CLIP's.
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_DEVIATION = (0.26862954, 0.26130258, 0.27577711)


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
        self._cache_bytes = cache_bytes
        self._loaded: _LoadedBlip | None = None
        self._lock = threading.Lock()

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
        model = self._load()
        words = model.tokenise(query.text)
        paths = [candidate.path for candidate in candidates]
        times = [candidate.time_ms for candidate in candidates]
        for places, pictures in model.images.batches(paths, _IMAGES_A_BATCH, times):
            scores[places] = model.match(words, pictures)
        return scores

    def _load(self) -> _LoadedBlip:
        with self._lock:
            if self._loaded is None:
                self._loaded = _LoadedBlip(self._source, self._cache_bytes)
            return self._loaded


class _LoadedBlip:
    """The torch side."""

    def __init__(self, source: str, cache_bytes: int) -> None:
        import torch
        from transformers import AutoTokenizer, BlipForImageTextRetrieval

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(source)
            self._model: Any = BlipForImageTextRetrieval.from_pretrained(source)
        except Exception as error:  # transformers and the hub raise many kinds.
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UnknownModelError(
                f"The weights of {source} cannot be had ({reason}): check the network, or give a "
                "folder that holds them, as blip:FOLDER."
            ) from error
        self._model.eval()
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model.to(self._device)
        config = self._model.config
        self._longest = int(config.text_config.max_position_embeddings)
        self._mean = torch.tensor(_MEAN, device=self._device).view(1, 3, 1, 1)
        self._deviation = torch.tensor(_DEVIATION, device=self._device).view(1, 3, 1, 1)
        preprocessing = Preprocessing(int(config.vision_config.image_size), "squash", "bicubic")
        self.images = EncodingCache(self._encode, preprocessing, cache_bytes)

    def tokenise(self, text: str) -> Any:
        """`input_ids` and `attention_mask`, int64 (1, L)."""
        return self._tokenizer(
            text, return_tensors="pt", truncation=True, max_length=self._longest
        ).to(self._device)

    def match(self, words: Any, pictures: Encoded) -> Scores:
        """Probabilities, float32 (n,), that the words fit the encoded pictures (n, patches, d)."""
        import torch

        with torch.inference_mode():
            seen = torch.from_numpy(pictures).to(self._device)
            n = len(seen)
            states = self._model.text_encoder(
                input_ids=words["input_ids"].expand(n, -1),
                attention_mask=words["attention_mask"].expand(n, -1),
                encoder_hidden_states=seen,
                encoder_attention_mask=torch.ones(
                    seen.shape[:2], dtype=torch.long, device=self._device
                ),
            ).last_hidden_state
            logits = self._model.itm_head(states[:, 0])
            # The head's two classes: does not match, matches.
            matches: Scores = logits.float().softmax(dim=-1)[:, 1].cpu().numpy()
            return matches

    def _encode(self, pixels: NDArray[np.uint8]) -> Encoded:
        """Pixels to patch states, float32 (n, patches, d)."""
        import torch

        with torch.inference_mode():
            inputs = torch.from_numpy(pixels).to(self._device).permute(0, 3, 1, 2).float()
            inputs = (inputs / 255.0 - self._mean) / self._deviation
            states = self._model.vision_model(pixel_values=inputs).last_hidden_state
            encoded: Encoded = states.float().cpu().numpy()
            return encoded
