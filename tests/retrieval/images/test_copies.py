"""Copies are told from other pictures, and from pictures of the next moment, by their pixels."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from retrieval.images.copies import PREPROCESSING, Thumbnail, are_copies, compare
from retrieval.images.decode import decode


def thumbnail(image: Image.Image) -> Thumbnail:
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=92)
    decoded = decode(out.getvalue(), PREPROCESSING)
    return Thumbnail.of(decoded.pixels, decoded.width_px, decoded.height_px)


def part(image: Image.Image, left: float, top: float, share: float) -> Image.Image:
    """A part of `share` of either side; `left` and `top` say where, from 0 to 1."""
    width, height = (round(side * share) for side in image.size)
    x, y = round((image.width - width) * left), round((image.height - height) * top)
    return image.crop((x, y, x + width, y + height))


def marked(image: Image.Image) -> Image.Image:
    copy = image.convert("RGB")
    drawing = ImageDraw.Draw(copy, "RGBA")
    place = (copy.width * 0.2, copy.height * 0.45)
    drawing.text(place, "SAMPLE", fill=(255, 255, 255, 150), font_size=copy.height // 8)
    return copy


def recompressed(image: Image.Image) -> Image.Image:
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=20)
    return Image.open(out)


COPIES: dict[str, tuple[Callable[[Image.Image], Image.Image], str]] = {
    "resized": (lambda image: image.resize((image.width // 3, image.height // 3)), "same"),
    "squeezed": (lambda image: image.resize((image.width // 2, image.height // 3)), "same"),
    "recompressed": (recompressed, "same"),
    "mirrored": (lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), "mirrored"),
    "cropped": (lambda image: part(image, 0.7, 0.2, 0.8), "cropped"),
    "mirrored crop": (
        lambda image: part(image, 0.2, 0.9, 0.75).transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "mirrored and cropped",
    ),
    "another shape": (
        lambda image: image.crop((0, image.height // 8, image.width, image.height * 7 // 8)),
        "cropped",
    ),
    "marked": (marked, "same"),
}
NAMES = ("chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg")


@pytest.mark.parametrize("kind", COPIES)
def test_each_kind_of_copy_is_known_from_either_side(kind: str, photos: Path) -> None:
    change, told = COPIES[kind]
    for name in NAMES:
        with Image.open(photos / name) as image:
            original, copy = thumbnail(image), thumbnail(change(image))
        assert are_copies(original, copy) and are_copies(copy, original), name
        assert compare(original, copy).kind == told, name


def test_different_pictures_are_no_copies(photos: Path) -> None:
    shown = []
    for name in NAMES:
        with Image.open(photos / name) as image:
            shown.append(thumbnail(image))
    for place, one in enumerate(shown):
        assert not any(are_copies(one, other) for other in shown[place + 1 :])


def test_the_next_moment_is_no_copy(photos: Path) -> None:
    # What a burst is: the camera turned a little, something has moved.
    with Image.open(photos / "chelsea.png") as image:
        plain = image.convert("RGB")
    with Image.open(photos / "coffee.png") as image:
        moving = image.convert("RGB").resize((plain.width // 2, plain.height // 2))
    turned = part(plain.rotate(4, Image.Resampling.BICUBIC), 0.5, 0.5, 0.9)
    assert not are_copies(thumbnail(plain), thumbnail(turned))
    before, after = plain.copy(), plain.copy()
    before.paste(moving, (0, plain.height // 4))
    after.paste(moving, (plain.width // 2, plain.height // 3))
    assert not are_copies(thumbnail(before), thumbnail(after))


def test_plain_pictures_tell_nothing() -> None:
    plain = thumbnail(Image.new("RGB", (300, 200), (90, 120, 90)))
    assert not are_copies(plain, plain)


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 2), (30, 20)])
def test_pictures_of_any_shape_can_be_compared(size: tuple[int, int], photos: Path) -> None:
    with Image.open(photos / "coffee.png") as image:
        odd, usual = thumbnail(image.resize(size)), thumbnail(image)
    assert isinstance(are_copies(odd, usual), bool)
    assert compare(odd, odd).fitting in (0.0, 1.0)


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.7, 1), st.booleans())
def test_a_part_is_found_wherever_it_lies(
    left: float, top: float, share: float, mirrored: bool
) -> None:
    rng = np.random.default_rng(7)
    rough = Image.fromarray(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8))
    image = rough.resize((640, 480), Image.Resampling.BICUBIC)
    cut = part(image, left, top, share)
    if mirrored:
        cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert are_copies(thumbnail(image), thumbnail(cut))
