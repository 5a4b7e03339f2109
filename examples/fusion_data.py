"""Pairs to compare fusions on: one's own captioned photographs, or pieces of those of the tests."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from retrieval.encoders.compact import CompactEncoder
from retrieval.evaluation.captions import CaptionedImage, read_captions
from retrieval.evaluation.encoded_set import encode_set
from retrieval.rerankers.training.data import TokenSet, subset, tokens_of
from samples import photos

_PIECES = 4
_HELD_OUT_SHARE = 0.25
_SENTENCES = 2


@dataclass(frozen=True)
class Pairs:
    """What is trained on and what is held out, with what a person needs to see of the latter.

    `paths`: of the pictures held out. `sentences` and `words`: of their captions, as they are
    written and as the tokens that count. `grid`: rows and columns of the patches.
    """

    training: TokenSet
    held_out: TokenSet
    paths: tuple[Path, ...]
    sentences: tuple[str, ...]
    words: tuple[tuple[str, ...], ...]
    grid: tuple[int, int]
    token_scale: float


def load_pairs(folder: Path) -> Pairs:
    """The pairs that the environment names, else pieces of the tests' photographs in `folder`.

    `FUSION_CAPTIONS` and `FUSION_IMAGES` name a captions file and its pictures, `FUSION_TRAIN` and
    `FUSION_TEST` splits of it, `FUSION_PICTURES` and `FUSION_TEST_PICTURES` how many are taken.
    """
    captions = os.environ.get("FUSION_CAPTIONS")
    if captions is None:
        return _pairs(_pieces(folder), None, folder)
    learnt = read_captions(captions, split=os.environ.get("FUSION_TRAIN"))
    tested = None
    if "FUSION_TEST" in os.environ:
        tested = read_captions(captions, split=os.environ["FUSION_TEST"])
        tested = tested[: int(os.environ.get("FUSION_TEST_PICTURES", 400))]
    learnt = learnt[: int(os.environ.get("FUSION_PICTURES", 1500))]
    return _pairs(learnt, tested, Path(os.environ["FUSION_IMAGES"]))


def _pairs(
    learnt: Sequence[CaptionedImage], tested: Sequence[CaptionedImage] | None, images: Path
) -> Pairs:
    encoder = CompactEncoder()
    several = [
        replace(image, captions=image.captions[:_SENTENCES]) for image in (*learnt, *(tested or ()))
    ]
    encoded = encode_set(encoder, several, images)
    tokens = tokens_of(encoder, encoded)
    place = {name: row for row, name in enumerate(encoded.names)}
    if tested is None:
        order = np.random.default_rng(0).permutation(len(place))
        held_out = np.sort(order[: max(2, round(_HELD_OUT_SHARE * len(order)))])
    else:
        held_out = np.array(sorted(place[image.name] for image in tested if image.name in place))
    kept = np.setdiff1d(np.arange(len(place)), held_out)
    asked = np.flatnonzero(np.isin(encoded.owner, held_out))
    sentences = tuple(encoded.captions[row] for row in asked)
    return Pairs(
        training=subset(tokens, kept),
        held_out=subset(tokens, held_out),
        paths=tuple(images / encoded.names[row] for row in held_out),
        sentences=sentences,
        words=tuple(_words(encoder, sentence) for sentence in sentences),
        grid=encoder.token_grid,
        token_scale=encoder.token_scale,
    )


def _words(encoder: CompactEncoder, sentence: str) -> tuple[str, ...]:
    found = encoder.encode_texts([sentence])
    assert found.words is not None and found.word_mask is not None
    return tuple(
        word for word, counts in zip(found.words[0], found.word_mask[0], strict=True) if counts
    )


def _pieces(folder: Path) -> list[CaptionedImage]:
    """Pieces of the photographs, each with the captions of its photograph."""
    captions = photos.read_captions()
    pieces = []
    for photo in photos.copy_photos(folder / "whole"):
        with Image.open(photo) as opened:
            whole = opened.convert("RGB")
        width, height = whole.size
        for piece in range(_PIECES):
            left, top = width * (piece % 2) // 3, height * (piece // 2) // 3
            cut = whole.crop((left, top, left + 2 * width // 3, top + 2 * height // 3))
            name = f"{photo.stem}-{piece}.jpg"
            cut.resize((160, 160)).save(folder / name)
            pieces.append(CaptionedImage(name, None, tuple(captions[photo.name])))
    return pieces
