"""How near the copies of a picture lie to it in a model's space: measured on an index's own.

So that no threshold is tied to one model: of some of the indexed pictures copies are made and
encoded, and what their cosines are says from which on a pair is worth a closer look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrieval.catalog.records import Item
from retrieval.encoders.base import ImageEncoder
from retrieval.images.altered import KINDS, altered_copies, in_shape
from retrieval.images.decode import to_pixels
from retrieval.images.preprocess import Preprocessing
from retrieval.organise.readable import ReadablePictures

SAMPLE = 20
# All but so many copies are to be looked at.
_MISSED = 0.005
# Encoded at once.
_BATCH = 16
# Where no picture can be read: nearly the same.
_UNMEASURED = 0.95


@dataclass(frozen=True)
class Nearness:
    """Cosines of copies: all but a few have `least` and more, half of them `typical` and more."""

    least: float
    typical: float


def measure_nearness(
    sample: Sequence[Item], encoder: ImageEncoder, pictures: ReadablePictures
) -> Nearness:
    """Of made copies of these pictures, those that can be read."""
    rng = np.random.default_rng(0)
    size_px = 2 * encoder.preprocessing.size_px
    pixels = []
    for decoded in pictures.decoded(sample, Preprocessing(size_px, "squash")):
        if decoded is None:
            continue
        image = in_shape(decoded.pixels, decoded.width_px, decoded.height_px)
        for shown in (image, *altered_copies(image, rng)):
            pixels.append(to_pixels(shown, encoder.preprocessing))
    if not pixels:
        return Nearness(_UNMEASURED, _UNMEASURED)
    vectors = np.concatenate(
        [
            encoder.encode_images(np.stack(pixels[start : start + _BATCH])).vectors
            for start in range(0, len(pixels), _BATCH)
        ]
    )
    families = vectors.reshape(-1, 1 + KINDS, vectors.shape[1])
    cosines = np.einsum("nd,nkd->nk", families[:, 0], families[:, 1:]).ravel()
    return Nearness(float(np.quantile(cosines, _MISSED)), float(np.median(cosines)))
