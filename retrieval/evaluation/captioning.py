"""How well a captioner describes the pictures of a captioned set."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrieval.captioning.base import Captioner, PictureToCaption
from retrieval.encoders.base import Encoder
from retrieval.errors import ImageError
from retrieval.evaluation.caption_scores import (
    CaptionScores,
    require_caption_scores,
    score_captions,
)
from retrieval.evaluation.captions import CaptionedImage
from retrieval.images.decode import read_image, to_pixels

_BATCH_SIZE = 32
StageProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class CaptioningEvaluation:
    """What was measured: `pictures` with their people's captions against the captioner's.

    `left_out`: pictures that could not be described. `ms_a_picture`: of the captioner alone, the
    picture being encoded already where it works on what an index keeps.
    """

    captioner: str
    pictures: int
    left_out: int
    scores: CaptionScores
    ms_a_picture: float
    captions: dict[str, str]


def evaluate_captioner(
    captioner: Captioner,
    encoder: Encoder,
    pictures: Sequence[CaptionedImage],
    images: Path,
    progress: StageProgress | None = None,
) -> CaptioningEvaluation:
    """Describe the pictures, which lie in `images`, and score that.

    Raises MmsearchError where the package of the scores is missing, ValueError where no picture
    can be described.
    """
    require_caption_scores()
    said: dict[str, str] = {}
    took = 0.0
    for start in range(0, len(pictures), _BATCH_SIZE):
        some = pictures[start : start + _BATCH_SIZE]
        seen = [_seen(images / own.name, captioner, encoder) for own in some]
        begun = time.perf_counter()
        found = captioner.caption([one for one in seen if one is not None])
        took += time.perf_counter() - begun
        there = [own for own, one in zip(some, seen, strict=True) if one is not None]
        for own, caption in zip(there, found, strict=True):
            if caption is not None:
                said[own.name] = caption.text
        if progress is not None:
            progress("describing", start + len(some), len(pictures))
    described = [own for own in pictures if own.name in said]
    scores = score_captions(
        [said[own.name] for own in described], [own.captions for own in described]
    )
    return CaptioningEvaluation(
        captioner.name,
        len(described),
        len(pictures) - len(described),
        scores,
        1000 * took / len(described),
        said,
    )


def _seen(path: Path, captioner: Captioner, encoder: Encoder) -> PictureToCaption | None:
    """A picture as the captioner wants it; None where it cannot be read."""
    if not captioner.needs_tokens:
        return PictureToCaption(path)
    try:
        pixels = to_pixels(read_image(path, encoder.preprocessing.size_px), encoder.preprocessing)
    except ImageError:
        return None
    encoding = encoder.encode_images(pixels[np.newaxis])
    tokens = None if encoding.patch_tokens is None else encoding.patch_tokens[0]
    return PictureToCaption(path, encoding.vectors[0], tokens)
