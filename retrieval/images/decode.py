"""Decoding: the bytes of a picture file to upright RGB pixels of the size an encoder sees.

With `picture_files`, `raw_files` and `colours` the one place that knows decoders; every way in
which a file can be bad comes out as a `ImageError` with a kind and a reason. NumPy is imported
when first needed, so that a process that only decodes starts fast.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from retrieval.errors import ImageError
from retrieval.images.color import deep_extrema, to_srgb
from retrieval.images.facts import NO_METADATA, ImageMetadata
from retrieval.images.files import read_file
from retrieval.images.formats import MAX_PIXELS, SUFFIXES, ImageFile, is_supported, open_image
from retrieval.images.preprocess import Preprocessing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "MAX_PIXELS",
    "SUFFIXES",
    "DecodedImage",
    "ResizedImage",
    "decode",
    "is_supported",
    "opening",
    "read_image",
    "resize",
    "resize_file",
    "to_pixels",
]

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDES_SWAPPED = frozenset({5, 6, 7, 8})
# A strip of one pixel by a million would grow to gigabytes where its shorter side is scaled up.
_MAX_ASPECT = 8
# A larger picture is brought to RGB strip by strip, so that it is not in memory several times.
_STRIP_PIXELS = 2**24
# How much larger than wanted a picture is left when it is reduced by averaging whole pixels.
_REDUCED_AT_LEAST = 4


@dataclass(frozen=True)
class DecodedImage:
    """A picture ready for an encoder: `pixels` uint8 (S, S, 3), and its upright size in full.

    `metadata` is what its file says of it, where that was asked for. `time_ms`: where in a video it
    is, None for a picture.
    """

    pixels: NDArray[np.uint8]
    width_px: int
    height_px: int
    metadata: ImageMetadata = NO_METADATA
    time_ms: int | None = None


@dataclass(frozen=True)
class ResizedImage:
    """What `DecodedImage` holds, as Pillow's RGB picture in place of an array."""

    image: Image.Image
    width_px: int
    height_px: int


def decode(data: bytes, preprocessing: Preprocessing) -> DecodedImage:
    """Decode a file's bytes and bring the picture to the size that an encoder sees.

    Raises ImageError where the bytes are no picture, are damaged, or declare too many pixels.
    """
    import numpy as np

    with opening(data, preprocessing.size_px) as file:
        resized = resize_file(file, preprocessing)
    return DecodedImage(np.asarray(resized.image), resized.width_px, resized.height_px)


@contextmanager
def opening(data: bytes, smallest_side_px: int | None = None) -> Iterator[ImageFile]:
    """A file's bytes opened, as `open_image`; whatever is wrong with it, in the block too, is a
    ImageError.
    """
    with _reasons():
        yield open_image(data, smallest_side_px)


def resize_file(file: ImageFile, preprocessing: Preprocessing) -> ResizedImage:
    """Decode an opened file, turn it upright, and resize it as the encoder wants it."""
    upright = _upright_rgb(file.image, preprocessing.size_px)
    width, height = file.width_px, file.height_px
    if _orientation(file.image) in _SIDES_SWAPPED:
        width, height = height, width
    return ResizedImage(resize(upright, preprocessing), width, height)


def read_image(
    source: bytes | str | os.PathLike[str] | Image.Image, smallest_side_px: int | None = None
) -> Image.Image:
    """An upright RGB picture from a file, its bytes or an open picture.

    Where `smallest_side_px` is given, a JPEG may come at a reduced scale whose shorter side is
    still at least twice that, which decodes much faster. Raises ImageError.
    """
    with _reasons():
        if isinstance(source, Image.Image):
            # A copy: loading happens in place, and the caller's picture is not ours.
            return _upright_rgb(source.copy(), smallest_side_px)
        data = source if isinstance(source, bytes) else read_file(Path(source))
        return _upright_rgb(open_image(data, smallest_side_px).image, smallest_side_px)


def to_pixels(image: Image.Image, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """An RGB picture as uint8 (size_px, size_px, 3), resized as the encoder wants it."""
    import numpy as np

    return np.asarray(resize(image, preprocessing))


def resize(image: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    """An RGB picture of size_px by size_px pixels, by the encoder's rule."""
    side = preprocessing.size_px
    resample = _FILTERS[preprocessing.interpolation]
    if preprocessing.resize == "squash":
        return image.resize((side, side), resample)
    if preprocessing.resize == "pad":
        return _padded(image, side, resample, preprocessing.fill_value)
    image = _middle(image)
    width, height = image.size
    # The same rounding as torchvision's Resize and CenterCrop, so that vectors agree with CLIP's.
    if width <= height:
        size = (side, int(side * height / width))
    else:
        size = (int(side * width / height), side)
    resized = image.resize(size, resample) if size != image.size else image
    left, top = round((size[0] - side) / 2.0), round((size[1] - side) / 2.0)
    return resized.crop((left, top, left + side, top + side))


def _padded(
    image: Image.Image, side: int, resample: Image.Resampling, fill_value: int
) -> Image.Image:
    """The whole picture in the middle of a square, by the same rounding as open_clip's."""
    factor = max(image.size) / side
    # A thread of a strip still has to have some width.
    width, height = (max(1, round(length / factor)) for length in image.size)
    page = Image.new("RGB", (side, side), (fill_value,) * 3)
    page.paste(image.resize((width, height), resample), ((side - width) // 2, (side - height) // 2))
    return page


def _middle(image: Image.Image) -> Image.Image:
    """The middle of a very long strip: more than the square that will be cut from it."""
    width, height = image.size
    longest = _MAX_ASPECT * min(width, height)
    if max(width, height) <= longest:
        return image
    left, top = max(0, width - longest) // 2, max(0, height - longest) // 2
    return image.crop((left, top, left + min(width, longest), top + min(height, longest)))


def _orientation(image: Image.Image) -> int | None:
    """The EXIF orientation; None where there is none, or the EXIF data are garbled."""
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG)
    except Exception:  # Pillow's EXIF reader raises nearly anything on garbled bytes.
        return None
    return orientation if isinstance(orientation, int) else None


def _upright_rgb(image: Image.Image, smallest_side_px: int | None) -> Image.Image:
    image.load()
    if image.width * image.height > _STRIP_PIXELS:
        rgb = _by_strips(image, smallest_side_px)
    else:
        rgb = to_srgb(image)
    turn = _TURNS.get(_orientation(image) or 1)
    return rgb if turn is None else rgb.transpose(turn)


def _by_strips(image: Image.Image, smallest_side_px: int | None) -> Image.Image:
    """A large picture as RGB, reduced where it stays several times as large as what is wanted."""
    width, height = image.size
    wanted = min(width, height) if smallest_side_px is None else smallest_side_px
    factor = max(1, min(width, height) // (_REDUCED_AT_LEAST * wanted))
    if factor == 1 and image.mode == "RGB" and not image.info.get("icc_profile"):
        return to_srgb(image)
    rows = max(1, _STRIP_PIXELS // 4 // width // factor) * factor
    extrema = deep_extrema(image)
    reduced = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        reduced.paste(to_srgb(strip, extrema).reduce(factor), (0, top // factor))
    return reduced


@contextmanager
def _reasons() -> Iterator[None]:
    """What Pillow and the system raise on bad files, as ImageError."""
    try:
        yield
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError("vanished", "the file is no longer there") from error
    except PermissionError as error:
        raise ImageError("unreadable", "reading it is not permitted") from error
    except Image.DecompressionBombError as error:
        raise ImageError("too-large", "it declares too many pixels") from error
    except MemoryError as error:
        raise ImageError("too-large", "there is not enough memory to decode it") from error
    except OSError as error:
        if error.errno is not None:
            raise ImageError("unreadable", f"it cannot be read ({error.strerror})") from error
        raise ImageError("damaged", f"it is damaged ({error})") from error
    except Exception as error:  # Pillow's plugins raise nearly anything on garbled bytes.
        raise ImageError("damaged", f"it is damaged ({error})") from error
