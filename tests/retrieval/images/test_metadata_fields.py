"""Each field is what was meant, and nothing where nonsense was written."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from retrieval.images.metadata import ImageMetadata, read_metadata
from tests.retrieval.images.metadata_samples import (
    ASCII,
    LONG,
    ORIGINAL,
    RATIONAL,
    SHORT,
    Tags,
    bag,
    iptc,
    jpeg,
    languages,
    photoshop,
    png,
    taken,
    tiff,
    xmp,
)

BYTE, UNDEFINED, DOUBLE = 1, 7, 12
MOMENT = datetime(2021, 7, 18, 16, 4, 5)
MIDNIGHT = datetime(2021, 7, 18)
DATES: list[tuple[str, datetime | None]] = [
    ("2021:07:18 16:04:05", MOMENT),
    ("2021-07-18T16:04:05+02:00", MOMENT),
    ("2021-07-18T16:04:05Z", MOMENT),
    ("2021-07-18T16:04:05.250", MOMENT),
    ("2021/07/18 16:04:05", MOMENT),
    ("2021: 7:18 16: 4: 5", MOMENT),
    ("2021:07:18 16:04", datetime(2021, 7, 18, 16, 4)),
    ("2021-07-18", MIDNIGHT),
    ("2021:07:18   :  :  ", MIDNIGHT),
    ("1826:01:01 00:00:00", datetime(1826, 1, 1)),
    ("1825:12:31 23:59:59", None),
    ("0000:00:00 00:00:00", None),
    ("0001:01:01 00:00:00", None),
    ("2021:02:30 16:04:05", None),
    ("2021:13:41 16:04:05", None),
    ("2021:07:18 24:04:05", None),
    ("2021:07:18 16:04:99", None),
    ("2021:07:18 some time", None),
    ("    :  :     :  :  ", None),
    ("                   ", None),
    ("2021-07", None),
    ("2021", None),
    ("yesterday", None),
    ("", None),
]


def camera(main: Tags | None = None, exif: Tags | None = None) -> ImageMetadata:
    return read_metadata(tiff(main, exif))


@pytest.mark.parametrize(("text", "meant"), DATES)
def test_a_date_is_what_was_written_or_none(text: str, meant: datetime | None) -> None:
    assert read_metadata(taken(text)).taken_at == meant
    assert read_metadata(b"", sidecar(f'exif:DateTimeOriginal="{text}"')).taken_at == meant
    assert read_metadata(png((b"tEXt", b"Creation Time\0" + text.encode()))).taken_at == meant


@pytest.mark.parametrize(
    ("date", "time", "meant"),
    [
        (b"20210718", b"160405+0200", MOMENT),
        (b"20210718", b"160405", MOMENT),
        (b"20210718", b"", MIDNIGHT),
        (b"2021-07-18", b"", MIDNIGHT),
        (b"20210718", b"996199", None),
        (b"00000000", b"000000", None),
        (b"20210000", b"", None),
        (b"today", b"", None),
    ],
)
def test_dates_of_the_press_are_read(date: bytes, time: bytes, meant: datetime | None) -> None:
    assert press((2, 55, date), (2, 60, time)).taken_at == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Sun, 18 Jul 2021 16:04:05 +0200", MOMENT),
        ("18 Jul 2021 16:04:05 GMT", MOMENT),
        ("Sun Jul 18 16:04:05 2021", MOMENT),
        ("Sun, 99 Jul 2021 16:04:05", None),
    ],
)
def test_dates_in_a_png_are_written_as_in_mail(text: str, meant: datetime | None) -> None:
    assert read_metadata(png((b"tEXt", b"Creation Time\0" + text.encode()))).taken_at == meant


def test_all_that_a_camera_knows_is_read() -> None:
    block = tiff(
        {
            0x010F: (ASCII, "NIKON CORPORATION\0\0"),
            0x0110: (ASCII, "NIKON D750  "),
            0x0112: (SHORT, [6]),
            0x0131: (ASCII, "Ver.1.10"),
        },
        {
            ORIGINAL: (ASCII, "2021:07:18 16:04:05"),
            0x829A: (RATIONAL, [(1, 250)]),
            0x829D: (RATIONAL, [(56, 10)]),
            0x8827: (SHORT, [400]),
            0x920A: (RATIONAL, [(35, 1)]),
            0xA405: (SHORT, [52]),
            0xA434: (ASCII, "35.0 mm f/1.8"),
        },
        {
            1: (ASCII, "N"),
            2: (RATIONAL, [(47, 1), (33, 1), (1800, 100)]),
            3: (ASCII, "W"),
            4: (RATIONAL, [(12, 1), (585, 10), (0, 1)]),
            5: (BYTE, [1]),
            6: (RATIONAL, [(4305, 10)]),
        },
        order=">",
    )
    found = read_metadata(block)
    assert found.latitude == pytest.approx(47.555)
    assert found.longitude == pytest.approx(-12.975)
    expected = ImageMetadata(
        taken_at=MOMENT,
        camera_make="NIKON CORPORATION",
        camera_model="NIKON D750",
        lens="35.0 mm f/1.8",
        focal_length_mm=35.0,
        focal_length_35mm=52.0,
        aperture=5.6,
        exposure_s=0.004,
        iso=400,
        latitude=found.latitude,
        longitude=found.longitude,
        altitude_m=-430.5,
        orientation=6,
        software="Ver.1.10",
    )
    assert found == expected


@pytest.mark.parametrize(
    ("tag", "kind", "values", "field", "meant"),
    [
        (0x829A, RATIONAL, [(1, 0)], "exposure_s", None),
        (0x829A, RATIONAL, [(0, 1)], "exposure_s", None),
        (0x829A, DOUBLE, [float("nan")], "exposure_s", None),
        (0x829A, DOUBLE, [0.5], "exposure_s", 0.5),
        (0x9201, 10, [(-1, 1)], "exposure_s", 2.0),
        (0x9201, 10, [(2**31 - 1, 1)], "exposure_s", None),
        (0x829D, RATIONAL, [(0, 0)], "aperture", None),
        (0x9202, RATIONAL, [(4, 1)], "aperture", 4.0),
        (0x8827, SHORT, [0], "iso", None),
        (0x8827, SHORT, [200, 0], "iso", 200),
        (0x8827, ASCII, "200", "iso", None),
        (0x8827, SHORT, [], "iso", None),
        (0x920A, RATIONAL, [(0, 1)], "focal_length_mm", None),
        (0xA405, SHORT, [0], "focal_length_35mm", None),
    ],
)
def test_numbers_that_cannot_be_are_none(
    tag: int, kind: int, values: Any, field: str, meant: float | None
) -> None:
    assert getattr(camera(exif={tag: (kind, values)}), field) == meant


def test_sensitivities_too_large_for_the_old_field_are_read_from_the_new_ones() -> None:
    assert camera(exif={0x8827: (SHORT, [65535]), 0x8832: (LONG, [102400])}).iso == 102400
    assert camera(exif={0x8827: (SHORT, [65535])}).iso == 65535


@pytest.mark.parametrize(("written", "meant"), [(0, None), (1, 1), (8, 8), (9, None)])
def test_there_are_eight_orientations(written: int, meant: int | None) -> None:
    assert camera({0x0112: (SHORT, [written])}).orientation == meant


def gps(
    latitude: Any,
    longitude: Any,
    directions: tuple[str, str] = ("N", "E"),
    more: Tags | None = None,
) -> tuple[float | None, float | None]:
    tags = {
        1: (ASCII, directions[0]),
        2: (RATIONAL, latitude),
        3: (ASCII, directions[1]),
        4: (RATIONAL, longitude),
        **(more or {}),
    }
    found = read_metadata(tiff(gps=tags))
    return found.latitude, found.longitude


TEN = [(10, 1), (0, 1), (0, 1)]
ZERO = [(0, 1), (0, 1), (0, 1)]


def test_positions_that_cannot_be_are_none() -> None:
    assert gps(TEN, TEN) == (10, 10)
    assert gps([(105, 10)], TEN) == (10.5, 10)
    assert gps(TEN, TEN, ("s", "w")) == (-10, -10)
    # Where it lost its satellites a camera writes the last position, and V.
    assert gps(TEN, TEN, more={9: (ASCII, "V")}) == (10, 10)
    for nowhere in (
        gps(ZERO, ZERO),
        gps(ZERO, ZERO, more={9: (ASCII, "V")}),
        gps([(91, 1)], TEN),
        gps(TEN, [(181, 1)]),
        gps([(0, 0), (0, 0), (0, 0)], TEN),
        gps([(10, 1), (0, 1), (0, 0)], TEN),
        gps([], TEN),
        gps(TEN, TEN, ("", "E")),
        gps(TEN, TEN, ("N", "X")),
    ):
        assert nowhere == (None, None)
    # The equator is a place.
    assert gps(ZERO, TEN) == (0, 10)


def test_altitudes_that_cannot_be_cost_no_position() -> None:
    position = {1: (ASCII, "N"), 2: (RATIONAL, TEN), 3: (ASCII, "E"), 4: (RATIONAL, TEN)}
    for value, meant in (((0, 0), None), ((8848, 1), 8848.0), ((4_000_000_000, 1), None)):
        found = read_metadata(tiff(gps={**position, 6: (RATIONAL, [value])}))
        assert (found.latitude, found.altitude_m) == (10, meant)


def windows(text: str) -> tuple[int, bytes]:
    return BYTE, text.encode("utf-16-le") + b"\0\0"


def test_texts_that_windows_writes_are_read() -> None:
    found = camera(
        {
            0x9C9B: windows("Bergsee – 山の湖"),
            0x9C9C: windows("Früh am Morgen"),
            0x9C9D: windows("Ada; Ben"),
            0x9C9E: windows("See;Berge; See ;;湖"),
            0x4746: (SHORT, [4]),
        }
    )
    assert found == ImageMetadata(
        title="Bergsee – 山の湖",
        caption="Früh am Morgen",
        creator="Ada; Ben",
        keywords=("See", "Berge", "湖"),
        rating=4,
    )
    assert camera({0x9C9F: windows("Subject")}).caption == "Subject"


@pytest.mark.parametrize(
    ("raw", "meant"),
    [
        (b"Caf\xc3\xa9\0", "Café"),
        (b"Caf\xe9\0", "Café"),
        # UTF-8 that was taken for Latin-1 and encoded once more.
        ("CafÃ©".encode(), "Café"),
        # Cut within a character.
        (b"Caf\xc3\xa9 \xe6\xb9", "Café"),
        (b"Cafe\xcc\x81", "Café"),
        (b"\0\0 Two\x07 words \0left over", "Two  words"),
        (b"\xe6\xb9\x96", "湖"),
        (b"\xe2\x9d\xa4", "❤"),
        (b"", None),
        (b" \0 \0", None),
        (b"???", None),
        (b"OLYMPUS DIGITAL CAMERA         ", None),
        (b"KONICA MINOLTA DIGITAL CAMERA", None),
        (b"SONY DSC", None),
        (b"Exif_JPEG_PICTURE", None),
        (b"dav_soft", None),
        (b"My digital camera", "My digital camera"),
    ],
)
def test_captions_are_what_somebody_wrote(raw: bytes, meant: str | None) -> None:
    assert camera({0x010E: (ASCII, raw)}).caption == meant


def test_the_camera_s_name_is_no_caption() -> None:
    assert camera({0x010E: (ASCII, "X-100"), 0x0110: (ASCII, "X-100")}).caption is None


@pytest.mark.parametrize(
    ("raw", "meant"),
    [
        (b"ASCII\0\0\0A walk\0", "A walk"),
        (b"\0\0\0\0\0\0\0\0A walk", "A walk"),
        (b"UNICODE\0" + "Ein Weg".encode("utf-16-le"), "Ein Weg"),
        (b"UNICODE\0" + "Ein Weg".encode("utf-16-be"), "Ein Weg"),
        (b"ASCII\0\0\0" + b" " * 100, None),
        (b"\x01\x02binary", None),
    ],
)
def test_comments_of_users_are_read_in_their_encoding(raw: bytes, meant: str | None) -> None:
    assert camera(exif={0x9286: (UNDEFINED, raw)}).caption == meant


def test_rights_of_photographer_and_editor_are_both_kept() -> None:
    assert camera({0x8298: (ASCII, b"Ada 2021\0Ben\0")}).copyright == "Ada 2021; Ben"
    assert camera({0x8298: (ASCII, b" \0Ben\0")}).copyright == "Ben"


def test_texts_and_keywords_are_bounded() -> None:
    assert camera({0x010E: (ASCII, b"a" * 100_000)}).caption == "a" * 4000
    assert camera({0x010E: (ASCII, ("湖" * 30_000).encode())}).caption == "湖" * 4000
    many = press(*((2, 25, b"word %d" % number) for number in range(2000)))
    assert len(many.keywords) == 500
    beside = read_metadata(b"", xmp(bag("dc:subject", [f"word {n}" for n in range(20_000)])))
    assert len(beside.keywords) == 500


def press(*records: tuple[int, int, bytes]) -> ImageMetadata:
    return read_metadata(jpeg((0xED, b"Photoshop 3.0\0" + photoshop(iptc(*records)))))


def test_records_of_the_press_are_read() -> None:
    found = press(
        (1, 90, b"\x1b%G"),
        (2, 5, "Zürich".encode()),
        (2, 25, "Brücke".encode()),
        (2, 25, b"river"),
        (2, 25, "Brücke".encode()),
        (2, 80, b"Ada"),
        (2, 80, b"Ben"),
        (2, 116, "© Ada".encode()),
        (2, 120, "Die Brücke".encode()),
    )
    assert found == ImageMetadata(
        title="Zürich",
        keywords=("Brücke", "river"),
        creator="Ada, Ben",
        copyright="© Ada",
        caption="Die Brücke",
    )


@pytest.mark.parametrize(
    ("charset", "content"),
    [
        (b"\x1b%G", "Brücke".encode()),
        (b"\x1b.A", "Brücke".encode("latin-1")),
        (None, "Brücke".encode()),
        (None, "Brücke".encode("latin-1")),
        # Declared as one and written as the other.
        (b"\x1b%G", "Brücke".encode("latin-1")),
        (b"\x1b.A", "Brücke".encode()),
    ],
)
def test_keywords_of_the_press_are_read_in_their_encoding(
    charset: bytes | None, content: bytes
) -> None:
    declared = [] if charset is None else [(1, 90, charset)]
    assert press(*declared, (2, 25, content)).keywords == ("Brücke",)


def sidecar(attributes: str = "", properties: str = "") -> bytes:
    return xmp(properties, attributes)


def beside(attributes: str = "", properties: str = "") -> ImageMetadata:
    return read_metadata(b"", sidecar(attributes, properties))


def test_all_that_xmp_knows_is_read() -> None:
    found = beside(
        'exif:DateTimeOriginal="2021-07-18T16:04:05+02:00" xmp:Rating="5" tiff:Make="SONY" '
        'tiff:Model="ILCE-7" aux:Lens="E 35mm F1.8" exif:FNumber="28/10" tiff:Orientation="6" '
        'exif:ExposureTime="1/250" exif:FocalLength="35/1" exif:FocalLengthIn35mmFilm="52" '
        'exif:GPSLatitude="47,33.3N" exif:GPSLongitude="12,58,30W" exif:GPSAltitude="4305/10" '
        'exif:GPSAltitudeRef="1" xmp:CreatorTool="darktable 4.2"',
        bag("exif:ISOSpeedRatings", ["400"], "Seq")
        + bag("dc:creator", ["Ada", "Ben"], "Seq")
        + languages("dc:rights", {"x-default": "© Ada"})
        + languages("dc:title", {"de-DE": "Bergsee", "x-default": "Mountain lake"})
        + languages("dc:description", {"de-DE": "Am &amp; im See"})
        + bag("dc:subject", ["lake", "", "Alps", "lake"])
        + bag("lr:hierarchicalSubject", ["places|Europe|Alps", "people|Ada"])
        + bag("digiKam:TagsList", ["places/Europe", "people/Ben"]),
    )
    assert found.latitude == pytest.approx(47.555)
    assert found.longitude == pytest.approx(-12.975)
    expected = ImageMetadata(
        taken_at=MOMENT,
        camera_make="SONY",
        camera_model="ILCE-7",
        lens="E 35mm F1.8",
        focal_length_mm=35.0,
        focal_length_35mm=52.0,
        aperture=2.8,
        exposure_s=0.004,
        iso=400,
        latitude=found.latitude,
        longitude=found.longitude,
        altitude_m=-430.5,
        rating=5,
        title="Mountain lake",
        caption="Am & im See",
        keywords=("lake", "Alps", "Ada", "Europe", "Ben"),
        creator="Ada, Ben",
        copyright="© Ada",
        software="darktable 4.2",
    )
    assert found == expected


@pytest.mark.parametrize(
    ("written", "meant"),
    [("3", 3), ("3.0", 3), ("0", 0), ("-1", -1), ("-2", None), ("6", None), ("many", None)],
)
def test_a_rating_is_some_stars_or_a_rejection(written: str, meant: int | None) -> None:
    assert beside(f'xmp:Rating="{written}"').rating == meant
    assert beside(properties=f"<xmp:Rating> {written} </xmp:Rating>").rating == meant


@pytest.mark.parametrize(
    ("name", "written", "field"),
    [
        ("exif:FNumber", "28/0", "aperture"),
        ("exif:FNumber", "1e999", "aperture"),
        ("exif:FNumber", "nan", "aperture"),
        ("exif:FNumber", "9" * 5000, "aperture"),
        ("exif:ExposureTime", "1/" + "9" * 5000, "exposure_s"),
        ("exif:GPSLatitude", "95,0N", "latitude"),
        ("exif:GPSLatitude", "12,0E", "latitude"),
        ("exif:GPSLatitude", "12.5", "latitude"),
    ],
)
def test_numbers_of_xmp_that_cannot_be_are_none(name: str, written: str, field: str) -> None:
    assert getattr(beside(f'{name}="{written}" exif:GPSLongitude="12,0E"'), field) is None


def test_values_with_qualifiers_and_structures_are_told_apart() -> None:
    found = beside(
        properties=(
            '<dc:description rdf:parseType="Resource"><rdf:value>A pier</rdf:value>'
            "<exif:FNumber>9</exif:FNumber></dc:description>"
            "<dc:title><rdf:Alt><rdf:li><exif:FNumber>9</exif:FNumber></rdf:li></rdf:Alt></dc:title>"
            "<exif:Flash><rdf:Description exif:FNumber='9'/></exif:Flash>"
        )
    )
    assert found == ImageMetadata(caption="A pier")


def test_what_stands_before_garbled_xml_is_kept() -> None:
    packet = sidecar('xmp:Rating="4"', bag("dc:subject", ["lake", "hut"]))
    cut = packet[: packet.index(b"hut")]
    assert read_metadata(b"", cut) == ImageMetadata(rating=4, keywords=("lake",))
