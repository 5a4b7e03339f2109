"""What XMP, within a file or beside it, says about a picture."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from retrieval.images import written
from retrieval.images.facts import DateSource, Findings, ImageMetadata
from retrieval.images.xmp_packet import Properties, read_packet

_DC = "http://purl.org/dc/elements/1.1/"
_XMP = "http://ns.adobe.com/xap/1.0/"
_EXIF = "http://ns.adobe.com/exif/1.0/"
_EXIF_EX = "http://cipa.jp/exif/1.0/"
_AUX = "http://ns.adobe.com/exif/1.0/aux/"
_TIFF = "http://ns.adobe.com/tiff/1.0/"
_PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"

_TITLE, _CAPTION, _SUBJECT = f"{_DC} title", f"{_DC} description", f"{_DC} subject"
_CREATOR, _RIGHTS = f"{_DC} creator", f"{_DC} rights"
_RATING, _TOOL, _CREATE_DATE = f"{_XMP} Rating", f"{_XMP} CreatorTool", f"{_XMP} CreateDate"
_ORIGINAL, _DIGITIZED = f"{_EXIF} DateTimeOriginal", f"{_EXIF} DateTimeDigitized"
_DATE_CREATED = f"{_PHOTOSHOP} DateCreated"
_LATITUDE, _LONGITUDE = f"{_EXIF} GPSLatitude", f"{_EXIF} GPSLongitude"
_ALTITUDE, _BELOW = f"{_EXIF} GPSAltitude", f"{_EXIF} GPSAltitudeRef"
_APERTURE, _EXPOSURE = f"{_EXIF} FNumber", f"{_EXIF} ExposureTime"
_ISO = (f"{_EXIF} ISOSpeedRatings", f"{_EXIF_EX} PhotographicSensitivity")
_FOCAL = f"{_EXIF} FocalLength"
# The second is what older programs write.
_FOCAL_35 = (f"{_EXIF} FocalLengthIn35mmFilm", f"{_EXIF} FocalLenIn35mmFilm")
_LENS = (f"{_EXIF_EX} LensModel", f"{_AUX} Lens")
_MAKE, _MODEL, _ORIENTATION = f"{_TIFF} Make", f"{_TIFF} Model", f"{_TIFF} Orientation"
# Keywords as paths, of which the last part is the keyword, and what separates the parts.
_PATHS = {
    "http://ns.adobe.com/lightroom/1.0/ hierarchicalSubject": "|",
    "http://www.digikam.org/ns/1.0/ TagsList": "/",
}
_DATES = (
    (DateSource.XMP_ORIGINAL, _ORIGINAL),
    (DateSource.XMP_DATE_CREATED, _DATE_CREATED),
    (DateSource.XMP_CREATE_DATE, _DIGITIZED),
    (DateSource.XMP_CREATE_DATE, _CREATE_DATE),
)
_WANTED = frozenset(
    [
        *(_TITLE, _CAPTION, _SUBJECT, _CREATOR, _RIGHTS, _RATING, _TOOL, _MAKE, _MODEL),
        *(_LATITUDE, _LONGITUDE, _ALTITUDE, _BELOW, _APERTURE, _EXPOSURE, _FOCAL),
        *(_ORIENTATION, *_ISO, *_LENS, *_FOCAL_35, *_PATHS, *(name for _, name in _DATES)),
    ]
)
_DEFAULT_LANGUAGE = "x-default"
# "51,30.25N" or "51,30,15N".
_ANGLE = re.compile(
    r"\s*(\d{1,3}),(\d{1,2}(?:\.\d{1,20})?)(?:,(\d{1,2}(?:\.\d{1,20})?))?\s*([NSEW])"
)


def findings(packet: bytes) -> Findings:
    """Read the facts.

    Args:
        packet: A packet as it stands in a picture, or a whole side-car file.

    Returns:
        Whatever is there and can be.
    """
    found = read_packet(packet, _WANTED)
    latitude, longitude, altitude = _place(found)
    facts = ImageMetadata(
        camera_make=_text(found, _MAKE),
        camera_model=_text(found, _MODEL),
        lens=_text(found, *_LENS),
        focal_length_mm=written.positive(_number(found, _FOCAL)),
        focal_length_35mm=written.positive(_number(found, *_FOCAL_35)),
        aperture=written.positive(_number(found, _APERTURE)),
        exposure_s=written.positive(_number(found, _EXPOSURE)),
        iso=written.whole(_number(found, *_ISO), 1, 2**31),
        latitude=latitude,
        longitude=longitude,
        altitude_m=altitude,
        orientation=written.whole(_number(found, _ORIENTATION), 1, 8),
        rating=written.whole(_number(found, _RATING), -1, 5),
        title=_text(found, _TITLE),
        caption=written.clean_caption(_text(found, _CAPTION)),
        keywords=written.clean_keywords(_keywords(found)),
        creator=written.clean(", ".join(value.text for value in found.get(_CREATOR, []))),
        copyright=_text(found, _RIGHTS),
        software=_text(found, _TOOL),
    )
    dates: dict[DateSource, datetime] = {}
    for source, name in _DATES:
        moment = written.parse_date(_raw_text(found, name))
        if moment is not None:
            dates.setdefault(source, moment)
    return Findings(facts, dates)


def _raw_text(found: Properties, *names: str) -> str | None:
    """The first property that is there; of several languages the default one."""
    for name in names:
        values = found.get(name)
        if values:
            default = (value for value in values if value.language == _DEFAULT_LANGUAGE)
            return next(default, values[0]).text
    return None


def _text(found: Properties, *names: str) -> str | None:
    return written.clean(_raw_text(found, *names))


def _number(found: Properties, *names: str) -> float | None:
    return written.parse_number(_raw_text(found, *names))


def _keywords(found: Properties) -> Iterator[str]:
    yield from (value.text for value in found.get(_SUBJECT, []))
    for name, separator in _PATHS.items():
        for value in found.get(name, []):
            yield value.text.rstrip(separator).rpartition(separator)[2]


def _place(found: Properties) -> tuple[float | None, float | None, float | None]:
    altitude = _number(found, _ALTITUDE)
    if altitude is not None and (_raw_text(found, _BELOW) or "").strip() == "1":
        altitude = -altitude
    latitude, longitude = _degrees(found, _LATITUDE, "NS"), _degrees(found, _LONGITUDE, "EW")
    return written.place(latitude, longitude, altitude)


def _degrees(found: Properties, name: str, directions: str) -> float | None:
    match = _ANGLE.match(_raw_text(found, name) or "")
    if match is None or match[4] not in directions:
        return None
    angle = int(match[1]) + float(match[2]) / 60 + float(match[3] or 0) / 3600
    return angle if match[4] == directions[0] else -angle
