"""The built-in answerer: a question's words look at a picture's kept patch tokens.

ONNX Runtime alone runs it. It knows a few hundred answers; `training/answering/` made it of
questions that were made of captions, and its model card says how often it is right.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.answering.base import Answer, best_answers
from retrieval.answering.kinds import Kind, plain, subject_of
from retrieval.answering.reading import Reading, read
from retrieval.encoders.base import ImageEncoding, Pixels
from retrieval.encoders.compact import CompactEncoder
from retrieval.encoders.onnx.session import OnnxSession
from retrieval.encoders.space import EmbeddingSpace
from retrieval.errors import QueryError, UnknownModelError
from retrieval.images.preprocess import Preprocessing

ANSWERS_FILE = "answers.onnx"
SETTINGS_FILE = "answers.json"
NAME = "compact"

# Bounds the memory of one run.
_PICTURES_A_RUN = 64
_QUESTIONS_KEPT = 512


class CompactAnswerer:
    """The answerer that lies beside a compact model's own files.

    Raises UnknownModelError where there is none, or it was made for another model.
    """

    def __init__(self, encoder: CompactEncoder) -> None:
        self._encoder = encoder
        self._settings = _settings(encoder)
        self._session = OnnxSession(encoder.model_dir / ANSWERS_FILE)
        self._asked: OrderedDict[str, dict[str, NDArray[Any]]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """`compact`."""
        return NAME

    @property
    def space(self) -> EmbeddingSpace:
        """The space of its encoder."""
        return self._encoder.space

    @property
    def preprocessing(self) -> Preprocessing:
        """That of its encoder."""
        return self._encoder.preprocessing

    @property
    def answers(self) -> Mapping[Kind, tuple[str, ...]]:
        """All answers that it can give, by kind of question."""
        return self._settings.answers

    def encode_images(self, pixels: Pixels) -> ImageEncoding:
        """What its encoder makes of pixels, uint8 (n, size_px, size_px, 3) RGB."""
        return self._encoder.encode_images(pixels)

    def answer(self, question: str, pixels: Pixels) -> list[Answer]:
        """Its answers of n pictures. Raises QueryError for a question that it cannot answer."""
        self._read(question)
        return self.answer_encoded(question, self.encode_images(pixels))

    def answer_encoded(self, question: str, pictures: ImageEncoding) -> list[Answer]:
        """Its answers of n encoded pictures. Raises as `answer`."""
        kind = self._read(question).kind
        if not len(pictures.vectors):
            return []
        found = self.probabilities(question, pictures)
        names, least = self._settings.answers[kind], self._settings.sure[kind]
        return [
            best_answers([(names[i], float(row[i])) for i in np.argsort(-row)], least, kind)
            for row in found
        ]

    def probabilities(self, question: str, pictures: ImageEncoding) -> NDArray[np.float64]:
        """How likely each answer of the question's kind is right, float64 (n, answers)."""
        reading = self._read(question)
        found = self._shares(reading.text, reading.asked, pictures)
        if reading.yes is None:
            return found
        answers = self._settings.answers
        fits = [answer in reading.yes for answer in answers[reading.asked]]
        yes = np.clip(found[:, fits].sum(axis=1), 0, 1)
        of_each = {"yes": yes, "no": 1 - yes}
        return np.stack([of_each[answer] for answer in answers[reading.kind]], axis=1)

    def logits(self, question: str, pictures: ImageEncoding) -> NDArray[np.float32]:
        """Scores of all answers, float32 (n, answers), of all kinds in the order of `answers`."""
        if pictures.patch_tokens is None:
            raise ValueError("The built-in answerer needs patch tokens.")
        asked = self._encoded(plain(question))
        return np.concatenate(
            [
                self._session.run(
                    ["logits"],
                    {
                        **asked,
                        "tokens": pictures.patch_tokens[start : start + _PICTURES_A_RUN],
                        "vectors": pictures.vectors[start : start + _PICTURES_A_RUN],
                    },
                )[0]
                for start in range(0, len(pictures.vectors), _PICTURES_A_RUN)
            ]
        )

    def _shares(self, question: str, kind: Kind, pictures: ImageEncoding) -> NDArray[np.float64]:
        """How likely each answer of that kind is, to the question as it stands."""
        logits = self.logits(question, pictures)[:, self._settings.columns(kind)]
        scaled = logits.astype(np.float64) / self._settings.temperature[kind]
        shares = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        probabilities: NDArray[np.float64] = shares / shares.sum(axis=1, keepdims=True)
        return probabilities

    def _read(self, question: str) -> Reading:
        reading = read(question, self._settings.answers["number"])
        if reading is None:
            raise QueryError(
                f"The built-in answerer cannot answer {question!r}: it knows questions by yes and "
                "no, how many, what colour, what, who, where and what somebody does.",
                code="question-kind",
                question=question,
            )
        return reading

    def _encoded(self, question: str) -> dict[str, NDArray[Any]]:
        with self._lock:
            if question in self._asked:
                self._asked.move_to_end(question)
                return self._asked[question]
        words = self._encoder.encode_texts([question])
        assert words.word_tokens is not None and words.word_mask is not None
        found: dict[str, NDArray[Any]] = {
            "words": words.word_tokens,
            "mask": words.word_mask,
            "subject": self._encoder.encode_texts([subject_of(question)]).vectors,
        }
        with self._lock:
            self._asked[question] = found
            if len(self._asked) > _QUESTIONS_KEPT:
                self._asked.popitem(last=False)
        return found


class _Settings:
    """What `answers.json` says: answers, temperature and least sure confidence, by kind."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        # In the order of the logits.
        self.answers: dict[Kind, tuple[str, ...]] = {
            kind: tuple(those) for kind, those in told["answers"].items()
        }
        self.temperature = {kind: float(told["temperature"][kind]) for kind in self.answers}
        # None where no confidence is enough.
        self.sure: dict[Kind, float | None] = {
            kind: None if told["sure"][kind] is None else float(told["sure"][kind])
            for kind in self.answers
        }

    def columns(self, kind: Kind) -> slice:
        """Where the answers of a kind stand among the logits."""
        kinds = list(self.answers)
        start = sum(len(self.answers[own]) for own in kinds[: kinds.index(kind)])
        return slice(start, start + len(self.answers[kind]))


def _settings(encoder: CompactEncoder) -> _Settings:
    folder: Path = encoder.model_dir
    try:
        told = json.loads((folder / SETTINGS_FILE).read_text("utf-8"))
        if told["fingerprint"] == encoder.space.fingerprint and (folder / ANSWERS_FILE).is_file():
            return _Settings(told)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise UnknownModelError(
        f"The model {encoder.space.name} carries no answerer.",
        code="no-answerer",
        model=encoder.space.name,
    )
