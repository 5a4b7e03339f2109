"""Opening picture files: which formats there are, by their first bytes, and what a file declares.

Decodes no pixels. Pillow's plugins are called one by one instead of through `Image.open`, whose
bound on pixels is a single one for everybody who uses Pillow in the process.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from PIL import Image

from retrieval.errors import ImageError
from retrieval.images.raw import RAW_SUFFIXES, can_read_raw, is_raw, read_raw

# A 250-megapixel picture still fits in memory as RGB; one of which more has to be decoded is not.
MAX_PIXELS = 250_000_000
# fmt: off
SUFFIXES = RAW_SUFFIXES | frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp",
     ".heic", ".heif", ".hif", ".avif"}
)
# fmt: on

# From a plugin of Pillow to the function in it that opens a file.
_PLUGINS = {
    "JPEG": ("PIL.JpegImagePlugin", "jpeg_factory"),
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "WEBP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "HEIF": ("pi_heif", "HeifImageFile"),
}
_MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"BM": "BMP",
}
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)
# MPO, the stereo and panorama format of cameras, comes in through JPEG; both can leave out detail.
_REDUCIBLE = frozenset({"JPEG", "MPO"})
# These hold a picture in their own memory before Pillow copies it.
_DECODED_TWICE = frozenset({"WEBP", "AVIF", "HEIF"})
_BYTES_A_PIXEL = {"1": 1, "L": 1, "P": 1}
# Three components of 16 bits, which a progressive JPEG fills before the first pixel comes out.
_BYTES_A_COEFFICIENT_SET = 6


@dataclass(frozen=True)
class ImageFile:
    """An opened file, no pixels decoded yet.

    `picture` decodes when it is loaded, a JPEG perhaps at a reduced scale; `width_px` and
    `height_px` are what is declared in full, before turning; `memory_bytes` is about what loading
    it and bringing it to RGB takes.
    """

    image: Image.Image
    width_px: int
    height_px: int
    memory_bytes: int


def open_image(data: bytes, smallest_side_px: int | None = None) -> ImageFile:
    """Open a file's bytes.

    Where `smallest_side_px` is given, a JPEG will be decoded at the smallest scale whose shorter
    side is still at least twice that: enough for a resize to average over. Raises ImageError
    where the bytes are empty, of no known format, or more pixels would be decoded than
    MAX_PIXELS; and what Pillow raises on damaged files.
    """
    if not data:
        raise ImageError("empty", "the file is empty")
    if is_raw(data):
        image, width, height = read_raw(data, smallest_side_px)
        return ImageFile(image, width, height, _memory_bytes(image, width * height))
    form = image_format(data)
    if form is None:
        raise ImageError("not-a-picture", "it is not a picture of a format that is known")
    image = _opened(form, data)
    width, height = image.size
    if smallest_side_px is not None and form in _REDUCIBLE:
        image.draft("RGB", (2 * smallest_side_px, 2 * smallest_side_px))
    # A progressive JPEG is held in full whatever comes out of it.
    decoded = width * height if "progressive" in image.info else image.width * image.height
    if decoded > MAX_PIXELS:
        raise ImageError(
            "too-large",
            f"it declares {width} × {height} pixels, more than the {MAX_PIXELS // 10**6} "
            "megapixels that are decoded",
        )
    return ImageFile(image, width, height, _memory_bytes(image, width * height))


def image_format(data: bytes) -> str | None:
    """The format that the first bytes announce, as Pillow names it; None for no known one."""
    for magic, form in _MAGIC.items():
        if data.startswith(magic):
            return form
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        (length,) = struct.unpack(">I", data[:4])
        brands = {data[8:12]} | {data[at : at + 4] for at in range(16, min(length, 256), 4)}
        if brands & _AVIF_BRANDS:
            return "AVIF"
        if brands & _HEIF_BRANDS:
            return "HEIF"
    return None


def is_supported(name: str) -> bool:
    """False for the name of a RAW file where what reads those is not installed."""
    return can_read_raw() or not name.lower().endswith(tuple(RAW_SUFFIXES))


def _opened(form: str, data: bytes) -> Image.Image:
    module, name = _PLUGINS[form]
    factory: Callable[[io.BytesIO], Image.Image] = getattr(import_module(module), name)
    return factory(io.BytesIO(data))


def _memory_bytes(image: Image.Image, declared_pixels: int) -> int:
    pixels = image.width * image.height
    taken = pixels * _BYTES_A_PIXEL.get(image.mode, 4)
    if image.format in _DECODED_TWICE:
        taken *= 2
    if image.mode != "RGB" or "icc_profile" in image.info:
        taken += pixels * 4
    if "progressive" in image.info:
        taken += declared_pixels * _BYTES_A_COEFFICIENT_SET
    return taken
