"""Dates, keywords and captions are found wherever a format keeps them."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image

from retrieval.images.metadata import ImageMetadata, read_metadata
from tests.retrieval.images.metadata_samples import (
    ASCII,
    DIGITIZED,
    EDITED,
    LONG,
    ORIGINAL,
    XMP_HEAD,
    XMP_MORE_HEAD,
    bag,
    box,
    canon_raw,
    exif_item,
    fuji_raw,
    gif,
    heif,
    international,
    iptc,
    jpeg,
    languages,
    movie,
    photoshop,
    pixels,
    png,
    raw_profile,
    taken,
    tiff,
    webp,
    xmp,
)

DATA = Path(__file__).parents[2] / "data" / "metadata"
MOMENT = datetime(2021, 7, 18, 16, 4, 5)
PREFIX = b"Exif\0\0"
BLOCK = taken()
PACKET = xmp(
    bag("dc:subject", ["harbour", "dusk"])
    + languages("dc:description", {"x-default": "Boats at dusk"})
)
RECORDS = iptc((2, 25, b"harbour"), (2, 25, b"dusk"), (2, 120, b"Boats at dusk"))
IRB = b"Photoshop 3.0\0" + photoshop(RECORDS)


@pytest.mark.parametrize(
    "name",
    [
        "with-prefix-a.avif",
        "with-prefix-a.heic",
        "without-prefix-a.avif",
        "without-prefix-a.heic",
        "raw-profile.png",
    ],
)
def test_the_date_is_found_however_a_writer_stored_it(name: str) -> None:
    assert read_metadata((DATA / name).read_bytes()).taken_at == MOMENT


def _pillow(file_format: str) -> bytes:
    exif = Image.Exif()
    # Pillow writes a TIFF's from EXIF data that were read, not from those that were made.
    exif.load(BLOCK)
    return pixels(file_format, exif=exif)


def _pillow_heif(**options: bytes) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    out = io.BytesIO()
    picture = pillow_heif.from_pillow(Image.new("RGB", (64, 64)))
    picture.info.update(options)
    picture.save(out)
    return out.getvalue()


WITH_EXIF: dict[str, Callable[[], bytes]] = {
    "JPEG by Pillow": lambda: _pillow("JPEG"),
    "PNG by Pillow": lambda: _pillow("PNG"),
    "WebP by Pillow": lambda: _pillow("WEBP"),
    "TIFF by Pillow": lambda: _pillow("TIFF"),
    "AVIF by Pillow": lambda: _pillow("AVIF"),
    "HEIC by pillow-heif": lambda: _pillow_heif(exif=PREFIX + BLOCK),
    "JPEG": lambda: jpeg((0xE1, PREFIX + BLOCK)),
    "JPEG, behind XMP and a comment": lambda: jpeg(
        (0xFE, b"comment"), (0xE1, XMP_HEAD + PACKET), (0xE1, PREFIX + BLOCK)
    ),
    "PNG, eXIf": lambda: png((b"eXIf", BLOCK)),
    "PNG, eXIf behind the pixels": lambda: png((b"eXIf", BLOCK), behind=True),
    "PNG, eXIf with a prefix": lambda: png((b"eXIf", PREFIX + BLOCK)),
    "PNG, profile exif": lambda: png(raw_profile("exif", PREFIX + BLOCK)),
    "PNG, profile APP1": lambda: png(raw_profile("APP1", PREFIX + BLOCK, packed=False)),
    "WebP": lambda: webp((b"EXIF", BLOCK)),
    "WebP with a prefix": lambda: webp((b"XMP ", PACKET + b"!"), (b"EXIF", PREFIX + BLOCK)),
    "TIFF": lambda: BLOCK,
    "TIFF, big-endian": lambda: taken(order=">"),
    "BigTIFF": lambda: taken(big=True),
    "BigTIFF, big-endian": lambda: taken(big=True, order=">"),
    "TIFF/EP, date in the first directory": lambda: tiff(
        {ORIGINAL: (ASCII, "2021:07:18 16:04:05")}
    ),
    "ORF, IIRO": lambda: taken(head=b"IIRO"),
    "ORF, IIRS": lambda: taken(head=b"IIRS"),
    "ORF, MMOR": lambda: taken(head=b"MMOR", order=">"),
    "RW2": lambda: taken(head=b"IIU\0"),
    "RW2, in its JPEG": lambda: tiff({0x2E: (7, jpeg((0xE1, PREFIX + BLOCK)))}, head=b"IIU\0"),
    "RAF": lambda: fuji_raw(jpeg((0xE1, PREFIX + BLOCK))),
    "CR3": lambda: canon_raw(tiff(), tiff({ORIGINAL: (ASCII, "2021:07:18 16:04:05")}), tiff(), b""),
    "JPEG XL": lambda: (
        box(b"JXL ", b"\r\n\x87\n") + box(b"ftyp", b"jxl ") + box(b"Exif", b"\0\0\0\0", BLOCK)
    ),
    "HEIC": lambda: heif([exif_item(BLOCK)]),
    "HEIC with a prefix": lambda: heif([exif_item(BLOCK, prefix=True)]),
    "HEIC, prefix but offset 0": lambda: heif([(b"Exif", b"\0\0\0\0" + PREFIX + BLOCK)]),
    "HEIC, no offset": lambda: heif([(b"Exif", BLOCK)]),
    "HEIC, iloc of version 0": lambda: heif([exif_item(BLOCK)], version=0),
    "HEIC, iloc of version 2": lambda: heif([exif_item(BLOCK)], version=2),
    "HEIC, in idat": lambda: heif([exif_item(BLOCK)], in_idat=True),
    "HEIC, in pieces": lambda: heif([exif_item(BLOCK)], pieces=3),
    "HEIC, in pieces in idat": lambda: heif([exif_item(BLOCK)], pieces=5, in_idat=True),
    "HEIC, box of 64 bits": lambda: heif([exif_item(BLOCK)], wide=True),
    "HEIC, behind other items": lambda: heif(
        [(b"hvc1", b"pixels"), (b"mime", PACKET), exif_item(BLOCK)]
    ),
    "AVIF": lambda: heif([exif_item(BLOCK)], brand=b"avif"),
}


@pytest.mark.parametrize("kind", WITH_EXIF)
def test_exif_data_are_read_from_every_format(kind: str) -> None:
    assert read_metadata(WITH_EXIF[kind]()).taken_at == MOMENT


def _extended() -> bytes:
    name = b"0123456789ABCDEF0123456789ABCDEF"
    first = xmp(attributes=f'xmpNote:HasExtendedXMP="{name.decode()}"')
    half = len(PACKET) // 2
    size = struct.pack(">I", len(PACKET))
    foreign = XMP_MORE_HEAD + b"F" * 32 + size + struct.pack(">I", 0) + b"<a/>"
    # Pieces need not come in order.
    pieces = [
        XMP_MORE_HEAD + name + size + struct.pack(">I", at) + PACKET[at : at + half + 1]
        for at in (half + 1, 0)
    ]
    return jpeg(*((0xE1, content) for content in (XMP_HEAD + first, foreign, *pieces)))


WITH_XMP: dict[str, Callable[[], bytes]] = {
    "JPEG by Pillow": lambda: pixels("JPEG", xmp=PACKET),
    "WebP by Pillow": lambda: pixels("WEBP", xmp=PACKET),
    "AVIF by Pillow": lambda: pixels("AVIF", xmp=PACKET),
    "HEIC by pillow-heif": lambda: _pillow_heif(xmp=PACKET),
    "JPEG": lambda: jpeg((0xE1, XMP_HEAD + PACKET)),
    "JPEG, extended": _extended,
    "PNG": lambda: png(international("XML:com.adobe.xmp", PACKET)),
    "PNG, packed": lambda: png(international("XML:com.adobe.xmp", PACKET, packed=True)),
    "PNG, profile xmp": lambda: png(raw_profile("xmp", PACKET)),
    "PNG, profile APP1": lambda: png(raw_profile("APP1", XMP_HEAD + PACKET)),
    "WebP": lambda: webp((b"XMP ", PACKET)),
    "WebP, misspelt": lambda: webp((b"XMP\0", PACKET)),
    "GIF": lambda: gif(PACKET),
    "TIFF": lambda: tiff({0x02BC: (1, PACKET)}),
    "BigTIFF": lambda: tiff({0x02BC: (7, PACKET)}, big=True),
    "HEIC": lambda: heif([(b"mime", PACKET)]),
    "HEIC, in idat": lambda: heif([(b"mime", PACKET)], in_idat=True),
    "CR3": lambda: canon_raw(tiff(), tiff(), tiff(), PACKET),
    "JPEG XL": lambda: box(b"JXL ", b"\r\n\x87\n") + box(b"xml ", PACKET, to_the_end=True),
    "JPEG, in UTF-16": lambda: jpeg((0xE1, XMP_HEAD + PACKET.decode().encode("utf-16"))),
    "JPEG, filled up with NULs": lambda: jpeg((0xE1, XMP_HEAD + PACKET + b"\0" * 100)),
}


@pytest.mark.parametrize("kind", WITH_XMP)
def test_xmp_is_read_from_every_format(kind: str) -> None:
    found = read_metadata(WITH_XMP[kind]())
    assert (found.keywords, found.caption) == (("harbour", "dusk"), "Boats at dusk")


WITH_IPTC: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: jpeg((0xED, IRB)),
    "JPEG, named resources": lambda: jpeg(
        (0xED, b"Photoshop 3.0\0" + photoshop(RECORDS, name=b"of even"))
    ),
    "JPEG, in two segments": lambda: jpeg((0xED, IRB[:60]), (0xED, b"Photoshop 3.0\0" + IRB[60:])),
    "TIFF": lambda: tiff({0x83BB: (7, RECORDS)}),
    "TIFF, as swapped longs": lambda: tiff(
        {0x83BB: (LONG, struct.unpack(">12I", RECORDS.ljust(48, b"\0")))}
    ),
    "TIFF, in Photoshop's resources": lambda: tiff({0x8649: (7, photoshop(RECORDS))}),
    "PNG, profile iptc": lambda: png(raw_profile("iptc", RECORDS)),
    "PNG, profile 8bim": lambda: png(raw_profile("8bim", photoshop(RECORDS))),
}


@pytest.mark.parametrize("kind", WITH_IPTC)
def test_iptc_is_read_from_every_format(kind: str) -> None:
    found = read_metadata(WITH_IPTC[kind]())
    assert (found.keywords, found.caption) == (("harbour", "dusk"), "Boats at dusk")


def test_texts_of_a_png_are_read() -> None:
    found = read_metadata(
        png(
            (b"tEXt", b"Title\0K\xf6nigssee"),
            (b"tEXt", b"Comment\0Created with GIMP"),
            international("Description", "Der See im Mai – 五月".encode(), packed=True),
            (b"tEXt", b"Author\0Ada"),
            (b"tEXt", b"Copyright\0Free for all"),
            (b"tEXt", b"Software\0Paint 1.0"),
            (b"tEXt", b"Creation Time\0Sun, 18 Jul 2021 16:04:05 +0200"),
            (b"tIME", struct.pack(">HBBBBB", 2024, 1, 1, 0, 0, 0)),
        )
    )
    assert found == ImageMetadata(
        taken_at=MOMENT,
        title="Königssee",
        caption="Der See im Mai – 五月",
        creator="Ada",
        copyright="Free for all",
        software="Paint 1.0",
    )


def test_the_date_of_the_last_edit_is_no_date_of_the_picture() -> None:
    assert read_metadata(tiff({EDITED: (ASCII, "2020:01:01 10:00:00")})).taken_at is None
    time = struct.pack(">HBBBBB", 2024, 1, 1, 0, 0, 0)
    assert read_metadata(png((b"tIME", time))).taken_at is None


def test_canon_s_blocks_are_put_together() -> None:
    found = read_metadata(
        canon_raw(
            tiff({0x010F: (ASCII, "Canon"), 0x0112: (3, [8])}),
            tiff({DIGITIZED: (ASCII, "2021:07:18 16:04:05"), 0x829D: (5, [(28, 10)])}),
            tiff(
                {
                    1: (ASCII, "S"),
                    2: (5, [(33, 1), (30, 1), (0, 1)]),
                    3: (ASCII, "E"),
                    4: (5, [(151, 1), (0, 1), (0, 1)]),
                }
            ),
            PACKET,
        )
    )
    assert found == ImageMetadata(
        taken_at=MOMENT,
        camera_make="Canon",
        orientation=8,
        aperture=2.8,
        latitude=-33.5,
        longitude=151.0,
        keywords=("harbour", "dusk"),
        caption="Boats at dusk",
    )


SECONDS = int((MOMENT - datetime(1904, 1, 1)).total_seconds())


@pytest.mark.parametrize(
    ("more", "brand", "meant"),
    [
        (movie(SECONDS), b"heic", MOMENT),
        (movie(SECONDS, version=1), b"heic", MOMENT),
        (box(b"mpvd", box(b"ftyp", b"mp42"), movie(SECONDS)), b"heic", MOMENT),
        (movie(SECONDS + 7200, apple_date="2021-07-18T16:04:05+0200"), b"heic", MOMENT),
        (movie(SECONDS, apple_date="never"), b"heic", MOMENT),
        (movie(0), b"heic", None),
        # Counted from 1970 by mistake.
        (movie(1_626_616_245), b"heic", None),
        (movie(2**63, version=1), b"heic", None),
        # An animation, of which the encoder noted when it ran.
        (movie(SECONDS), b"avis", None),
    ],
)
def test_the_video_of_a_picture_tells_when_it_was_taken(
    more: bytes, brand: bytes, meant: datetime | None
) -> None:
    assert read_metadata(heif([], brand=brand, more=more)).taken_at == meant


def test_files_of_other_kinds_say_nothing() -> None:
    for data in (b"", b"no picture", b"8BPS\0\1", b"%PDF-1.7", b"\xff", b"II", pixels("BMP")):
        assert read_metadata(data) == ImageMetadata()


def test_any_kind_of_bytes_will_do() -> None:
    data = jpeg((0xE1, PREFIX + BLOCK))
    assert read_metadata(memoryview(data)).taken_at == MOMENT
    assert read_metadata(bytearray(data)).taken_at == MOMENT


def test_real_photographs_say_what_an_independent_reader_says(photos: Path) -> None:
    compared = 0
    for path in sorted(photos.iterdir()):
        with Image.open(path) as picture:
            # Some data of a PNG come after the pixels.
            picture.load()
            exif = picture.getexif()
        found = read_metadata(path.read_bytes())
        facts = {0x0110: found.camera_model, 0x0131: found.software, 0x0112: found.orientation}
        for tag, fact in facts.items():
            if tag in exif:
                compared += 1
                assert fact == exif[tag], path.name
    assert compared >= 2


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        (
            "chelsea.png",
            ImageMetadata(
                taken_at=datetime(2009, 2, 9, 9, 11, 30),
                camera_make="PENTAX Corporation",
                camera_model="PENTAX K100D Super",
                focal_length_mm=55.0,
                focal_length_35mm=82.0,
                aperture=8.0,
                exposure_s=1 / 6,
                iso=800,
                orientation=1,
                software="f-spot version 0.5.0.3",
            ),
        ),
        (
            "flower.jpg",
            ImageMetadata(
                taken_at=datetime(2011, 8, 15, 18, 24, 59),
                lens="EF85mm f/1.8 USM",
                copyright="http://www.vultilion.de",
                software="Adobe Photoshop Lightroom 3.4.1",
            ),
        ),
        (
            "hubble_deep_field.jpg",
            ImageMetadata(
                taken_at=datetime(2012, 6, 29, 9, 29),
                orientation=1,
                software="Adobe Photoshop CS5 Macintosh",
            ),
        ),
        # All it says is which program wrote it.
        ("astronaut.png", ImageMetadata()),
        ("coffee.png", ImageMetadata()),
    ],
)
def test_real_photographs_tell_what_is_known_of_them(
    photos: Path, name: str, meant: ImageMetadata
) -> None:
    assert read_metadata((photos / name).read_bytes()) == meant
