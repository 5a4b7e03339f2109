"""Each question to the tower that understands it: the model's own, or that for other languages."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import cached_property

from retrieval.encoders.base import TextEncoding
from retrieval.encoders.compact import CompactEncoder
from retrieval.encoders.languages.multilingual import (
    HEAD_FILE,
    MultilingualTextEncoder,
    is_installed,
)
from retrieval.errors import UnknownModelError
from retrieval.query.language import has_words, is_foreign

logger = logging.getLogger(__name__)


class LanguageRouter:
    """Encodes questions for the pictures of one compact encoder. Thread-safe."""

    def __init__(self, encoder: CompactEncoder) -> None:
        self.encoder = encoder

    def encode(self, text: str) -> TextEncoding:
        """The encoding of one text.

        One in another language goes through the encoder's own tower where there is no other, and
        one line is logged that says so, as it is of a text without words.
        """
        if not has_words(text):
            logger.warning("The model reads words, of which the question has none.")
        if not is_foreign(text, self.encoder.knows):
            return self.encoder.encode_texts([text])
        if self._other is None:
            logger.warning("%s", self._what_is_missing())
            return self.encoder.encode_texts([text])
        return replace(self._other.encode_texts([text]), in_other_language=True)

    @cached_property
    def _other(self) -> MultilingualTextEncoder | None:
        try:
            return MultilingualTextEncoder(self.encoder.model_dir, self.encoder.space)
        except UnknownModelError:
            return None

    def _what_is_missing(self) -> str:
        told = "The question seems to be in another language than English, which is all that"
        if (self.encoder.model_dir / HEAD_FILE).exists() and not is_installed():
            return f'{told} is understood here: `pip install "mmsearch[languages]"` adds others.'
        return f"{told} this model understands."
