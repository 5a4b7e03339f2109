"""All that the file of a picture says about it besides its pixels.

What is read: EXIF data, XMP, IPTC records, the texts of a PNG, and the dates of videos that are
part of a picture, from JPEG, PNG, WebP, GIF, TIFF, HEIF (HEIC), AVIF, JPEG XL (not its packed
boxes), JPEG 2000 (XMP), and the RAW files that are TIFF inside (DNG, CR2, NEF, ARW, ORF, RW2, PEF
and others), CR3 and RAF; and XMP from a side-car file.

Which source is believed
    The date a picture was taken: EXIF DateTimeOriginal, EXIF DateTimeDigitized, XMP
    exif:DateTimeOriginal, photoshop:DateCreated, the date and time that IPTC says it was created,
    xmp:CreateDate (and exif:DateTimeDigitized in XMP), the Creation Time of a PNG, the date of a
    video. Within each of XMP's, a side-car is asked before what is within the file, since it is
    what its user wrote last. A date that cannot be, such as zeros or blanks, is no date, and the
    next in the order is asked; so is a date before 1826. The date of the last edit (EXIF DateTime,
    PNG tIME) is never taken. All dates are what was written, without the zone, thus what the
    camera's clock showed; only the date of a video, unless it was Apple's phone that wrote it, is
    in UTC. Dates of AVIF animations are when they were encoded, and left out.

    What the camera knows (make, model, lens, exposure, software): EXIF, a side-car, XMP, PNG.
    The orientation: EXIF, then XMP, never a side-car, since programs that show the picture do not
    know it.

    The position: a side-car, EXIF, XMP; latitude, longitude and altitude of one of them, never
    mixed. One without a hemisphere, with 0/0 for a number, or beyond 90 or 180 degrees is none, and
    so is exactly 0, 0, which is what cameras write that found no satellites. Another position is
    taken even where the receiver had lost its satellites (GPSStatus V): cameras write the last one
    they knew, and many write V always.

    What people write (title, caption, creator, copyright, rating): a side-car, XMP, IPTC, EXIF,
    PNG. Keywords are those of all sources together. Of keywords in a hierarchy the last part
    counts. Captions that cameras put under every picture are none.

Libraries
    EXIF is read by own code, because the alternatives do not fit data that nobody can trust.
    Pillow's reader copies every value of a directory, stops at the first size that is garbled, and
    does not know the heads of ORF and RW2. exifread raises on the boxes of usual HEIC files and
    does not know ImageMagick's profiles. Pillow reads XMP with defusedxml, which is one setting of
    the expat that comes with Python: to refuse a DOCTYPE. Its reader of IPTC knows no encodings,
    and can be had for JPEG and TIFF only. Texts that were decoded wrongly are mended by ftfy,
    loaded when the first text that is not plain ASCII is met.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from retrieval.images import exif, iptc, written, xmp
from retrieval.images.blocks import MAX_BLOCK_BYTES, Blocks
from retrieval.images.containers import collect
from retrieval.images.facts import DateSource, Findings, ImageMetadata

__all__ = ["ImageMetadata", "read_metadata"]

_CAMERA_FIELDS = (
    "camera_make",
    "camera_model",
    "lens",
    "focal_length_mm",
    "focal_length_35mm",
    "aperture",
    "exposure_s",
    "iso",
    "software",
)
_WRITTEN_FIELDS = ("rating", "title", "caption", "creator", "copyright")
# ImageMagick copies what EXIF says to a text of its own.
_PNG_DATES = ("exif:DateTimeOriginal", "Creation Time")


def read_metadata(
    data: bytes | bytearray | memoryview, sidecar: bytes | None = None
) -> ImageMetadata:
    """Read what a picture's file says about it.

    Raises nothing, whatever the bytes are: of what is garbled or missing nothing is made. Sizes
    that the file claims cost neither time nor memory.

    Args:
        data: The whole file. It is copied unless it is bytes.
        sidecar: The content of the XMP file beside it, where there is one.

    Returns:
        The facts; all None for a file of a format that is not known.
    """
    blocks = Blocks()
    # What was found before it failed is kept.
    with suppress(Exception):
        collect(data if isinstance(data, bytes) else bytes(data), blocks)
    in_exif = [_attempt(_from_exif, *block) for block in blocks.exif]
    in_xmp = [_attempt(xmp.findings, packet) for packet in blocks.xmp]
    in_iptc = [_attempt(iptc.findings, records) for records in blocks.iptc]
    in_png = [_attempt(_from_texts, blocks.texts)]
    beside = [_attempt(xmp.findings, sidecar[:MAX_BLOCK_BYTES])] if sidecar else []
    video = {DateSource.VIDEO: blocks.video_date} if blocks.video_date else {}

    by_trust = [*in_exif, *beside, *in_xmp, *in_iptc, *in_png]
    by_last_word = [*beside, *in_xmp, *in_iptc, *in_exif, *in_png]
    facts: dict[str, Any] = {name: _first(name, by_trust) for name in _CAMERA_FIELDS}
    facts |= {name: _first(name, by_last_word) for name in _WRITTEN_FIELDS}
    facts["orientation"] = _first("orientation", [*in_exif, *in_xmp])
    facts["taken_at"] = _taken_at([*by_trust, Findings(dates=video)])
    facts["keywords"] = written.clean_keywords(
        keyword for found in by_last_word for keyword in found.facts.keywords
    )
    facts |= _place([*beside, *in_exif, *in_xmp])
    return ImageMetadata(**facts)


def _attempt(read: Callable[..., Findings], *block: Any) -> Findings:
    """What is found in a block; nothing where it fails, which costs no other block's facts."""
    try:
        return read(*block)
    except Exception:  # Files are garbled in more ways than can be listed.
        return Findings()


def _from_exif(block: memoryview, first: exif.First) -> Findings:
    return exif.findings(exif.read_directories(block, first))


def _from_texts(texts: dict[str, str]) -> Findings:
    facts = ImageMetadata(
        title=written.clean(texts.get("Title")),
        caption=written.clean_caption(texts.get("Description"))
        or written.clean_caption(texts.get("Comment")),
        creator=written.clean(texts.get("Author")),
        copyright=written.clean(texts.get("Copyright")),
        software=written.clean(texts.get("Software")),
    )
    dates = (written.parse_mail_date(texts.get(keyword)) for keyword in _PNG_DATES)
    moment = next((date for date in dates if date is not None), None)
    return Findings(facts, {DateSource.PNG_TEXT: moment} if moment else {})


def _first(name: str, sources: Sequence[Findings]) -> Any:
    """The fact from the first source that has it."""
    values = (getattr(found.facts, name) for found in sources)
    return next((value for value in values if value is not None), None)


def _taken_at(sources: Sequence[Findings]) -> datetime | None:
    """The date that is trusted most; of two that are trusted alike the first."""
    for kind in DateSource:
        for found in sources:
            if kind in found.dates:
                return found.dates[kind]
    return None


def _place(sources: Sequence[Findings]) -> dict[str, float | None]:
    """All of the first source that has a position, since two sources may mean two places."""
    for found in sources:
        facts = found.facts
        if facts.latitude is not None:
            return {
                "latitude": facts.latitude,
                "longitude": facts.longitude,
                "altitude_m": facts.altitude_m,
            }
    return {}
