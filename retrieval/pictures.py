"""Decoding: the bytes of a picture file to upright RGB pixels of the size an encoder sees.

The one place that knows Pillow's decoders; every way in which a file can be bad comes out as a
`PictureError` with a kind and a reason.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from retrieval.errors import PictureError
from retrieval.preprocessing import Preprocessing

# A 250-megapixel panorama still fits in memory as RGB; a file that declares more is not decoded.
MAX_PIXELS = 250_000_000
# MPO, the stereo and panorama format of cameras, comes in through JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".mpo"}
)

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_UPRIGHT_SWAPPED = frozenset({5, 6, 7, 8})
_ORIENTATION_TAG = 0x0112
# The formats whose decoder can leave out detail, so that less is decoded than is declared.
_REDUCIBLE = frozenset({"JPEG", "MPO"})
# A strip of one pixel by a million would grow to gigabytes where its shorter side is scaled up.
_MAX_ASPECT = 8
# Pillow's own bound warns and fails at sizes of its choosing; `_open` stands in for it.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class DecodedPicture:
    """A picture ready for an encoder: `pixels` uint8 (S, S, 3), and its upright size in full."""

    pixels: NDArray[np.uint8]
    width_px: int
    height_px: int


def decode(data: bytes, preprocessing: Preprocessing) -> DecodedPicture:
    """Decode a file's bytes and bring the picture to the size that an encoder sees.

    Raises PictureError where the bytes are no picture, are damaged, or declare too many pixels.
    """
    with _reasons():
        picture = _open(data)
        declared = picture.size
        upright = _upright_rgb(picture, preprocessing.size_px)
        width, height = upright.size
        if picture.format in _REDUCIBLE:
            is_turned = _orientation(picture) in _UPRIGHT_SWAPPED
            width, height = declared[::-1] if is_turned else declared
        return DecodedPicture(to_pixels(upright, preprocessing), width, height)


def declared_pixels(data: bytes) -> int:
    """How many pixels a file says it has, without decoding it. Raises PictureError."""
    with _reasons():
        width, height = _open(data).size
        return width * height


def read_picture(
    source: bytes | str | os.PathLike[str] | Image.Image, smallest_side_px: int | None = None
) -> Image.Image:
    """An upright RGB picture from a file, its bytes or an open picture.

    Where `smallest_side_px` is given, a JPEG may come at a reduced scale whose shorter side is
    still at least twice that, which decodes much faster. Raises PictureError.
    """
    with _reasons():
        if isinstance(source, Image.Image):
            # A copy: reducing and turning happen in place, and the caller's picture is not ours.
            return _upright_rgb(source.copy(), smallest_side_px)
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        return _upright_rgb(_open(data), smallest_side_px)


def to_pixels(picture: Image.Image, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """An RGB picture as uint8 (size_px, size_px, 3), resized as the encoder wants it."""
    side = preprocessing.size_px
    resample = _FILTERS[preprocessing.interpolation]
    if preprocessing.resize == "squash":
        return np.asarray(picture.resize((side, side), resample))
    picture = _middle(picture)
    width, height = picture.size
    # The same rounding as torchvision's Resize and CenterCrop, so that vectors agree with CLIP's.
    if width <= height:
        size = (side, int(side * height / width))
    else:
        size = (int(side * width / height), side)
    resized = picture.resize(size, resample) if size != picture.size else picture
    left, top = round((size[0] - side) / 2.0), round((size[1] - side) / 2.0)
    return np.asarray(resized.crop((left, top, left + side, top + side)))


def _middle(picture: Image.Image) -> Image.Image:
    """The middle of a very long strip: more than the square that will be cut from it."""
    width, height = picture.size
    longest = _MAX_ASPECT * min(width, height)
    if max(width, height) <= longest:
        return picture
    left, top = max(0, width - longest) // 2, max(0, height - longest) // 2
    return picture.crop((left, top, left + min(width, longest), top + min(height, longest)))


def _open(data: bytes) -> Image.Image:
    if not data:
        raise PictureError("empty", "the file is empty")
    picture = Image.open(io.BytesIO(data), formats=FORMATS)
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise PictureError(
            "too-large",
            f"it declares {width} × {height} pixels, more than the {MAX_PIXELS // 10**6} "
            "megapixels that are decoded",
        )
    return picture


def _orientation(picture: Image.Image) -> int | None:
    """The EXIF orientation; None where there is none, or the EXIF data are garbled."""
    try:
        orientation = picture.getexif().get(_ORIENTATION_TAG)
    except Exception:  # Pillow's EXIF reader raises nearly anything on garbled bytes.
        return None
    return orientation if isinstance(orientation, int) else None


def _turned(picture: Image.Image) -> Image.Image:
    if _orientation(picture) is None:
        return picture
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # Garbled EXIF data are no reason to do without the picture.
        return picture


def _upright_rgb(picture: Image.Image, smallest_side_px: int | None) -> Image.Image:
    if smallest_side_px is not None:
        # Twice the wanted size leaves the final resize enough to average over.
        picture.draft("RGB", (2 * smallest_side_px, 2 * smallest_side_px))
    profile = picture.info.get("icc_profile")
    picture.load()
    upright = _turned(picture)
    return _in_srgb(_as_rgb(upright), upright.mode, profile)


def _as_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGB":
        return picture
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        return _stretched(picture).convert("RGB")
    if picture.has_transparency_data:
        # What is transparent shows a page's white, as picture viewers show it.
        opaque = picture.convert("RGBA")
        page = Image.new("RGBA", opaque.size, "white")
        return Image.alpha_composite(page, opaque).convert("RGB")
    return picture.convert("RGB")


def _stretched(picture: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits to 8: by its type's range, or its own where it goes beyond."""
    grey = np.nan_to_num(np.asarray(picture, dtype=np.float32))
    low, high = float(grey.min()), float(grey.max())
    if low >= 0 and 255 < high <= 65535:
        low, high = 0.0, 65535.0
    elif low >= 0 and high <= 255 and picture.mode != "F":
        low, high = 0.0, 255.0
    scaled = (grey - low) * (255.0 / (high - low)) if high > low else np.zeros_like(grey)
    return Image.fromarray(scaled.clip(0, 255).astype(np.uint8))


def _in_srgb(picture: Image.Image, mode: str, profile: bytes | None) -> Image.Image:
    """Colours of an embedded RGB profile as sRGB; a profile that makes no sense is passed over."""
    if not profile or mode not in ("RGB", "RGBA", "P"):
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return picture
        converted = ImageCms.profileToProfile(
            picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
        return converted if converted is not None else picture
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture


@contextmanager
def _reasons() -> Iterator[None]:
    """What Pillow and the system raise on bad files, as PictureError."""
    try:
        yield
    except PictureError:
        raise
    except UnidentifiedImageError as error:
        raise PictureError(
            "not-a-picture", "it is not a picture of a format that is known"
        ) from error
    except FileNotFoundError as error:
        raise PictureError("vanished", "the file is no longer there") from error
    except PermissionError as error:
        raise PictureError("unreadable", "reading it is not permitted") from error
    except Image.DecompressionBombError as error:
        raise PictureError("too-large", "it declares too many pixels") from error
    except MemoryError as error:
        raise PictureError("too-large", "there is not enough memory to decode it") from error
    except OSError as error:
        if error.errno is not None:
            raise PictureError("unreadable", f"it cannot be read ({error.strerror})") from error
        raise PictureError("damaged", f"it is damaged ({error})") from error
    except Exception as error:  # Pillow's plugins raise nearly anything on garbled bytes.
        raise PictureError("damaged", f"it is damaged ({error})") from error
