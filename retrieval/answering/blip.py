"""BLIP as an answerer: it reads the question while it looks at the picture, and writes an answer.

Li et al., *BLIP: Bootstrapping Language-Image Pre-training for Unified Vision-Language
Understanding and Generation* (ICML 2022), by transformers, which loads when first needed.
"""

from __future__ import annotations

import threading
from functools import cached_property
from typing import Any

from retrieval.answering.base import Answer, best_answers
from retrieval.answering.kinds import kind_of
from retrieval.encoders.base import Pixels
from retrieval.encoders.requirements import require_packages
from retrieval.errors import UnknownModelError
from retrieval.images.preprocess import Preprocessing

DEFAULT_BLIP = "Salesforce/blip-vqa-base"

_IMAGES_A_BATCH = 16
_LONGEST_ANSWER = 10
# It was not calibrated: an answer is told as it stands where the model finds no other as likely.
_SURE = 0.5
# The normalisation of all published BLIP models, which is CLIP's.
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_DEVIATION = (0.26862954, 0.26130258, 0.27577711)


class BlipAnswerer:
    """A BLIP model for question answering: a Hugging Face repository or a folder of one.

    Its confidence is the probability of the whole answer, which nobody calibrated. Raises
    UnknownModelError, where transformers is not installed at once, and on first use where the
    weights cannot be had.
    """

    def __init__(self, source: str = DEFAULT_BLIP) -> None:
        require_packages("Answering with BLIP", "blip", "transformers", "torch")
        self._source = source
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """`blip:` and the repository or folder."""
        return f"blip:{self._source}"

    @property
    def preprocessing(self) -> Preprocessing:
        """Squashed to the model's size."""
        return self._model.preprocessing

    def answer(self, question: str, pixels: Pixels) -> list[Answer]:
        """Its answers of n pictures, uint8 (n, size_px, size_px, 3) RGB."""
        kind = kind_of(question)
        found = [
            pair
            for start in range(0, len(pixels), _IMAGES_A_BATCH)
            for pair in self._model.answer(question, pixels[start : start + _IMAGES_A_BATCH])
        ]
        return [best_answers([pair], _SURE, kind) for pair in found]

    @property
    def _model(self) -> _LoadedBlip:
        with self._lock:
            return self._loaded

    @cached_property
    def _loaded(self) -> _LoadedBlip:
        return _LoadedBlip(self._source)


class _LoadedBlip:
    """The torch side."""

    def __init__(self, source: str) -> None:
        import torch
        from transformers import AutoTokenizer, BlipForQuestionAnswering

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(source)
            self._model: Any = BlipForQuestionAnswering.from_pretrained(source)
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
        self.preprocessing = Preprocessing(
            int(config.vision_config.image_size), "squash", "bicubic"
        )

    def answer(self, question: str, pixels: Pixels) -> list[tuple[str, float]]:
        """The answer to a question about each of n pictures, and its probability."""
        import torch

        words = self._tokenizer(
            [question] * len(pixels),
            return_tensors="pt",
            truncation=True,
            max_length=self._longest,
        ).to(self._device)
        with torch.inference_mode():
            inputs = torch.from_numpy(pixels).to(self._device).permute(0, 3, 1, 2).float()
            written = self._model.generate(
                input_ids=words["input_ids"],
                attention_mask=words["attention_mask"],
                pixel_values=(inputs / 255.0 - self._mean) / self._deviation,
                max_new_tokens=_LONGEST_ANSWER,
                do_sample=False,
                num_beams=1,
                return_dict_in_generate=True,
                output_scores=True,
            )
            steps = self._model.text_decoder.compute_transition_scores(
                written.sequences, written.scores, normalize_logits=True
            )
        # What follows the end of a shorter answer in a batch is padding.
        ended = written.sequences[:, -steps.shape[1] :] == self._tokenizer.pad_token_id
        confidences = steps.masked_fill(ended, 0.0).sum(dim=1).exp().tolist()
        texts = self._tokenizer.batch_decode(written.sequences, skip_special_tokens=True)
        return [
            (text.strip(), min(1.0, confidence))
            for text, confidence in zip(texts, confidences, strict=True)
        ]
