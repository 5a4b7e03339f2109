"""HEIF, AVIF, Canon's CR3, JPEG XL and JPEG 2000: files that consist of boxes within boxes.

A box is its size, its kind and its content. HEIF and AVIF keep EXIF data and XMP as items: one box
lists the items, another says where in the file each one is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from retrieval.images.blocks import MAX_BLOCK_BYTES, Blocks
from retrieval.images.exif import First
from retrieval.images.written import clean, decode, parse_date

_MAX_BOXES = 10_000
_MAX_ITEMS = 10_000
_MAX_EXTENTS = 1000
_MAX_WANTED = 8
_CANON = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_CANON_BLOCKS = ((b"CMT1", First.MAIN), (b"CMT2", First.EXIF), (b"CMT4", First.GPS))
# Animations in AVIF carry the moment when they were encoded.
_AVIF = (b"avif", b"avis")
_FIRST_MOMENT = datetime(1904, 1, 1)
# Counted from 1904, so that smaller ones are zeros, or seconds counted from 1970 by mistake.
_1970 = 2_082_844_800
_APPLE_DATE = b"com.apple.quicktime.creationdate"
_XMP_TYPE = b"application/rdf+xml"

Box = tuple[bytes, memoryview]


def collect(view: memoryview, blocks: Blocks) -> None:
    """Add what a file of boxes holds.

    Args:
        view: The whole file.
        blocks: What is found is added to these.
    """
    is_avif = bytes(view[8:12]) in _AVIF
    for kind, content in _boxes(view):
        if kind == b"meta":
            _collect_items(view, content[4:], blocks)
        elif kind == b"moov":
            _collect_movie(content, blocks, with_date=not is_avif)
        elif kind == b"mpvd":
            # A whole video behind a picture, as Samsung's and Google's phones write it.
            for inner_kind, inner in _boxes(content):
                if inner_kind == b"moov":
                    _collect_movie(inner, blocks, with_date=not is_avif)
        elif kind == b"Exif":
            blocks.add_exif(content)
        elif kind == b"xml " or (kind == b"uuid" and content[:16] == _XMP):
            blocks.add_xmp(content[16:] if kind == b"uuid" else content)


def _boxes(view: memoryview) -> Iterator[Box]:
    """Kind and content of each box; a box that claims more than there is ends where the rest does.

    Ends at a size smaller than its own head, which would lead in circles.
    """
    at = 0
    for _ in range(_MAX_BOXES):
        if at + 8 > len(view):
            return
        size, head = _unsigned(view, at, 4), 8
        if size == 1:
            size, head = _unsigned(view, at + 8, 8), 16
        elif size == 0:
            size = len(view) - at
        if size < head:
            return
        yield bytes(view[at + 4 : at + 8]), view[at + head : at + size]
        at += size


def _children(view: memoryview) -> dict[bytes, memoryview]:
    """The first box of each kind."""
    first: dict[bytes, memoryview] = {}
    for kind, content in _boxes(view):
        first.setdefault(kind, content)
    return first


def _unsigned(view: memoryview, at: int, width: int) -> int:
    """A number of this many bytes; 0 for one of none, and beyond the end."""
    return int.from_bytes(view[at : at + width], "big") if at + width <= len(view) else 0


def _collect_items(file: memoryview, meta: memoryview, blocks: Blocks) -> None:
    inside = _children(meta)
    nothing = memoryview(b"")
    wanted = dict(islice(_wanted_items(inside.get(b"iinf", nothing)), _MAX_WANTED))
    stored = inside.get(b"idat", nothing)
    for kind, content in _located(inside.get(b"iloc", nothing), wanted, file, stored):
        if kind == b"Exif":
            blocks.add_exif(content)
        else:
            blocks.add_xmp(content)


def _wanted_items(listed: memoryview) -> Iterator[tuple[int, bytes]]:
    """Number and kind of the items that are EXIF data or XMP."""
    version = _unsigned(listed, 0, 1)
    for kind, entry in _boxes(listed[6 if version == 0 else 8 :]):
        if kind != b"infe":
            continue
        # Flags come after the version; the number of an item is wider from version 3 on.
        width = 4 if _unsigned(entry, 0, 1) >= 3 else 2
        at = 4 + width + 2
        item = bytes(entry[at : at + 4])
        named = bytes(entry[at + 4 : at + 300])
        if item == b"Exif" or (item == b"mime" and _XMP_TYPE in named):
            yield _unsigned(entry, 4, width), item


def _located(
    places: memoryview, wanted: dict[int, bytes], file: memoryview, stored: memoryview
) -> Iterator[Box]:
    """Kind and content of the wanted items, which may be in pieces, in the file or in `idat`.

    Each is taken out of `wanted`, so that a file cannot have one read again and again.
    """
    version = _unsigned(places, 0, 1)
    widths = _unsigned(places, 4, 2)
    offset_width, length_width, base_width = widths >> 12, widths >> 8 & 15, widths >> 4 & 15
    index_width = widths & 15 if version in (1, 2) else 0
    number_width = 4 if version == 2 else 2
    count = _unsigned(places, 6, number_width)
    extent_size = index_width + offset_width + length_width
    at = 6 + number_width
    for _ in range(min(count, _MAX_ITEMS)):
        if at >= len(places):
            return
        number = _unsigned(places, at, number_width)
        at += number_width
        method = 0
        if version in (1, 2):
            method = _unsigned(places, at, 2) & 15
            at += 2
        base = _unsigned(places, at + 2, base_width)
        at += 2 + base_width
        extents = _unsigned(places, at, 2)
        at += 2
        if number in wanted and method in (0, 1):
            source = stored if method else file
            ranges = []
            for extent in range(min(extents, _MAX_EXTENTS)):
                here = at + extent * extent_size + index_width
                start = base + _unsigned(places, here, offset_width)
                length = _unsigned(places, here + offset_width, length_width)
                # No length: all that there is.
                ranges.append((start, start + length if length else len(source)))
            yield wanted.pop(number), _joined(source, ranges)
        at += extents * extent_size


def _joined(source: memoryview, ranges: list[tuple[int, int]]) -> memoryview:
    if len(ranges) == 1:
        return source[ranges[0][0] : ranges[0][1]]
    joined = bytearray()
    for start, end in ranges:
        joined += source[start : min(end, start + MAX_BLOCK_BYTES - len(joined))]
    return memoryview(bytes(joined))


def _collect_movie(movie: memoryview, blocks: Blocks, *, with_date: bool) -> None:
    inside = _children(movie)
    for kind, content in _boxes(movie):
        if kind == b"uuid" and content[:16] == _CANON:
            own = _children(content[16:])
            for name, first in _CANON_BLOCKS:
                if name in own:
                    blocks.add_exif(own[name], first)
    if not with_date or blocks.video_date is not None:
        return
    blocks.video_date = _apple_date(inside.get(b"meta")) or _movie_date(inside.get(b"mvhd"))


def _movie_date(head: memoryview | None) -> datetime | None:
    """When a video was made, in seconds since 1904 by the standard's clock, UTC."""
    if head is None:
        return None
    seconds = _unsigned(head, 4, 8 if _unsigned(head, 0, 1) == 1 else 4)
    # 64 bits reach beyond the year 9999.
    if not _1970 <= seconds < 2**33:
        return None
    return _FIRST_MOMENT + timedelta(seconds=seconds)


def _apple_date(meta: memoryview | None) -> datetime | None:
    """The date that Apple's phones write in local time: keys in one box, values by their number."""
    if meta is None:
        return None
    # QuickTime's box of this kind has no version and flags, ISO's has.
    inside = _children(meta if bytes(meta[4:8]) == b"hdlr" else meta[4:])
    keys, values = inside.get(b"keys"), inside.get(b"ilst")
    if keys is None or values is None:
        return None
    for number, (_namespace, name) in enumerate(_boxes(keys[8:]), 1):
        if name == _APPLE_DATE:
            value = _children(values).get(struct.pack(">I", number), memoryview(b""))
            data = _children(value).get(b"data", memoryview(b""))
            return parse_date(clean(decode(bytes(data[8:100]))))
    return None
