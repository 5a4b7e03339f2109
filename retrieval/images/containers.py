"""Where files of each format keep EXIF data, XMP, IPTC and texts.

Only the outer structure of a file is followed; no decoder is called.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from retrieval.images import boxes, exif, iptc
from retrieval.images.blocks import MAX_BLOCK_BYTES, Blocks
from retrieval.images.tiff_directories import HEADS
from retrieval.images.written import MAX_TEXT_CHARS, decode

_PNG_HEAD = b"\x89PNG\r\n\x1a\n"
_RAF_HEAD = b"FUJIFILMCCD-RAW "
_BOX_KINDS = (b"ftyp", b"JXL ", b"jP  ")
_XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
# Some programs put the name of the profile over the first letters.
_XMP_HEADS = (_XMP_HEAD, b"XMP\0" + _XMP_HEAD[4:])
_XMP_MORE_HEAD = b"http://ns.adobe.com/xmp/extension/\0"
_PHOTOSHOP_HEAD = b"Photoshop 3.0\0"
_GIF_XMP_HEAD = b"\x21\xff\x0bXMP DataXMP"
# What follows XMP in a GIF, so that programs which take it for blocks find their end.
_GIF_XMP_TAIL = b"\x01\xff\xfe"
# More segments, chunks or resources than any picture has.
_MAX_PARTS = 200_000
_MAX_TEXT_BYTES = 8 * MAX_TEXT_CHARS
_PNG_XMP = "XML:com.adobe.xmp"
_TEXT_KEYWORDS = frozenset(
    [
        *("Title", "Description", "Comment", "Author", "Copyright", "Software"),
        *("Creation Time", "exif:DateTimeOriginal", _PNG_XMP),
    ]
)
_PROFILE = "Raw profile type "
_PROFILES = frozenset(_PROFILE + kind for kind in ("exif", "APP1", "app1", "iptc", "8bim", "xmp"))
_TIFF_XMP, _TIFF_IPTC, _TIFF_PHOTOSHOP = 0x02BC, 0x83BB, 0x8649
# Panasonic's RAW files hold a whole JPEG, whose EXIF data say more than their own.
_PANASONIC_JPEG = 0x002E


def collect(data: bytes, blocks: Blocks) -> None:
    """Add all blocks of metadata in a file; none for a format that is not known.

    Args:
        data: The whole file.
        blocks: What is found is added to these, also where the rest turns out to be garbled.
    """
    view = memoryview(data)
    if data.startswith(b"\xff\xd8"):
        _collect_jpeg(view, blocks)
    elif data.startswith(_PNG_HEAD):
        _collect_png(view, blocks)
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        _collect_webp(view, blocks)
    elif data[4:8] in _BOX_KINDS:
        boxes.collect(view, blocks)
    elif data.startswith((b"GIF87a", b"GIF89a")):
        _collect_gif(data, blocks)
    elif data.startswith(_RAF_HEAD):
        start, length = (int.from_bytes(data[at : at + 4], "big") for at in (84, 88))
        _collect_jpeg(view[start : start + length], blocks)
    elif data[:4] in HEADS:
        _collect_tiff(view, blocks)


def _collect_tiff(view: memoryview, blocks: Blocks) -> None:
    blocks.add_exif(view)
    main = exif.read_directories(view).main
    for tag, add in ((_TIFF_XMP, blocks.add_xmp), (_TIFF_IPTC, blocks.add_iptc)):
        if tag in main:
            add(main[tag].raw)
    if _TIFF_PHOTOSHOP in main:
        resources = main[_TIFF_PHOTOSHOP].head(MAX_BLOCK_BYTES)
        blocks.add_iptc(iptc.from_photoshop(resources))
    if bytes(view[:4]) == b"IIU\0" and _PANASONIC_JPEG in main:
        _collect_jpeg(main[_PANASONIC_JPEG].raw, blocks)


def _collect_jpeg(view: memoryview, blocks: Blocks) -> None:
    resources = bytearray()
    packets: list[memoryview] = []
    more: list[memoryview] = []
    for marker, content in _segments(view):
        # All that tells segments of one kind apart is in their first bytes.
        head = bytes(content[:40])
        if marker == 0xE1 and head.startswith(exif.PREFIX):
            blocks.add_exif(content)
        elif marker == 0xE1 and head.startswith(_XMP_HEADS):
            packets.append(content[len(_XMP_HEAD) :])
        elif marker == 0xE1 and head.startswith(_XMP_MORE_HEAD):
            more.append(content[len(_XMP_MORE_HEAD) :])
        elif marker == 0xED and head.startswith(_PHOTOSHOP_HEAD):
            # Resources that are too long for one segment go on in the next.
            room = max(MAX_BLOCK_BYTES - len(resources), 0)
            resources += content[len(_PHOTOSHOP_HEAD) :][:room]
    for packet in packets:
        blocks.add_xmp(packet)
    if packets and more:
        blocks.add_xmp(memoryview(_extended_packet(bytes(packets[0]), more)))
    blocks.add_iptc(iptc.from_photoshop(bytes(resources)))


def _segments(view: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Marker and content of each segment before the pixels."""
    at = 2
    for _ in range(_MAX_PARTS):
        if at + 4 > len(view) or view[at] != 0xFF:
            return
        marker = view[at + 1]
        if marker == 0xFF:
            # Segments may be filled up in front.
            at += 1
            continue
        length = int.from_bytes(view[at + 2 : at + 4], "big")
        if marker in (0xD9, 0xDA) or length < 2:
            return
        yield marker, view[at + 4 : at + 2 + length]
        at += 2 + length


def _extended_packet(packet: bytes, more: list[memoryview]) -> bytes:
    """The second packet, of what was too long for the first, which names it by 32 characters.

    It comes in pieces: the name, its whole length, where the piece belongs, and the piece.
    """
    pieces: dict[int, memoryview] = {}
    for part in more:
        if len(part) > 40 and bytes(part[:32]) in packet:
            pieces.setdefault(int.from_bytes(part[36:40], "big"), part[40:])
    joined = bytearray()
    while len(joined) in pieces and len(joined) < MAX_BLOCK_BYTES:
        joined += pieces[len(joined)]
    return bytes(joined)


def _collect_png(view: memoryview, blocks: Blocks) -> None:
    for kind, content in _png_chunks(view):
        if kind == b"eXIf":
            blocks.add_exif(content)
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            keyword = bytes(content[:80]).partition(b"\0")[0]
            name = keyword.decode("latin-1")
            rest = content[len(keyword) + 1 :]
            # The first of each counts, so that a file cannot have much unpacked again and again.
            if name in _PROFILES and name not in blocks.texts:
                blocks.texts[name] = ""
                _collect_profile(name, _png_text(kind, rest, 2 * MAX_BLOCK_BYTES), blocks)
            elif name in _TEXT_KEYWORDS and name not in blocks.texts:
                is_packet = name == _PNG_XMP
                text = _png_text(kind, rest, MAX_BLOCK_BYTES if is_packet else _MAX_TEXT_BYTES)
                blocks.texts[name] = "" if is_packet else decode(text)
                if is_packet:
                    blocks.add_xmp(memoryview(text))


def _png_chunks(view: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and content of each chunk: length, kind, content, check sum."""
    at = len(_PNG_HEAD)
    for _ in range(_MAX_PARTS):
        if at + 8 > len(view):
            return
        length = int.from_bytes(view[at : at + 4], "big")
        yield bytes(view[at + 4 : at + 8]), view[at + 8 : at + 8 + length]
        at += length + 12


def _png_text(kind: bytes, content: memoryview, limit: int) -> bytes:
    """The text after a keyword, unpacked, cut at a limit; empty where it is garbled."""
    if kind == b"tEXt":
        return bytes(content[:limit])
    packed = kind == b"zTXt"
    body = content[1:]
    if kind == b"iTXt":
        packed = bytes(content[:1]) == b"\1"
        # Whether and how it is packed, then a language, and the keyword in it.
        head = bytes(content[2:2000]).split(b"\0", 2)
        if len(head) < 3:
            return b""
        body = content[2 + len(head[0]) + len(head[1]) + 2 :]
    if not packed:
        return bytes(body[:limit])
    try:
        return zlib.decompressobj().decompress(body, limit)
    except zlib.error:
        return b""


def _collect_profile(name: str, text: bytes, blocks: Blocks) -> None:
    """Add what ImageMagick writes into a text: a name, a length, and hexadecimal digits."""
    lines = text.split(b"\n", 3)
    if len(lines) < 4:
        return
    digits = b"".join(lines[3].split())
    try:
        profile = bytes.fromhex(digits[: len(digits) // 2 * 2].decode("ascii"))
    except ValueError:
        return
    kind = name.removeprefix(_PROFILE).lower()
    if profile.startswith(_XMP_HEAD):
        blocks.add_xmp(memoryview(profile)[len(_XMP_HEAD) :])
    elif kind == "xmp":
        blocks.add_xmp(memoryview(profile))
    elif kind in ("exif", "app1"):
        blocks.add_exif(memoryview(profile))
    else:
        resources = profile.removeprefix(_PHOTOSHOP_HEAD)
        is_resources = resources.startswith(b"8BIM")
        blocks.add_iptc(iptc.from_photoshop(resources) if is_resources else resources)


def _collect_webp(view: memoryview, blocks: Blocks) -> None:
    at = 12
    for _ in range(_MAX_PARTS):
        if at + 8 > len(view):
            return
        kind = bytes(view[at : at + 4])
        length = int.from_bytes(view[at + 4 : at + 8], "little")
        content = view[at + 8 : at + 8 + length]
        if kind == b"EXIF":
            blocks.add_exif(content)
        # Some programs end the name with a NUL.
        elif kind in (b"XMP ", b"XMP\0"):
            blocks.add_xmp(content)
        at += 8 + length + length % 2


def _collect_gif(data: bytes, blocks: Blocks) -> None:
    # In a long animation there are a great many blocks to step over, and no other one looks alike.
    at = data.find(_GIF_XMP_HEAD)
    if at >= 0:
        start = at + len(_GIF_XMP_HEAD)
        end = data.find(_GIF_XMP_TAIL, start)
        blocks.add_xmp(memoryview(data)[start : end if end >= 0 else len(data)])
