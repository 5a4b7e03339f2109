"""BLIP as an answerer: it reads the question while it looks at the picture, and writes an answer.

Li et al., *BLIP: Bootstrapping Language-Image Pre-training for Unified Vision-Language
Understanding and Generation* (ICML 2022), by transformers, which loads when first needed.
"""

from __future__ import annotations

from retrieval.answering.base import Answer, best_answers
from retrieval.answering.kinds import kind_of
from retrieval.encoders.base import Pixels
from retrieval.encoders.blip import LoadedBlip
from retrieval.encoders.once import LoadedOnce
from retrieval.encoders.requirements import require_packages
from retrieval.images.preprocess import Preprocessing

DEFAULT_BLIP = "Salesforce/blip-vqa-base"

_IMAGES_A_BATCH = 16
_LONGEST_ANSWER = 10
# It was not calibrated: an answer is told as it stands where the model finds no other as likely.
_SURE = 0.5


class BlipAnswerer:
    """A BLIP model for question answering: a Hugging Face repository or a folder of one.

    Its confidence is the probability of the whole answer, which nobody calibrated. Raises
    UnknownModelError, where transformers is not installed at once, and on first use where the
    weights cannot be had.
    """

    def __init__(self, source: str = DEFAULT_BLIP) -> None:
        require_packages("Answering with BLIP", "blip", "transformers", "torch")
        self._source = source
        self._model = LoadedOnce(lambda: _LoadedBlip(source))

    @property
    def name(self) -> str:
        """`blip:` and the repository or folder."""
        return f"blip:{self._source}"

    @property
    def preprocessing(self) -> Preprocessing:
        """Squashed to the model's size."""
        return self._model().preprocessing

    def answer(self, question: str, pixels: Pixels) -> list[Answer]:
        """Its answers of n pictures, uint8 (n, size_px, size_px, 3) RGB."""
        kind = kind_of(question)
        found = [
            pair
            for start in range(0, len(pixels), _IMAGES_A_BATCH)
            for pair in self._model().answer(question, pixels[start : start + _IMAGES_A_BATCH])
        ]
        return [best_answers([pair], _SURE, kind) for pair in found]


class _LoadedBlip(LoadedBlip):
    """The torch side."""

    def __init__(self, source: str) -> None:
        super().__init__(source, "BlipForQuestionAnswering")

    def answer(self, question: str, pixels: Pixels) -> list[tuple[str, float]]:
        """The answer to a question about each of n pictures, and its probability."""
        import torch

        words = self.tokenize([question] * len(pixels))
        with torch.inference_mode():
            written = self.model.generate(
                input_ids=words["input_ids"],
                attention_mask=words["attention_mask"],
                pixel_values=self.normalise(pixels),
                max_new_tokens=_LONGEST_ANSWER,
                do_sample=False,
                num_beams=1,
                return_dict_in_generate=True,
                output_scores=True,
            )
            steps = self.model.text_decoder.compute_transition_scores(
                written.sequences, written.scores, normalize_logits=True
            )
        # What follows the end of a shorter answer in a batch is padding.
        ended = written.sequences[:, -steps.shape[1] :] == self.tokenizer.pad_token_id
        confidences = steps.masked_fill(ended, 0.0).sum(dim=1).exp().tolist()
        texts = self.tokenizer.batch_decode(written.sequences, skip_special_tokens=True)
        return [
            (text.strip(), min(1.0, confidence))
            for text, confidence in zip(texts, confidences, strict=True)
        ]
