"""BLIP as a captioner, by transformers, which loads with the first picture.

Li et al., *BLIP: Bootstrapping Language-Image Pre-training for Unified Vision-Language
Understanding and Generation* (ICML 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.captioning.base import Caption, PictureToCaption
from retrieval.captioning.pixels import pixel_batches
from retrieval.encoders.blip import LoadedBlip
from retrieval.encoders.once import LoadedOnce
from retrieval.encoders.requirements import require_packages

DEFAULT_BLIP = "Salesforce/blip-image-captioning-base"

_LONGEST = 30
_PICTURES_A_BATCH = 8


class BlipCaptioner:
    """A BLIP model for captions: a Hugging Face repository or a folder of one.

    Raises UnknownModelError, where transformers is not installed at once, and on first use where
    the weights cannot be had.
    """

    def __init__(
        self, source: str = DEFAULT_BLIP, *, beams: int = 5, length_penalty: float = 1.0
    ) -> None:
        require_packages("Describing pictures with BLIP", "blip", "transformers", "torch")
        self._source = source
        self._beams = beams
        self._length_penalty = length_penalty
        self._model = LoadedOnce(lambda: _LoadedBlip(source))

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
        """It opens the pictures' files."""
        return True

    def caption(self, pictures: Sequence[PictureToCaption]) -> list[Caption | None]:
        """A caption of each picture; None where its file cannot be read."""
        found: list[Caption | None] = [None] * len(pictures)
        if not pictures:
            return found
        model = self._model()
        paths = [picture.path for picture in pictures]
        for places, pixels in pixel_batches(paths, model.preprocessing, _PICTURES_A_BATCH):
            said = model.say(pixels, self._beams, self._length_penalty)
            for place, caption in zip(places, said, strict=True):
                found[place] = caption
        return found


class _LoadedBlip(LoadedBlip):
    """The torch side."""

    def __init__(self, source: str) -> None:
        super().__init__(source, "BlipForConditionalGeneration")

    def say(
        self, pixels: NDArray[np.uint8], beams: int, length_penalty: float
    ) -> list[Caption | None]:
        """Captions of n pictures, uint8 (n, size_px, size_px, 3)."""
        import torch

        with torch.inference_mode():
            inputs = self.normalise(pixels)
            said = self.model.generate(
                pixel_values=inputs,
                num_beams=beams,
                length_penalty=length_penalty,
                max_new_tokens=_LONGEST,
            )
            likely = self._mean_log_probabilities(inputs, said)
        texts = self.tokenizer.batch_decode(said, skip_special_tokens=True)
        return [
            Caption(" ".join(text.split()), score) if text.strip() else None
            for text, score in zip(texts, likely, strict=True)
        ]

    def _mean_log_probabilities(self, inputs: Any, said: Any) -> list[float]:
        """How likely each piece was that was said, on the average of a caption."""
        counted = said != self.model.config.text_config.pad_token_id
        found = self.model(
            pixel_values=inputs, input_ids=said, attention_mask=counted.long()
        ).logits
        likely = found[:, :-1].float().log_softmax(dim=-1)
        own = likely.gather(-1, said[:, 1:].unsqueeze(-1)).squeeze(-1)
        weights = counted[:, 1:].float()
        means = (own * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(1.0)
        return [float(mean) for mean in means.cpu()]
