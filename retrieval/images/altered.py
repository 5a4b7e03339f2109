"""A picture altered as copies are: cropped, mirrored, smaller, compressed, written upon.

To measure how near copies lie.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

KINDS = 5
_CROP = 0.8
_QUALITY = 40


def altered_copies(image: Image.Image, rng: np.random.Generator) -> list[Image.Image]:
    """`KINDS` copies of an RGB picture, one of each kind; a crop is 80 % of either side."""
    width, height = (max(1, round(side * _CROP)) for side in image.size)
    left = int(rng.integers(0, image.width - width + 1))
    top = int(rng.integers(0, image.height - height + 1))
    return [
        image.crop((left, top, left + width, top + height)),
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        image.resize((max(1, image.width // 2), max(1, image.height // 2))),
        _compressed(image),
        _marked(image, rng),
    ]


def in_shape(pixels: NDArray[np.uint8], width_px: int, height_px: int) -> Image.Image:
    """A picture that was squashed to a square, (S, S, 3), in its shape again."""
    side = len(pixels)
    factor = side / max(width_px, height_px)
    size = (max(1, round(width_px * factor)), max(1, round(height_px * factor)))
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def _compressed(image: Image.Image) -> Image.Image:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY)
    with Image.open(out) as opened:
        opened.load()
        return opened.copy()


def _marked(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """With a word written across it, half transparent."""
    copy = image.copy()
    place = (copy.width * rng.uniform(0.05, 0.4), copy.height * rng.uniform(0.2, 0.7))
    ImageDraw.Draw(copy, "RGBA").text(
        place, "PREVIEW", fill=(255, 255, 255, 140), font_size=max(8, copy.height // 8)
    )
    return copy
