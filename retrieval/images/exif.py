"""What EXIF data say about a picture."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from retrieval.images import written
from retrieval.images.facts import DateSource, Findings, ImageMetadata
from retrieval.images.tiff_directories import HEADS, Directory, Field, TiffData

PREFIX = b"Exif\0\0"

_EXIF_DIRECTORY, _GPS_DIRECTORY = 0x8769, 0x8825
_DATE_TAGS = {DateSource.EXIF_ORIGINAL: 0x9003, DateSource.EXIF_DIGITIZED: 0x9004}
# ISO in 16 bits ends at 65535, which then stands for "see the wider ones".
_ISO_TAGS = (0x8827, 0x8831, 0x8832, 0x8833)
_ISO_OVERFLOW = 65535
_COMMENT_CODES = {b"ASCII\0\0\0": None, b"UNICODE\0": "utf-16", b"\0" * 8: None}
_BYTE_KINDS = (1, 2, 6, 7, 129)
_RIGHTS_OF_EDITOR = re.compile(r"\0+")


class First(Enum):
    """What the first directory of a block is; Canon's RAW files have a block for each."""

    MAIN = "main"
    EXIF = "exif"
    GPS = "gps"


@dataclass(frozen=True)
class Directories:
    """The three directories that matter, empty where a block lacks one."""

    main: Directory
    exif: Directory
    gps: Directory


def locate(payload: memoryview) -> memoryview | None:
    """The EXIF data within what a container holds, from their TIFF head on.

    Before it may stand `Exif` with two NULs, and in an item of a HEIF file first of all 4 bytes
    that say how far away it is, by a count that writers do not agree on.

    Args:
        payload: The content of a segment, chunk or item.

    Returns:
        The data; None where there is no head of TIFF.
    """
    told = int.from_bytes(payload[:4], "big")
    starts = (0, 6, 4, 10, 4 + told, 10 + told)
    return next((payload[at:] for at in starts if bytes(payload[at : at + 4]) in HEADS), None)


def read_directories(block: memoryview, first: First = First.MAIN) -> Directories:
    """Find the directories of a block; empty ones where they are garbled."""
    data = TiffData.opened(block)
    if data is None:
        return Directories({}, {}, {})
    main = data.first()
    if first is First.EXIF:
        return Directories({}, main, {})
    if first is First.GPS:
        return Directories({}, {}, main)
    # TIFF/EP, of which RAW files are made, has in the first what EXIF has in the second.
    exif = main | data.directory(_number(main, _EXIF_DIRECTORY))
    return Directories(main, exif, data.directory(_number(main, _GPS_DIRECTORY)))


def findings(found: Directories) -> Findings:
    """Read the facts.

    Args:
        found: The directories of one block.

    Returns:
        Whatever is there and can be. The date of the last edit (0x0132) is no date of a picture.
    """
    main, exif = found.main, found.exif
    latitude, longitude, altitude = _place(found.gps)
    make, model = _text(main, 0x010F), _text(main, 0x0110)
    facts = ImageMetadata(
        camera_make=make,
        camera_model=model,
        lens=_text(exif, 0xA434),
        focal_length_mm=written.positive(_number(exif, 0x920A)),
        focal_length_35mm=written.positive(_number(exif, 0xA405)),
        aperture=_aperture(exif),
        exposure_s=_exposure(exif),
        iso=_iso(exif),
        latitude=latitude,
        longitude=longitude,
        altitude_m=altitude,
        orientation=written.whole(_number(main, 0x0112), 1, 8),
        rating=written.whole(_number(main, 0x4746), 0, 5),
        title=written.clean(_windows_text(main, 0x9C9B)),
        caption=next((text for text in _captions(found) if text not in (None, make, model)), None),
        keywords=written.clean_keywords((_windows_text(main, 0x9C9E) or "").split(";")),
        creator=_text(main, 0x013B) or written.clean(_windows_text(main, 0x9C9D)),
        copyright=_copyright(main),
        software=_text(main, 0x0131),
    )
    return Findings(facts, dict(_dates(exif)))


def _dates(exif: Directory) -> Iterator[tuple[DateSource, datetime]]:
    for source, tag in _DATE_TAGS.items():
        moment = written.parse_date(_raw_text(exif, tag))
        if moment is not None:
            yield source, moment


def _number(fields: Mapping[int, Field], tag: int) -> float | None:
    numbers = fields[tag].numbers() if tag in fields else []
    return numbers[0] if numbers else None


def _raw_text(fields: Mapping[int, Field], tag: int) -> str | None:
    field = fields.get(tag)
    if field is None or field.kind not in _BYTE_KINDS:
        return None
    return written.decode(field.head(written.MAX_TEXT_CHARS * 8).strip(b"\0"))


def _text(fields: Mapping[int, Field], tag: int) -> str | None:
    # What follows a NUL is left over from whatever was there before.
    return written.clean((_raw_text(fields, tag) or "").partition("\0")[0])


def _windows_text(fields: Mapping[int, Field], tag: int) -> str | None:
    field = fields.get(tag)
    if field is None or field.kind not in _BYTE_KINDS:
        return None
    # Keywords are many in one text.
    return written.decode_utf16(field.head(written.MAX_TEXT_CHARS * 4)).strip() or None


def _copyright(main: Directory) -> str | None:
    """The photographer's and the editor's, between which is a NUL."""
    parts = _RIGHTS_OF_EDITOR.split(_raw_text(main, 0x8298) or "")
    return written.clean("; ".join(part.strip() for part in parts if part.strip()))


def _captions(found: Directories) -> Iterator[str | None]:
    yield written.clean_caption((_raw_text(found.main, 0x010E) or "").partition("\0")[0])
    for tag in (0x9C9C, 0x9C9F):
        yield written.clean_caption(_windows_text(found.main, tag))
    yield written.clean_caption(_comment(found.exif))


def _comment(exif: Directory) -> str | None:
    """What the user wrote, behind 8 bytes that name an encoding; other bytes mean binary data."""
    field = exif.get(0x9286)
    raw = field.head(8 + written.MAX_TEXT_CHARS * 4) if field else b""
    if field is None or raw[:8] not in _COMMENT_CODES:
        return None
    if _COMMENT_CODES[raw[:8]] is None:
        return written.decode(raw[8:].partition(b"\0")[0])
    # In the order of the block's bytes, but Windows' programs always write little-endian.
    text, order = raw[8:], field.order
    if text[:1] and text[1:2] == b"\0":
        order = "<"
    elif text[:1] == b"\0":
        order = ">"
    return text.decode("utf-16-le" if order == "<" else "utf-16-be", "replace")


def _aperture(exif: Directory) -> float | None:
    told = written.positive(_number(exif, 0x829D))
    apex = written.within(_number(exif, 0x9202), 0, 20)
    return told if told is not None or apex is None else round(2 ** (apex / 2), 1)


def _exposure(exif: Directory) -> float | None:
    told = written.positive(_number(exif, 0x829A))
    apex = written.within(_number(exif, 0x9201), -20, 20)
    return told if told is not None or apex is None else 2**-apex


def _iso(exif: Directory) -> int | None:
    told = [written.whole(_number(exif, tag), 1, 2**31) for tag in _ISO_TAGS]
    known = [iso for iso in told if iso is not None]
    return next((iso for iso in known if iso != _ISO_OVERFLOW), known[0] if known else None)


def _place(gps: Directory) -> tuple[float | None, float | None, float | None]:
    altitude = _number(gps, 6)
    # 1 and, since EXIF 3, 3: below.
    if altitude is not None and _number(gps, 5) in (1, 3):
        altitude = -altitude
    return written.place(_degrees(gps, 1, "NS"), _degrees(gps, 3, "EW"), altitude)


def _degrees(gps: Directory, tag: int, directions: str) -> float | None:
    """An angle, of degrees, minutes and seconds; None where no direction says which side it is."""
    direction = (_text(gps, tag) or "?")[0].upper()
    parts = gps[tag + 1].numbers()[:3] if tag + 1 in gps else []
    known = [part for part in parts if part is not None]
    if direction not in directions or not known or len(known) < len(parts):
        return None
    angle = sum((part / 60.0**power for power, part in enumerate(known)), 0.0)
    return angle if direction == directions[0] else -angle
