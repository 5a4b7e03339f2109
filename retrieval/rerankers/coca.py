"""CoCa as a reranker: how likely its decoder, seeing the picture, is to say the question's words.

Yu et al., *CoCa: Contrastive Captioners are Image-Text Foundation Models* (2022), by open_clip.
torch and open_clip load when something is reranked first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.coca import load_coca, seen_by_decoder
from retrieval.encoders.once import LoadedOnce
from retrieval.encoders.requirements import require_packages
from retrieval.fusion.scores import ScoreFusion, StandardisedSum
from retrieval.rerankers.base import Candidate, RerankQuery, Scores
from retrieval.rerankers.encoding_cache import DEFAULT_MAX_BYTES, Encoded, EncodingCache

if TYPE_CHECKING:
    import torch

    from retrieval.encoders.open_clip import LoadedOpenClip

_IMAGES_A_BATCH = 16


class CocaReranker:
    """An open_clip CoCa model, by a name as `OpenClipEncoder` takes it (`coca_ViT-B-32/TAG`).

    The score is the mean log-probability of the question's tokens given the picture (teacher
    forcing), so that long questions are not punished for being long. Raises UnknownModelError, on
    first use, where the model cannot be had or is no CoCa.
    """

    def __init__(
        self,
        name: str,
        *,
        fusion: ScoreFusion | None = None,
        cache_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        require_packages(f"The reranker {name}", "clip", "torch", "open_clip")
        self._name = name
        self._fusion = fusion or StandardisedSum()
        self._model = LoadedOnce(lambda: _LoadedCoca(load_coca(name, "rerank"), cache_bytes))

    @property
    def name(self) -> str:
        """open_clip's name."""
        return self._name

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
        """By default both stages standardised, with equal shares."""
        return self._fusion

    def rerank(self, query: RerankQuery, candidates: Sequence[Candidate]) -> Scores:
        """Mean log-probabilities, float32 (n,), at most 0; NaN where a file cannot be read."""
        scores = np.full(len(candidates), np.nan, dtype=np.float32)
        if not candidates or not query.text.strip():
            return scores
        model = self._model()
        words, labels = model.encode_words(query.text)
        paths = [candidate.path for candidate in candidates]
        times = [candidate.time_ms for candidate in candidates]
        for places, images in model.images.batches(paths, _IMAGES_A_BATCH, times):
            scores[places] = model.mean_log_probability(words, labels, images)
        return scores


class _LoadedCoca:
    """The torch side."""

    def __init__(self, loaded: LoadedOpenClip, cache_bytes: int) -> None:
        self._loaded = loaded
        self.images = EncodingCache(self._encode, loaded.preprocessing, cache_bytes)

    def encode_words(self, text: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Token states (1, L, width) and the tokens (L,) that they have to foretell."""
        import torch

        model = self._loaded.model
        with torch.inference_mode():
            tokens = self._loaded.tokenizer([text]).to(self._loaded.device)
            _, states = model.text(tokens)
            # What follows the end mark is padding; attention is causal, so nothing before sees it.
            length = int((tokens[0] != model.pad_id).nonzero().max()) + 1
            return states[:, : length - 1], tokens[0, 1:length]

    def mean_log_probability(
        self, words: torch.Tensor, labels: torch.Tensor, images: Encoded
    ) -> Scores:
        """Float32 (n,) for picture encodings (n, queries, width)."""
        import torch

        with torch.inference_mode():
            seen = torch.from_numpy(images).to(self._loaded.device)
            logits = self._loaded.model.text_decoder(seen, words.expand(len(seen), -1, -1))
            said = logits.float().log_softmax(dim=-1)
            wanted = labels.expand(len(seen), -1).unsqueeze(-1)
            means: Scores = said.gather(-1, wanted).squeeze(-1).mean(dim=-1).cpu().numpy()
            return means

    def _encode(self, pixels: NDArray[np.uint8]) -> Encoded:
        """Pixels to what the decoder attends to, float32 (n, queries, width)."""
        encoded: Encoded = seen_by_decoder(self._loaded, pixels).float().cpu().numpy()
        return encoded
