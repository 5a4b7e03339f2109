"""When a picture was taken, as the camera wrote it into the file's EXIF data.

The data are found by the file's outer structure and read by Pillow's reader, which is plain Python:
no decoder is called, so that a hostile file can do no harm here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

_EXIF_IFD = 0x8769
# DateTimeOriginal, then DateTimeDigitized; DateTime says when the file was last edited.
_TAGS = (0x9003, 0x9004)
# EXIF 2.3 writes "2021:07:18 16:04:05"; programs write - and T as well, and zones after it.
_WRITTEN = re.compile(r"\s*(\d{4})\D(\d\d)\D(\d\d)\D(\d\d)\D(\d\d)(?:\D(\d\d))?")
# The oldest photograph that there is; clocks that were never set say 0000 or 0001.
_FIRST_YEAR = 1826
# How a block of EXIF data begins: as a TIFF file does, in either order of bytes.
_TIFF_HEADS = (b"II*\0", b"MM\0*")
_PREFIX = b"Exif\0\0"


def capture_time(data: bytes) -> datetime | None:
    """What the camera's clock showed, without a time zone; None where the file does not say.

    Raises nothing: a garbled date is none.
    """
    block = _exif_block(data)
    if block is None:
        return None
    # Here, since most runs read no file.
    from PIL import Image

    exif = Image.Exif()
    try:
        exif.load(block)
        fields = exif.get_ifd(_EXIF_IFD)
    except Exception:  # Pillow's EXIF reader raises nearly anything on garbled bytes.
        return None
    moments = (_parsed(fields.get(tag)) for tag in _TAGS)
    return next((moment for moment in moments if moment is not None), None)


def _exif_block(data: bytes) -> bytes | None:
    """The EXIF data of a file, from their TIFF head on; for TIFF and most RAW files all of it."""
    if data.startswith(_TIFF_HEADS):
        return data
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return next((body for kind, body in _png_chunks(data) if kind == b"eXIf"), None)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        block = next((body for kind, body in _riff_chunks(data) if kind == b"EXIF"), None)
        return None if block is None else block.removeprefix(_PREFIX)
    # A segment of a JPEG, or an item somewhere in a HEIF or AVIF file.
    places = [data.find(_PREFIX + head) for head in _TIFF_HEADS]
    start = min((place for place in places if place >= 0), default=None)
    return None if start is None else data[start + len(_PREFIX) :]


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of each chunk: length, kind, body, check sum."""
    at = 8
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        yield kind, data[at + 8 : at + 8 + length] if kind == b"eXIf" else b""
        at += length + 12


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of each chunk: kind, length, body, filled up to an even length."""
    at = 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        kind = data[at : at + 4]
        yield kind, data[at + 8 : at + 8 + length] if kind == b"EXIF" else b""
        at += 8 + length + length % 2


def _parsed(written: object) -> datetime | None:
    if isinstance(written, bytes):
        written = written.decode("ascii", "replace")
    match = _WRITTEN.match(written) if isinstance(written, str) else None
    if match is None:
        return None
    try:
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
        moment = datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None
    return moment if moment.year >= _FIRST_YEAR else None
