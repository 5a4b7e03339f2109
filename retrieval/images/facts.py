"""What is known about a picture from its file, and what one source within the file said of it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import IntEnum
from typing import Any, Self

_POSITION = ("latitude", "longitude", "altitude_m")


@dataclass(frozen=True)
class ImageMetadata:
    """The facts that a picture's file carries; whatever it does not say is None.

    Attributes:
        taken_at: When the picture was taken, as the camera's clock showed it, without a time zone.
        camera_make: Who made the camera.
        camera_model: The camera's model.
        lens: The lens, by its name.
        focal_length_mm: Focal length of the lens.
        focal_length_35mm: The focal length that shows as much on 35 mm film.
        aperture: The f-number.
        exposure_s: Exposure time in seconds.
        iso: Sensitivity.
        latitude: Degrees (WGS84), south is negative. Always comes together with `longitude`.
        longitude: Degrees (WGS84), west is negative.
        altitude_m: Metres above sea level; only where there is a position, too.
        orientation: How the stored pixels are to be turned, 1 to 8 as EXIF defines it. Decoders of
            HEIF and AVIF turn a picture by other data and ignore this.
        rating: 0 (not rated) to 5 stars, or -1 for a picture that was rejected.
        title: A short name.
        caption: What is to be seen, in a sentence or more.
        keywords: Keywords in the order they were written, each once.
        creator: Who took the picture.
        copyright: Who holds the rights, and which.
        software: The program that wrote the picture, or the firmware of the camera.
        url: Where the picture is on the web; of pictures that were imported with their address.
    """

    taken_at: datetime | None = None
    camera_make: str | None = None
    camera_model: str | None = None
    lens: str | None = None
    focal_length_mm: float | None = None
    focal_length_35mm: float | None = None
    aperture: float | None = None
    exposure_s: float | None = None
    iso: int | None = None
    latitude: float | None = None
    longitude: float | None = None
    altitude_m: float | None = None
    orientation: int | None = None
    rating: int | None = None
    title: str | None = None
    caption: str | None = None
    keywords: tuple[str, ...] = ()
    creator: str | None = None
    copyright: str | None = None
    software: str | None = None
    url: str | None = None

    def completed_by(self, other: ImageMetadata) -> ImageMetadata:
        """These facts, and of what they leave open what another source knows of the picture.

        A position is taken as a whole. How the file's pixels lie is the file's own business.
        """
        own = {"orientation"} | (set() if self.latitude is None else set(_POSITION))
        missing = {
            fact.name: getattr(other, fact.name)
            for fact in fields(self)
            if fact.name not in own and getattr(self, fact.name) in (None, ())
        }
        return replace(self, **missing)

    def to_json(self) -> dict[str, Any]:
        """What is known, by name, as JSON takes it: times as ISO 8601."""
        known: dict[str, Any] = {
            fact.name: getattr(self, fact.name)
            for fact in fields(self)
            if getattr(self, fact.name) not in (None, ())
        }
        if self.taken_at is not None:
            known["taken_at"] = self.taken_at.isoformat()
        return known

    @classmethod
    def from_json(cls, known: dict[str, Any]) -> Self:
        """What `to_json` gave. Raises TypeError or ValueError for anything else."""
        facts = dict(known)
        if "taken_at" in facts:
            facts["taken_at"] = datetime.fromisoformat(facts["taken_at"])
        if "keywords" in facts:
            facts["keywords"] = tuple(str(keyword) for keyword in facts["keywords"])
        return cls(**facts)


NO_METADATA = ImageMetadata()


class DateSource(IntEnum):
    """Where a date was written; the lower, the more it is trusted to be when the camera clicked."""

    EXIF_ORIGINAL = 1
    EXIF_DIGITIZED = 2
    XMP_ORIGINAL = 3
    XMP_DATE_CREATED = 4
    IPTC_CREATED = 5
    XMP_CREATE_DATE = 6
    PNG_TEXT = 7
    VIDEO = 8


@dataclass(frozen=True)
class Findings:
    """What one source said: its facts without the date, and its dates by where they stood."""

    facts: ImageMetadata = ImageMetadata()
    dates: dict[DateSource, datetime] = field(default_factory=dict)
