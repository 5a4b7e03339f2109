"""Captioned pictures, read from disk and encoded once, all in memory.

Ranks nothing: `retrieval.evaluation.protocol` and the training of a reranker do that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.base import Encoder, ImageEncoding, Vectors
from retrieval.errors import ImageError
from retrieval.evaluation.captions import CaptionedImage, CaptionsError
from retrieval.evaluation.metrics import Integers
from retrieval.images.decode import DecodedImage, decode
from retrieval.images.files import read_file

IMAGES_A_BATCH = 32
TEXTS_A_BATCH = 128
_DECODERS = 4

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done and how much there is."""


@dataclass(frozen=True)
class Skipped:
    """A picture that the captions name and that could not be used, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class EncodedSet:
    """p pictures and the t captions people wrote for them, as an encoder sees them.

    `names`: p paths below the images folder. `picture_vectors`: (p, dim). `patch_tokens`: int8
    (p, patches, token_dim) or None. `captions`: t texts. `owner`: (t,), the position of each
    caption's picture. `text_vectors`: (t, dim). `skipped`: pictures left out, captions and all.
    """

    names: tuple[str, ...]
    image_vectors: Vectors
    patch_tokens: NDArray[np.int8] | None
    captions: tuple[str, ...]
    owner: Integers
    text_vectors: Vectors
    skipped: tuple[Skipped, ...]


def encode_set(
    encoder: Encoder,
    pictures: Sequence[CaptionedImage],
    images: Path,
    progress: Progress | None = None,
) -> EncodedSet:
    """Encode the pictures found below `images`, and their captions.

    A picture that is missing or cannot be decoded is listed in `skipped`, and its captions are
    left out. Raises CaptionsError where no picture can be read.
    """
    report = progress or _silent
    used: list[CaptionedImage] = []
    skipped: list[Skipped] = []
    encodings: list[ImageEncoding] = []
    pixels: list[NDArray[np.uint8]] = []
    report("pictures", 0, len(pictures))
    for done, (image, outcome) in enumerate(_decoded(encoder, pictures, images), start=1):
        if isinstance(outcome, ImageError):
            skipped.append(Skipped(image.name, outcome.reason))
        else:
            used.append(image)
            pixels.append(outcome.pixels)
        if pixels and (len(pixels) == IMAGES_A_BATCH or done == len(pictures)):
            encodings.append(encoder.encode_images(np.stack(pixels)))
            pixels = []
        report("pictures", done, len(pictures))
    if not used:
        raise CaptionsError(
            f"None of the {len(pictures)} pictures that the captions name could be read below "
            f"{images}: check the folder.",
            code="captions",
            folder=images,
        )
    captions = tuple(caption for image in used for caption in image.captions)
    owner = np.repeat(np.arange(len(used)), [len(image.captions) for image in used])
    return EncodedSet(
        names=tuple(image.name for image in used),
        image_vectors=np.concatenate([encoding.vectors for encoding in encodings]),
        patch_tokens=_joined_tokens(encodings),
        captions=captions,
        owner=owner.astype(np.int64),
        text_vectors=_text_vectors(encoder, captions, report),
        skipped=tuple(skipped),
    )


def subset(encoded: EncodedSet, pictures: Integers) -> EncodedSet:
    """Some of the pictures (ascending positions) of an encoded set, with their captions."""
    mine = np.flatnonzero(np.isin(encoded.owner, pictures))
    return EncodedSet(
        names=tuple(encoded.names[i] for i in pictures),
        image_vectors=encoded.image_vectors[pictures],
        patch_tokens=None if encoded.patch_tokens is None else encoded.patch_tokens[pictures],
        captions=tuple(encoded.captions[i] for i in mine),
        owner=np.searchsorted(pictures, encoded.owner[mine]).astype(np.int64),
        text_vectors=encoded.text_vectors[mine],
        skipped=(),
    )


def _decoded(
    encoder: Encoder, pictures: Sequence[CaptionedImage], images: Path
) -> Iterator[tuple[CaptionedImage, DecodedImage | ImageError]]:
    """Each picture in order with its pixels or what is wrong; decoding runs a little ahead."""
    preprocessing = encoder.preprocessing

    def decode_one(image: CaptionedImage) -> DecodedImage | ImageError:
        path = images / image.name
        try:
            return decode(read_file(path), preprocessing)
        except FileNotFoundError:
            return ImageError("vanished", "there is no such file")
        except OSError as error:
            return ImageError("unreadable", f"it cannot be read ({error.strerror})")
        except ImageError as error:
            return error

    waiting = iter(pictures)
    with ThreadPoolExecutor(_DECODERS) as pool:
        while chunk := list(islice(waiting, 2 * IMAGES_A_BATCH)):
            yield from zip(chunk, pool.map(decode_one, chunk), strict=True)


def _text_vectors(encoder: Encoder, captions: Sequence[str], report: Progress) -> Vectors:
    vectors = []
    for start in range(0, len(captions), TEXTS_A_BATCH):
        vectors.append(encoder.encode_texts(captions[start : start + TEXTS_A_BATCH]).vectors)
        report("captions", min(start + TEXTS_A_BATCH, len(captions)), len(captions))
    return np.concatenate(vectors)


def _joined_tokens(encodings: Sequence[ImageEncoding]) -> NDArray[np.int8] | None:
    tokens = [found.patch_tokens for found in encodings if found.patch_tokens is not None]
    return np.concatenate(tokens) if len(tokens) == len(encodings) else None


def _silent(stage: str, done: int, total: int) -> None:
    """Tell nobody."""
