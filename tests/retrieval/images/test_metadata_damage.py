"""No bytes, however damaged or hostile, make reading raise, take long, or take much memory."""

from __future__ import annotations

import gc
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrieval.images.metadata import ImageMetadata, read_metadata
from tests.retrieval.images.metadata_samples import (
    XMP_HEAD,
    XMP_MORE_HEAD,
    box,
    gif,
    heif,
    jpeg,
    png,
    tiff,
    xmp,
)
from tests.retrieval.images.test_metadata_formats import (
    BLOCK,
    PACKET,
    WITH_EXIF,
    WITH_IPTC,
    WITH_XMP,
)

SAMPLES = [make() for table in (WITH_EXIF, WITH_XMP, WITH_IPTC) for make in table.values()]
INTERESTING = [0, 1, 0x7F, 0x80, 0xFF]
HEADS = [sample[:16] for sample in SAMPLES]


def check(found: ImageMetadata) -> None:
    assert isinstance(found, ImageMetadata)
    assert found.taken_at is None or (
        isinstance(found.taken_at, datetime) and found.taken_at.tzinfo is None
    )
    assert (found.latitude is None) == (found.longitude is None)
    texts = (found.title, found.caption, found.creator, found.copyright, found.software)
    for text in (*texts, *found.keywords, found.camera_make, found.camera_model, found.lens):
        # It can be stored, in a catalogue of UTF-8.
        assert text is None or (0 < len(text.encode()) <= 16_000 and "\0" not in text)
    assert found.orientation is None or 1 <= found.orientation <= 8


@settings(max_examples=1500, deadline=1000, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damaged_files_are_read_as_far_as_they_go(data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from(SAMPLES)))
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.sampled_from(INTERESTING) | st.integers(0, 255))
    kept = data.draw(st.just(len(whole)) | st.integers(0, len(whole)))
    check(read_metadata(bytes(whole[:kept])))


@settings(max_examples=500, deadline=1000)
@given(head=st.sampled_from(HEADS), rest=st.binary(max_size=400), beside=st.binary(max_size=100))
def test_random_bytes_are_read(head: bytes, rest: bytes, beside: bytes) -> None:
    check(read_metadata(head + rest, beside))


@settings(max_examples=300, deadline=1000)
@given(data=st.data())
def test_damaged_packets_are_read(data: st.DataObject) -> None:
    whole = bytearray(PACKET)
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    check(read_metadata(b"", bytes(whole)))


@pytest.mark.parametrize("sample", SAMPLES, ids=[*WITH_EXIF, *WITH_XMP, *WITH_IPTC])
def test_files_cut_anywhere_are_read(sample: bytes) -> None:
    step = max(len(sample) // 40, 1)
    for end in range(0, len(sample), step):
        check(read_metadata(sample[:end]))


def bomb() -> bytes:
    """64 MiB of hexadecimal digits in 64 KiB, in each place where a PNG may have some."""
    packed = zlib.compress(b"\nexif\n99999999\n" + b"0" * (64 * 2**20))
    names = [b"exif", b"APP1", b"iptc", b"xmp", b"8bim"]
    profiles = [(b"zTXt", b"Raw profile type %s\0\0" % name + packed) for name in names]
    texts = [(b"zTXt", name + b"\0\0" + packed) for name in (b"Title", b"Comment")]
    packet = (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed)
    return png(*profiles * 3, *texts, packet)


def laughs() -> bytes:
    """Entities that unfold to a thousand million times the same."""
    entities = "<!ENTITY a0 'ha'>" + "".join(
        f"<!ENTITY a{level} '{f'&a{level - 1};' * 10}'>" for level in range(1, 10)
    )
    packet = xmp("<dc:description>&a9;</dc:description>").decode()
    return (f"<!DOCTYPE x [{entities}]>" + packet).encode()


def many_fields() -> bytes:
    """A directory in which each of 65,535 fields is said to be the whole file."""
    entries = b"".join(struct.pack("<HHII", 0x9000, 2, 700_000, 8) for _ in range(65_535))
    return b"II*\0" + struct.pack("<IH", 8, 65_535) + entries


def many_items() -> bytes:
    """Thousands of items that are each said to be in a thousand pieces of the whole file."""
    count = 5000
    named = b"".join(
        box(b"infe", b"\2\0\0\0", struct.pack(">HH", number % 7, 0), b"mime")
        + b"\0application/rdf+xml\0"
        for number in range(count)
    )
    piece = struct.pack(">II", 0, 0xFFFFFF) * 1000
    item = struct.pack(">HHHH", 1, 0, 0, 1000) + piece
    iinf = box(b"iinf", b"\0\0\0\0", struct.pack(">H", count), named)
    iloc = box(b"iloc", b"\1\0\0\0\x44\0", struct.pack(">H", count), item * 100)
    return box(b"ftyp", b"heic") + box(b"meta", b"\0\0\0\0", iinf, iloc)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "texts that unpack to 64 MiB": bomb,
    "entities": lambda: jpeg((0xE1, XMP_HEAD + laughs())),
    "fields": many_fields,
    "items": many_items,
    "empty boxes": lambda: box(b"ftyp", b"heic") + box(b"free") * 500_000,
    "a box of size 0 within itself": lambda: (
        box(b"ftyp", b"heic") + b"\0\0\0\0moov" + b"\0\0\0\0meta" * 100_000
    ),
    "a box smaller than its head": lambda: box(b"ftyp", b"heic") + b"\0\0\0\1meta" + b"\0" * 10_000,
    "a box of 2^64 bytes": lambda: box(b"ftyp", b"heic") + b"\0\0\0\1meta" + b"\xff" * 10_000,
    "boxes in boxes": lambda: box(b"ftyp", b"heic") + b"\0\0\0\0mpvd" * 100_000,
    "empty chunks": lambda: png(*[(b"tEXt", b"")] * 100_000),
    "empty segments": lambda: b"\xff\xd8" + b"\xff\xe1\0\2" * 2_000_000,
    "filling": lambda: b"\xff\xd8" + b"\xff" * 8_000_000,
    "many packets": lambda: jpeg(*[(0xE1, XMP_HEAD + PACKET)] * 5000),
    "nested elements": lambda: gif(xmp("<dc:title>" * 100_000)),
    "many elements": lambda: gif(xmp("<dc:title>x</dc:title>" * 100_000)),
    "no end of elements": lambda: gif(xmp("<dc:title>a</dc:title>" * 2_000_000)),
    "one long value": lambda: gif(xmp(f"<dc:title>{'<b/>x' * 1_000_000}</dc:title>")),
    "a large packet": lambda: gif(xmp(f"<dc:title>{'x' * 30_000_000}</dc:title>")),
    "an extension that claims 4 GiB": lambda: jpeg(
        (0xE1, XMP_HEAD + xmp(attributes=f'xmpNote:HasExtendedXMP="{"A" * 32}"')),
        *[(0xE1, XMP_MORE_HEAD + b"A" * 32 + b"\xff" * 8 + b"x" * 60_000)] * 100,
    ),
    "a directory that points at itself": lambda: tiff({0x8769: (4, [8]), 0x8825: (4, [8])}),
    "long keywords": lambda: tiff({0x9C9E: (1, b";\0" * 2_000_000)}),
    "long records": lambda: tiff({0x83BB: (7, b"\x1c\2\x19\0\1a" * 500_000)}),
    "many blanks in a date": lambda: tiff(exif={0x9003: (2, b"2021:07:18" + b" " * 1_000_000)}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_take_neither_time_nor_memory(kind: str) -> None:
    data = HOSTILE[kind]()
    started = time.process_time()
    check(read_metadata(data))
    took_s = time.process_time() - started
    assert took_s < 2
    gc.collect()
    tracemalloc.start()
    read_metadata(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * 2**20


def test_a_doctype_is_refused_with_all_that_follows() -> None:
    plain = xmp('<dc:description xml:lang="x-default">Hut</dc:description>')
    assert read_metadata(b"", plain).caption == "Hut"
    assert read_metadata(b"", b"<!DOCTYPE x>" + plain) == ImageMetadata()
    outside = b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]>'
    packet = xmp("<dc:description>&f;</dc:description>")
    assert read_metadata(b"", outside + packet) == ImageMetadata()


def test_what_stands_before_elements_without_end_is_kept() -> None:
    endless = xmp("<dc:title>Hut</dc:title>" + "<dc:format>x</dc:format>" * 400_000)
    assert read_metadata(gif(endless)).title == "Hut"
    history = "<rdf:li>xmp.did:0</rdf:li>" * 200_000
    ancestors = f"<photoshop:DocumentAncestors>{history}</photoshop:DocumentAncestors>"
    assert read_metadata(gif(xmp(ancestors + "<dc:title>Hut</dc:title>"))).title == "Hut"


@pytest.mark.parametrize("place", [0, 7, 8, 2**32 - 1, -1, -2])
def test_a_directory_that_is_nowhere_costs_no_other_s_facts(place: int) -> None:
    def block(at: int) -> bytes:
        return tiff(
            {0x010F: (2, "Pentax"), 0x8825: (4, [at])}, {0x9003: (2, "2021:07:18 16:04:05")}
        )

    found = read_metadata(block(place if place >= 0 else len(block(0)) + place))
    assert (found.camera_make, found.taken_at) == ("Pentax", datetime(2021, 7, 18, 16, 4, 5))


def test_one_garbled_block_costs_no_other_s_facts() -> None:
    data = jpeg(
        (0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff"),
        (0xED, b"Photoshop 3.0\x008BIM\x04\x04"),
        (0xE1, XMP_HEAD + PACKET),
    )
    assert read_metadata(data).caption == "Boats at dusk"
    assert read_metadata(heif([(b"Exif", b"\xff" * 50), (b"mime", PACKET)])).keywords
    assert read_metadata(jpeg((0xE1, b"Exif\0\0" + BLOCK)), b"<x:xmpmeta").taken_at is not None
