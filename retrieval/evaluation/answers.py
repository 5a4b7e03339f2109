"""How often an answerer is right, on questions that are made of captions by rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.answering.base import Answer, Answerer, EncodedAnswerer
from retrieval.answering.kinds import KINDS, Kind
from retrieval.encoders.base import ImageEncoding, Pixels
from retrieval.errors import ImageError
from retrieval.evaluation.captions import CaptionedImage, CaptionsError
from retrieval.evaluation.encoded_set import IMAGES_A_BATCH, Progress, Skipped
from retrieval.evaluation.visual_questions import VisualQuestion, make_questions
from retrieval.images.decode import decode
from retrieval.images.files import read_file

# What is asked of several pictures is asked of them at once: the more pictures, the quicker.
_PICTURES_A_BATCH = 256


@dataclass(frozen=True)
class KindOfAnswers:
    """What was measured of the questions of one kind.

    `accuracy`: the share of answers that are right. `majority`: that of `majority_answer`, given
    always. `sure`: the share of questions that it was sure of, and `sure_accuracy` how many of
    these were right; None where it was sure of none. `swapped`: its accuracy where each question
    is asked of another picture, which is what the words alone are worth; None where that was not
    asked.
    """

    kind: Kind
    questions: int
    accuracy: float
    majority: float
    majority_answer: str
    sure: float
    sure_accuracy: float | None
    swapped: float | None


@dataclass(frozen=True)
class AnswersEvaluation:
    """What was measured: of each kind of question that there were any of."""

    answerer: str
    pictures: int
    questions: int
    kinds: tuple[KindOfAnswers, ...]
    skipped: tuple[Skipped, ...]


def evaluate_answers(
    answerer: Answerer,
    pictures: Sequence[CaptionedImage],
    images: Path,
    *,
    seed: int = 0,
    swapped: bool = False,
    progress: Progress | None = None,
) -> AnswersEvaluation:
    """Ask an answerer about the pictures found below `images`.

    `seed` draws the questions. `swapped`: whether each is asked of another picture as well. A
    picture that is missing or cannot be decoded is listed in `skipped`. Raises CaptionsError where
    no picture can be read, or the captions answer no question.
    """
    questions: dict[int, list[VisualQuestion]] = {}
    for question in make_questions(pictures, seed):
        questions.setdefault(question.picture, []).append(question)
    skipped: list[Skipped] = []
    asked: list[tuple[VisualQuestion, Answer, Answer | None]] = []
    for batch in _batches(pictures, images, answerer, skipped, progress):
        asked += _ask(answerer, batch, questions, swapped)
    read = len(pictures) - len(skipped)
    if not read:
        raise CaptionsError(
            f"None of the {len(pictures)} pictures that the captions name could be read below "
            f"{images}: check the folder.",
            code="captions",
            folder=images,
        )
    if not asked:
        raise CaptionsError("The captions answer no question: there are too few of them.")
    found = tuple(_of_kind(kind, own) for kind in KINDS if (own := _own(asked, kind)))
    return AnswersEvaluation(answerer.name, read, len(asked), found, tuple(skipped))


@dataclass(frozen=True)
class _Batch:
    """Places of pictures with their pixels, uint8 (n, size_px, size_px, 3)."""

    places: list[int]
    pixels: Pixels


def _batches(
    pictures: Sequence[CaptionedImage],
    images: Path,
    answerer: Answerer,
    skipped: list[Skipped],
    progress: Progress | None,
) -> Iterator[_Batch]:
    for start in range(0, len(pictures), _PICTURES_A_BATCH):
        places: list[int] = []
        pixels: list[NDArray[np.uint8]] = []
        for place in range(start, min(start + _PICTURES_A_BATCH, len(pictures))):
            name = pictures[place].name
            try:
                pixels.append(decode(read_file(images / name), answerer.preprocessing).pixels)
                places.append(place)
            except ImageError as error:
                skipped.append(Skipped(name, error.reason))
            except OSError as error:
                skipped.append(Skipped(name, f"it cannot be read ({error.strerror})"))
        if places:
            yield _Batch(places, np.stack(pixels))
        if progress is not None:
            progress("pictures", min(start + _PICTURES_A_BATCH, len(pictures)), len(pictures))


def _ask(
    answerer: Answerer,
    batch: _Batch,
    questions: dict[int, list[VisualQuestion]],
    swapped: bool,
) -> Iterator[tuple[VisualQuestion, Answer, Answer | None]]:
    """Each question with its answer, and with that of another picture of the batch."""
    by_text: dict[str, list[tuple[int, VisualQuestion]]] = {}
    for row, place in enumerate(batch.places):
        for question in questions.get(place, ()):
            by_text.setdefault(question.text, []).append((row, question))
    encoded = _encoded(answerer, batch.pixels) if isinstance(answerer, EncodedAnswerer) else None

    def answers(text: str, rows: Sequence[int]) -> list[Answer]:
        if encoded is None or not isinstance(answerer, EncodedAnswerer):
            return answerer.answer(text, batch.pixels[list(rows)])
        tokens = None if encoded.patch_tokens is None else encoded.patch_tokens[list(rows)]
        return answerer.answer_encoded(text, ImageEncoding(encoded.vectors[list(rows)], tokens))

    count = len(batch.places)
    for text, own in by_text.items():
        rows = [row for row, _ in own]
        given = answers(text, rows)
        others: Sequence[Answer | None] = [None] * len(own)
        if swapped and count > 1:
            others = answers(text, [(row + count // 2) % count for row in rows])
        yield from zip((question for _, question in own), given, others, strict=True)


def _encoded(answerer: EncodedAnswerer, pixels: Pixels) -> ImageEncoding:
    """What its encoder makes of pixels, some at a time."""
    parts = [
        answerer.encode_images(pixels[start : start + IMAGES_A_BATCH])
        for start in range(0, len(pixels), IMAGES_A_BATCH)
    ]
    tokens = [part.patch_tokens for part in parts if part.patch_tokens is not None]
    return ImageEncoding(
        np.concatenate([part.vectors for part in parts]), np.concatenate(tokens) if tokens else None
    )


_Asked = tuple[VisualQuestion, Answer, Answer | None]


def _own(asked: Sequence[_Asked], kind: Kind) -> list[_Asked]:
    return [one for one in asked if one[0].kind == kind]


def _of_kind(kind: Kind, asked: Sequence[_Asked]) -> KindOfAnswers:
    right = np.array([answer.text in question.answers for question, answer, _ in asked])
    sure = np.array([answer.is_sure for _, answer, _ in asked])
    counts = Counter(text for question, _, _ in asked for text in question.answers)
    majority, times = counts.most_common(1)[0]
    swapped = [other.text in question.answers for question, _, other in asked if other is not None]
    return KindOfAnswers(
        kind,
        len(asked),
        float(right.mean()),
        times / len(asked),
        majority,
        float(sure.mean()),
        float(right[sure].mean()) if sure.any() else None,
        float(np.mean(swapped)) if swapped else None,
    )
