"""Copies of photographs whose original is known by their names."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

Change = Callable[[Image.Image, np.random.Generator], Image.Image]
_MARK = "__"


def copy_name(original: str, kind: str) -> str:
    """The file name, without suffix, of a copy of this kind."""
    return f"{original}{_MARK}{kind}"


def origin_of(path: Path) -> tuple[str, str]:
    """The name, without suffix, of what a picture was made of, and the kind of copy: "" if none."""
    original, _, kind = path.stem.partition(_MARK)
    return original, kind


def cropped(image: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """A part somewhere in it, `share` of either side."""
    width, height = (int(side * share) for side in image.size)
    left = int((image.width - width) * rng.random())
    top = int((image.height - height) * rng.random())
    return image.crop((left, top, left + width, top + height))


def compressed(image: Image.Image, quality: int) -> Image.Image:
    """As a JPEG file of this quality gives it back."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return Image.open(out)


def moved(
    image: Image.Image, degrees: float, share: float, rng: np.random.Generator
) -> Image.Image:
    """As a moment later: turned by so many degrees, a part of it, and lit a little otherwise."""
    turned = image.rotate(degrees, Image.Resampling.BICUBIC)
    return ImageEnhance.Brightness(cropped(turned, share, rng)).enhance(rng.uniform(0.85, 1.15))
