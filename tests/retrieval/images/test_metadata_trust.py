"""Where sources differ, the one that is more likely right is believed."""

from __future__ import annotations

from datetime import datetime

import pytest

from retrieval.images.metadata import ImageMetadata, read_metadata
from tests.retrieval.images.metadata_samples import (
    ASCII,
    DIGITIZED,
    ORIGINAL,
    RATIONAL,
    SHORT,
    XMP_HEAD,
    bag,
    heif,
    iptc,
    jpeg,
    languages,
    movie,
    photoshop,
    png,
    raw_profile,
    tiff,
    xmp,
)

# Each source of a date, by trust; what it says is the year.
XMP_DATES = {
    2003: "exif:DateTimeOriginal",
    2005: "photoshop:DateCreated",
    2008: "xmp:CreateDate",
}
YEARS = [2001, 2002, 2003, 2005, 2007, 2008, 2009]


def packet(years: list[int], shift: int = 0) -> bytes:
    named = {year: name for year, name in XMP_DATES.items() if year in years}
    return xmp(
        attributes=" ".join(f'{name}="{year + shift}-05-04"' for year, name in named.items())
    )


def picture(years: list[int]) -> bytes:
    """A PNG, since only that can hold all of them."""
    exif = {ORIGINAL: (ASCII, "2001:05:04 00:00:00"), DIGITIZED: (ASCII, "2002:05:04 00:00:00")}
    kept = {tag: value for tag, value in exif.items() if int(value[1][:4]) in years}
    chunks = [raw_profile("exif", b"Exif\0\0" + tiff(exif=kept))]
    chunks.append(raw_profile("xmp", packet(years)))
    if 2007 in years:
        chunks.append(raw_profile("iptc", iptc((2, 55, b"20070504"))))
    if 2009 in years:
        chunks.append((b"tEXt", b"Creation Time\x002009-05-04"))
    return png(*chunks)


@pytest.mark.parametrize("first", range(len(YEARS)))
def test_dates_are_believed_in_order(first: int) -> None:
    found = read_metadata(picture(YEARS[first:]))
    assert found.taken_at == datetime(YEARS[first], 5, 4)


@pytest.mark.parametrize(
    "bad", ["0000:00:00 00:00:00", "                   ", "1801:01:01 00:00:00"]
)
def test_after_a_date_that_cannot_be_the_next_is_asked(bad: str) -> None:
    block = tiff(exif={ORIGINAL: (ASCII, bad), DIGITIZED: (ASCII, bad)})
    data = jpeg((0xE1, b"Exif\0\0" + block), (0xE1, XMP_HEAD + packet([2005])))
    assert read_metadata(data).taken_at == datetime(2005, 5, 4)


def test_a_video_is_asked_last() -> None:
    seconds = int((datetime(2010, 5, 4) - datetime(1904, 1, 1)).total_seconds())
    data = heif([(b"mime", packet([2008]))], more=movie(seconds))
    assert read_metadata(data).taken_at == datetime(2008, 5, 4)
    assert read_metadata(heif([], more=movie(seconds))).taken_at == datetime(2010, 5, 4)


def test_a_side_car_is_asked_before_xmp_within_but_after_exif() -> None:
    for year, expected in ((2001, 2001), (2003, 1998), (2005, 2000), (2008, 2003)):
        beside = packet([year], shift=-5)
        assert read_metadata(picture([year]), beside).taken_at == datetime(expected, 5, 4)
    # A better kind of date within beats a worse one beside it.
    assert read_metadata(picture([2003]), packet([2008])).taken_at == datetime(2003, 5, 4)


def test_the_camera_is_believed_about_itself_and_people_about_the_picture() -> None:
    block = tiff(
        {0x010F: (ASCII, "Pentax"), 0x010E: (ASCII, "EXIF"), 0x0112: (SHORT, [6])}
        | {0x4746: (SHORT, [1])},
    )
    within = xmp(
        bag("dc:subject", ["b"]) + languages("dc:description", {"x-default": "XMP"}),
        'tiff:Make="XMP" tiff:Orientation="3" xmp:Rating="2"',
    )
    press = photoshop(iptc((2, 120, b"IPTC"), (2, 5, b"Title"), (2, 25, b"c"), (2, 25, b"b")))
    data = jpeg(
        (0xE1, b"Exif\0\0" + block),
        (0xE1, XMP_HEAD + within),
        (0xED, b"Photoshop 3.0\0" + press),
    )
    expected = {"camera_make": "Pentax", "orientation": 6, "title": "Title"}
    assert read_metadata(data) == ImageMetadata(
        **expected, rating=2, caption="XMP", keywords=("b", "c")
    )
    beside = xmp(
        bag("dc:subject", ["a"]) + languages("dc:description", {"x-default": "Beside"}),
        'tiff:Make="Beside" tiff:Orientation="8" xmp:Rating="-1"',
    )
    assert read_metadata(data, beside) == ImageMetadata(
        **expected, rating=-1, caption="Beside", keywords=("a", "b", "c")
    )


def test_orientation_is_never_taken_from_a_side_car() -> None:
    turned = xmp(attributes='tiff:Orientation="8"')
    assert read_metadata(jpeg((0xE1, XMP_HEAD + turned))).orientation == 8
    assert read_metadata(jpeg(), turned).orientation is None


def test_a_position_is_taken_from_one_source_whole() -> None:
    ten = [(10, 1), (0, 1), (0, 1)]
    within = {1: (ASCII, "N"), 2: (RATIONAL, ten), 3: (ASCII, "E"), 4: (RATIONAL, ten)}
    data = tiff(gps={**within, 6: (RATIONAL, [(500, 1)])})
    found = read_metadata(data, xmp(attributes='exif:GPSLatitude="20,0N"'))
    assert (found.latitude, found.longitude, found.altitude_m) == (10, 10, 500)
    position = 'exif:GPSLatitude="20,0N" exif:GPSLongitude="30,0E"'
    found = read_metadata(data, xmp(attributes=position))
    assert (found.latitude, found.longitude, found.altitude_m) == (20, 30, None)
