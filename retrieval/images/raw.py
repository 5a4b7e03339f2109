"""RAW files of cameras: the preview that the camera put into them, else a quick development.

Needs rawpy (LibRaw), which comes with the extra `raw`.
"""

from __future__ import annotations

import io
import struct
from functools import cache
from typing import TYPE_CHECKING, Any

from PIL import Image

from retrieval.errors import ImageError

if TYPE_CHECKING:
    import rawpy

# fmt: off
RAW_SUFFIXES = frozenset(
    {".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".sr2", ".orf", ".rw2", ".raf", ".pef",
     ".srw", ".3fr", ".iiq", ".erf", ".mrw"}
)
# fmt: on

_MAGIC = (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"\0MRM")
_NEW_SUBFILE_TYPE, _COMPRESSION, _SUB_IFDS, _DNG_VERSION = 0x00FE, 0x0103, 0x014A, 0xC612
# Compression schemes of Sony, Nikon, Samsung and Pentax, which no TIFF decoder knows.
_RAW_COMPRESSIONS = frozenset({32767, 34713, 32770, 65535})
_MAX_TAGS = 512
# How LibRaw says that the sensor was held, and what turns the picture upright.
_TURNS = {
    3: Image.Transpose.ROTATE_180,
    5: Image.Transpose.ROTATE_90,
    6: Image.Transpose.ROTATE_270,
}
_SIDES_SWAPPED = frozenset({5, 6})


@cache
def can_read_raw() -> bool:
    """Whether rawpy is installed."""
    from importlib.util import find_spec

    return find_spec("rawpy") is not None


def is_raw(data: bytes) -> bool:
    """Whether the first bytes, or the tags of a TIFF, are those of a RAW file."""
    if data.startswith(_MAGIC) or data[4:12] == b"ftypcrx ":
        return True
    if data[:4] not in (b"II*\0", b"MM\0*"):
        return False
    if data[8:10] == b"CR":
        return True
    tags = _first_tags(data)
    is_reduced_copy = tags.get(_NEW_SUBFILE_TYPE) == 1
    return (
        _DNG_VERSION in tags
        or (is_reduced_copy and _SUB_IFDS in tags)
        or tags.get(_COMPRESSION) in _RAW_COMPRESSIONS
    )


def read_raw(data: bytes, smallest_side_px: int | None) -> tuple[Image.Image, int, int]:
    """The picture, upright, and the width and height of the upright one in full.

    The embedded preview where there is one whose shorter side is at least `smallest_side_px`,
    else the sensor's data developed to half the size. Raises ImageError.
    """
    if not can_read_raw():
        raise ImageError(
            "unsupported", "it is a RAW file, which `pip install 'mmsearch[raw]'` lets be read"
        )
    import rawpy

    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            width, height = raw.sizes.width, raw.sizes.height
            if raw.sizes.flip in _SIDES_SWAPPED:
                width, height = height, width
            wanted = smallest_side_px or min(width, height) // 2
            image = _preview(raw, wanted)
            if image is None or min(image.size) < wanted:
                image = _developed(raw)
    except rawpy.LibRawError as error:
        raise ImageError("damaged", f"it is damaged ({_words(error)})") from error
    return image, width, height


def _preview(raw: rawpy.RawPy, smallest_side_px: int) -> Image.Image | None:
    """The largest picture that the camera embedded, upright; None where there is none."""
    import rawpy

    try:
        preview = raw.extract_thumb()
    except rawpy.LibRawError:
        return None
    if preview.format == rawpy.ThumbFormat.BITMAP:
        return _turned(Image.fromarray(preview.data), raw)
    try:
        from PIL.JpegImagePlugin import JpegImageFile

        image = JpegImageFile(io.BytesIO(preview.data))
        image.draft("RGB", (2 * smallest_side_px, 2 * smallest_side_px))
        image.load()
    except Exception:  # A damaged preview is no reason to do without the picture.
        return None
    return _turned(image, raw)


def _developed(raw: rawpy.RawPy) -> Image.Image:
    return Image.fromarray(raw.postprocess(half_size=True, use_camera_wb=True))


def _turned(image: Image.Image, raw: rawpy.RawPy) -> Image.Image:
    """The preview upright, unless its sides say that the camera has turned it already.

    LibRaw writes an orientation of its own into previews; none is left, lest it be heeded again.
    """
    sizes = raw.sizes
    image = image.copy()
    image.info.pop("exif", None)
    if sizes.flip not in _TURNS:
        return image
    was_turned = (image.width < image.height) != (sizes.width < sizes.height)
    if sizes.flip in _SIDES_SWAPPED and was_turned:
        return image
    return image.transpose(_TURNS[sizes.flip])


def _first_tags(data: bytes) -> dict[int, int]:
    """The tags of a TIFF's first directory, with their value where it is a single number."""
    order = "<" if data[:2] == b"II" else ">"
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        tags = {}
        for place in range(min(count, _MAX_TAGS)):
            at = start + 2 + 12 * place
            tag, kind = struct.unpack_from(order + "HH", data, at)
            form = "H" if kind == 3 else "I"
            (tags[tag],) = struct.unpack_from(order + form, data, at + 8)
    except struct.error:
        return {}
    return tags


def _words(error: Any) -> str:
    said = error.args[0] if error.args else error
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
