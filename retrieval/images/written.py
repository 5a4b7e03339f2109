"""Dates, numbers and texts, as programs and cameras write them into files."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime

MAX_TEXT_CHARS = 4000
MAX_KEYWORDS = 500
# The oldest photograph that there is; clocks that were never set say 0000 or 0001.
_FIRST_YEAR = 1826
# EXIF has "2021:07:18 16:04:05", XMP "2021-07-18T16:04:05.25+02:00"; some pad with blanks.
_DATE = re.compile(
    r"(\d{4})[-:/. ]([ \d]\d)[-:/. ]([ \d]\d)"
    r"(?:[T ]+([ \d]\d):([ \d]\d)(?::([ \d]\d))?(?=$|\D)|[T: ]*$)"
)
_IPTC_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)$")
_IPTC_TIME = re.compile(r"(\d\d)(\d\d)(\d\d)")
_RATIONAL = re.compile(r"\s*([-+]?\d{1,20})\s*/\s*([-+]?\d{1,20})\s*$")

# Control characters other than tabs and line breaks; NULs end up here, too.
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]+")
_HALF_PAIRS = re.compile("[\ud800-\udfff]")
# What cameras and programs write where a person would have written a caption.
_BOILERPLATE = re.compile(
    r"(?:[A-Z]+ ){0,2}DIGITAL (?:STILL )?CAMERA|SONY DSC|DCF 1\.0|SAMSUNG|"
    r"Exif[_ ]JPEG(?:[_ ]\w+)?|(?:[a-z]{3}_)*(?:cof|dav|edf|hdr|hdrpl|mde|nor|ptr|qrf|rbt|rhdr|sdr)"
    r"(?:_(?:soft|vivi|hdr))?|default|untitled|(?i:created with (?:the )?gimp)|CREATOR: gd-jpeg.*|"
    r"File written by Adobe Photoshop.*|LEAD Technologies.*|Intel\(R\) JPEG Library.*|AppleMark|"
    r"(?:OLYMPUS|MINOLTA|KODAK|PENTAX|CASIO|NIKON|Canon|RICOH|Vivitar|Jenoptik|Digimax)",
    re.DOTALL,
)


def parse_date(text: str | None) -> datetime | None:
    """Read a date, with or without a time, that is written as EXIF, XMP or ISO 8601 have it.

    Fractions of a second and the time zone are dropped: what counts is what the clock showed. A
    date alone counts as its midnight.

    Args:
        text: What was written.

    Returns:
        The date; None where there is none, or none that can be: zeros, blanks, the 31st of June.
    """
    match = _DATE.match(text.strip("\0 \t\r\n")) if text else None
    return _date(match.groups()) if match else None


def parse_iptc_date(date: str | None, time: str | None) -> datetime | None:
    """Read a date written as "20210718" and its time written as "160405+0200"."""
    found = _IPTC_DATE.match(date.strip("\0 ")) if date else None
    if found is None:
        # Some programs write it as EXIF does.
        return parse_date(date)
    clock = _IPTC_TIME.match(time.strip("\0 ")) if time else None
    return _date((*found.groups(), *(clock.groups() if clock else ())))


def parse_mail_date(text: str | None) -> datetime | None:
    """Read a date written as "Sun, 18 Jul 2021 16:04:05 +0200", as PNG recommends, or as EXIF."""
    found = parse_date(text)
    if found is not None or not text:
        return found
    # Here, since few files need it.
    from email.utils import parsedate

    try:
        parts = parsedate(text[:100])
    except (ValueError, IndexError, TypeError):
        return None
    return _date([str(part) for part in parts[:6]]) if parts else None


def _date(parts: Iterable[str | None]) -> datetime | None:
    try:
        numbers = [int(part or 0) for part in parts]
        moment = datetime(*numbers)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return None
    return moment if moment.year >= _FIRST_YEAR else None


def parse_number(text: str | None) -> float | None:
    """Read a number written as "2.8" or "28/10"; None where it is none, or divides by zero."""
    if not text:
        return None
    match = _RATIONAL.match(text)
    if match:
        return divide(int(match[1]), int(match[2]))
    try:
        number = float(text[:50])
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def divide(numerator: int, denominator: int) -> float | None:
    """The quotient; None where the denominator is zero, as where a value is not known."""
    return numerator / denominator if denominator else None


def within(number: float | None, low: float, high: float) -> float | None:
    """The number where it is in this range, both ends included; else None."""
    return number if number is not None and low <= number <= high else None


def positive(number: float | None) -> float | None:
    """The number where it is above zero and can be a measure of an exposure; else None."""
    return within(number, 1e-9, 1e7)


def whole(number: float | None, low: int, high: int) -> int | None:
    """The number as a whole one in this range; else None."""
    return None if within(number, low, high) is None or number is None else int(number)


def place(
    latitude: float | None, longitude: float | None, altitude: float | None
) -> tuple[float | None, float | None, float | None]:
    """A position on Earth, or three times None where it is none.

    Latitude and longitude of exactly zero are none: it is open sea, and what cameras write that
    have not found out where they are.
    """
    if within(latitude, -90, 90) is None or within(longitude, -180, 180) is None:
        return None, None, None
    if latitude == 0 and longitude == 0:
        return None, None, None
    # From the deepest trench to beyond where any aircraft flies.
    return latitude, longitude, within(altitude, -12_000, 100_000)


def decode(raw: bytes) -> str:
    """Text of unknown encoding: UTF-8 where it can be, else what Windows uses in the west."""
    # A character is four bytes at most; NULs and blanks around the text come on top.
    raw = raw[: MAX_TEXT_CHARS * 8]
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        # Programs cut texts to a number of bytes, within a character at times. One accent at the
        # end of plain ASCII looks the same in other encodings.
        before = raw[: error.start]
        if len(raw) - error.start < 4 and "end of data" in error.reason and not before.isascii():
            return before.decode()
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def decode_utf16(raw: bytes) -> str:
    """Text as Windows writes it into EXIF data."""
    return raw[: MAX_TEXT_CHARS * 4].decode("utf-16-le", "replace").partition("\0")[0]


def clean(text: str | None) -> str | None:
    """Text as it was meant, without blanks around it and bounded in length; None for an empty one.

    Args:
        text: What was written, with NULs, control characters, and UTF-8 that was taken for
            something else and encoded once more.

    Returns:
        At most `MAX_TEXT_CHARS` characters, in the composed form of Unicode.
    """
    if not text:
        return None
    text = _CONTROLS.sub(" ", text[: MAX_TEXT_CHARS * 2].strip("\0 \t\r\n\ufeff"))
    if not text.isascii():
        # Here, since it takes longer to load than to read a file.
        from ftfy import fix_encoding

        text = unicodedata.normalize("NFC", fix_encoding(_HALF_PAIRS.sub("\ufffd", text)))
    text = text.strip()[:MAX_TEXT_CHARS].rstrip()
    # Text that was lost in some conversion, and what stands for none, say nothing.
    return text if text.strip("\ufffd?.-_ ") else None


def clean_caption(text: str | None) -> str | None:
    """A caption, or None where it is what a camera writes by itself under every picture."""
    text = clean(text)
    return None if text is None or _BOILERPLATE.fullmatch(text) else text


def clean_keywords(texts: Iterable[str]) -> tuple[str, ...]:
    """Keywords, each once, in their order."""
    kept: dict[str, None] = {}
    for text in texts:
        keyword = clean(text)
        if keyword is not None:
            kept[keyword] = None
        if len(kept) == MAX_KEYWORDS:
            break
    return tuple(kept)
