"""Pictures with metadata, made byte by byte, so that no library decides what is in them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

ASCII, SHORT, LONG, RATIONAL = 2, 3, 4, 5
ORIGINAL, DIGITIZED, EDITED = 0x9003, 0x9004, 0x0132
TAKEN = "2021:07:18 16:04:05"
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
XMP_MORE_HEAD = b"http://ns.adobe.com/xmp/extension/\0"
_CODES = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 7: "s", 10: "ii", 12: "d"}

# A tag's type and its values: bytes or text, numbers, or fractions as pairs.
Tags = Mapping[int, tuple[int, Any]]


def tiff(
    main: Tags | None = None,
    exif: Tags | None = None,
    gps: Tags | None = None,
    order: str = "<",
    big: bool = False,
    head: bytes | None = None,
) -> bytes:
    """A block of TIFF data of up to three directories."""
    word = "Q" if big else "I"
    start = 16 if big else 8
    later = {0x8769: exif, 0x8825: gps}
    # The pointers are as long whatever they point at, so the first pass tells where things are.
    places = dict.fromkeys((tag for tag, tags in later.items() if tags is not None), 0)
    for _ in range(2):
        first = {**(main or {}), **{tag: (LONG, [place]) for tag, place in places.items()}}
        body = _directory(first, start, order, big)
        for tag in places:
            places[tag] = start + len(body)
            body += _directory(later[tag] or {}, start + len(body), order, big)
    if head is None:
        head = b"II" if order == "<" else b"MM"
        head += struct.pack(order + "H", 43 if big else 42)
    if big:
        head += struct.pack(order + "HH", 8, 0)
    return head + struct.pack(order + word, start) + body


def _directory(tags: Tags, start: int, order: str, big: bool) -> bytes:
    word, room, step = ("Q", 8, 20) if big else ("I", 4, 12)
    data_at = start + (8 if big else 2) + step * len(tags) + room
    entries, data = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        packed, count = _packed(kind, values, order)
        entries += struct.pack(order + "HH" + word, tag, kind, count)
        if len(packed) <= room:
            entries += packed.ljust(room, b"\0")
        else:
            entries += struct.pack(order + word, data_at + len(data))
            data += packed + b"\0" * (len(packed) % 2)
    count_of = struct.pack(order + ("Q" if big else "H"), len(tags))
    return count_of + entries + b"\0" * room + data


def _packed(kind: int, values: Any, order: str) -> tuple[bytes, int]:
    if isinstance(values, str):
        values = values.encode() + b"\0"
    if isinstance(values, bytes):
        return values, len(values)
    packed = b""
    for value in values:
        parts = value if isinstance(value, tuple) else (value,)
        packed += struct.pack(order + _CODES[kind], *parts)
    return packed, len(values)


def taken(date: str = TAKEN, **options: Any) -> bytes:
    """EXIF data that say when the picture was taken, and nothing else."""
    return tiff(exif={ORIGINAL: (ASCII, date)}, **options)


def xmp(properties: str = "", attributes: str = "") -> bytes:
    """A packet with these properties, as elements and as attributes."""
    spaces = {
        "dc": "http://purl.org/dc/elements/1.1/",
        "xmp": "http://ns.adobe.com/xap/1.0/",
        "exif": "http://ns.adobe.com/exif/1.0/",
        "exifEX": "http://cipa.jp/exif/1.0/",
        "aux": "http://ns.adobe.com/exif/1.0/aux/",
        "tiff": "http://ns.adobe.com/tiff/1.0/",
        "photoshop": "http://ns.adobe.com/photoshop/1.0/",
        "lr": "http://ns.adobe.com/lightroom/1.0/",
        "digiKam": "http://www.digikam.org/ns/1.0/",
        "xmpNote": "http://ns.adobe.com/xmp/note/",
    }
    declared = " ".join(f'xmlns:{prefix}="{name}"' for prefix, name in spaces.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {declared} {attributes}>{properties}</rdf:Description>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def bag(name: str, texts: Sequence[str], kind: str = "Bag") -> str:
    """A property of several values."""
    items = "".join(f"<rdf:li>{text}</rdf:li>" for text in texts)
    return f"<{name}><rdf:{kind}>{items}</rdf:{kind}></{name}>"


def languages(name: str, texts: Mapping[str, str]) -> str:
    """A property in several languages."""
    items = "".join(f'<rdf:li xml:lang="{key}">{text}</rdf:li>' for key, text in texts.items())
    return f"<{name}><rdf:Alt>{items}</rdf:Alt></{name}>"


def iptc(*records: tuple[int, int, bytes]) -> bytes:
    """Records one after the other."""
    return b"".join(
        bytes([0x1C, record, number]) + struct.pack(">H", len(content)) + content
        for record, number, content in records
    )


def photoshop(records: bytes, name: bytes = b"") -> bytes:
    """Image resources, in which IPTC stands behind another one of odd length."""

    def resource(number: int, content: bytes) -> bytes:
        named = bytes([len(name)]) + name
        named += b"\0" * (len(named) % 2)
        head = b"8BIM" + struct.pack(">H", number) + named + struct.pack(">I", len(content))
        return head + content + b"\0" * (len(content) % 2)

    return resource(0x03ED, b"odd") + resource(0x0404, records)


def pixels(file_format: str, **options: Any) -> bytes:
    """A small picture, as Pillow writes it."""
    out = io.BytesIO()
    Image.new("RGB", (16, 12), (40, 80, 120)).save(out, file_format, **options)
    return out.getvalue()


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    """A JPEG with these segments in front."""
    made = b"".join(
        bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content
        for marker, content in segments
    )
    plain = pixels("JPEG")
    return plain[:2] + made + plain[2:]


def png(*chunks: tuple[bytes, bytes], behind: bool = False) -> bytes:
    """A PNG with these chunks in front of the pixels or behind them."""
    made = b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content))
        for kind, content in chunks
    )
    plain = pixels("PNG")
    at = len(plain) - 12 if behind else 33
    return plain[:at] + made + plain[at:]


def raw_profile(kind: str, content: bytes, packed: bool = True) -> tuple[bytes, bytes]:
    """A chunk of a PNG as ImageMagick writes it."""
    digits = content.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    text = f"\n{kind.lower()}\n{len(content):8d}\n{lines}\n".encode()
    keyword = f"Raw profile type {kind}\0".encode()
    return (b"zTXt", keyword + b"\0" + zlib.compress(text)) if packed else (b"tEXt", keyword + text)


def international(keyword: str, text: bytes, packed: bool = False) -> tuple[bytes, bytes]:
    """A chunk of a PNG with text in UTF-8, with a language and a translated keyword."""
    head = keyword.encode() + b"\0" + (b"\1\0" if packed else b"\0\0") + "de\0Stück\0".encode()
    return b"iTXt", head + (zlib.compress(text) if packed else text)


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WebP with these chunks behind."""
    made = b"".join(
        kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
        for kind, content in chunks
    )
    plain = pixels("WEBP")
    return plain[:4] + struct.pack("<I", len(plain) + len(made) - 8) + plain[8:] + made


def gif(packet: bytes) -> bytes:
    """A GIF with XMP, and behind it the trailer that keeps other programs from falling over it."""
    trailer = b"\1" + bytes(range(255, -1, -1)) + b"\0"
    plain = pixels("GIF")
    return plain[:-1] + b"\x21\xff\x0bXMP DataXMP" + packet + trailer + plain[-1:]


def box(kind: bytes, *contents: bytes, wide: bool = False, to_the_end: bool = False) -> bytes:
    """A box, its size in 32 bits, in 64 bits, or left open."""
    content = b"".join(contents)
    if to_the_end:
        return struct.pack(">I", 0) + kind + content
    if wide:
        return struct.pack(">I", 1) + kind + struct.pack(">Q", len(content) + 16) + content
    return struct.pack(">I", len(content) + 8) + kind + content


def heif(
    items: Sequence[tuple[bytes, bytes]],
    brand: bytes = b"heic",
    version: int = 1,
    in_idat: bool = False,
    pieces: int = 1,
    wide: bool = False,
    more: bytes = b"",
) -> bytes:
    """The boxes of a HEIF file with these items, but without a picture.

    `version`: of the box that says where the items are. `pieces`: how many each is cut into.
    `more`: further boxes, of which the first kind of programs know nothing.
    """
    entries = b""
    for number, (kind, _) in enumerate(items, 1):
        named = b"\0" + (b"application/rdf+xml\0" if kind == b"mime" else b"")
        entries += box(b"infe", b"\2\0\0\0", struct.pack(">HH", number, 0), kind, named)
    iinf = box(b"iinf", b"\0\0\0\0", struct.pack(">H", len(items)), entries)
    head = box(b"ftyp", brand, b"\0\0\0\0", brand, b"mif1")
    start = 0
    # Once to see how long it is, once more with the right places.
    for _ in range(2):
        places, stored = b"", b""
        for number, (_, content) in enumerate(items, 1):
            step = -(-len(content) // pieces)
            parts = [content[at : at + step] for at in range(0, len(content), step)]
            places += struct.pack(">I" if version == 2 else ">H", number)
            places += struct.pack(">H", in_idat) if version else b""
            places += struct.pack(">HH", 0, len(parts))
            for part in parts:
                places += struct.pack(">II", start + len(stored), len(part))
                stored += part
        count = struct.pack(">I" if version == 2 else ">H", len(items))
        iloc = box(b"iloc", bytes([version, 0, 0, 0, 0x44, 0x00]), count, places)
        idat = box(b"idat", stored) if in_idat else b""
        meta = box(b"meta", b"\0\0\0\0", iinf, iloc, idat, wide=wide)
        if not in_idat:
            start = len(head) + len(meta) + len(more) + 8
    return head + meta + more + (b"" if in_idat else box(b"mdat", stored))


def exif_item(block: bytes, prefix: bool = False) -> tuple[bytes, bytes]:
    """An item with EXIF data: how far away they are, and what may stand before them."""
    return b"Exif", b"\0\0\0\6Exif\0\0" + block if prefix else b"\0\0\0\0" + block


def movie(seconds: int, version: int = 0, apple_date: str | None = None) -> bytes:
    """What a video says of itself: seconds since 1904, and what Apple's phones write."""
    moments = struct.pack(">QQ" if version else ">II", seconds, seconds)
    inside = box(b"mvhd", bytes([version, 0, 0, 0]), moments, b"\0" * 80)
    if apple_date is not None:
        name = b"com.apple.quicktime.creationdate"
        keys = box(b"keys", b"\0\0\0\0\0\0\0\1", box(b"mdta", name))
        data = box(b"data", b"\0\0\0\1\0\0\0\0", apple_date.encode())
        handler = box(b"hdlr", b"\0" * 24)
        inside += box(b"meta", handler, keys, box(b"ilst", box(b"\0\0\0\1", data)))
    return box(b"moov", inside)


def canon_raw(main: bytes, exif: bytes, gps: bytes, packet: bytes) -> bytes:
    """The boxes of a CR3 file, without a picture."""
    canon = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
    adobe = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
    own = box(b"CMT1", main) + box(b"CMT2", exif) + box(b"CMT3", tiff()) + box(b"CMT4", gps)
    head = box(b"ftyp", b"crx \0\0\0\1crx isom")
    return (
        head
        + box(b"moov", box(b"uuid", canon, own), box(b"mvhd", b"\0" * 100))
        + box(b"uuid", adobe, packet)
        + box(b"mdat", b"\0" * 32, to_the_end=True)
    )


def fuji_raw(picture: bytes) -> bytes:
    """A RAF file, which holds a JPEG."""
    head = b"FUJIFILMCCD-RAW 0201FF383501".ljust(84, b"\0")
    return head + struct.pack(">II", 160, len(picture)) + b"\0" * 68 + picture + b"\0" * 64
