"""What a video file says of itself: when, where and with what it was taken, its title."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from retrieval.images import written
from retrieval.images.facts import ImageMetadata

# Signed degrees, and maybe metres, one after another (ISO 6709).
_PLACE = re.compile(r"([+-]\d{1,2}(?:\.\d+)?)([+-]\d{1,3}(?:\.\d+)?)([+-]\d+(?:\.\d+)?)?")

# QuickTime counts seconds from 1904: a date before 1970 is a clock that was never set.
_UNSET_YEAR = 1970


def facts_of(tags: Mapping[str, str]) -> ImageMetadata:
    """The facts among a container's tags; what is garbled is left out.

    Apple's own date has the time zone and is taken as the camera's clock showed it; the date that
    every container has is in universal time, and is taken as it stands.
    """
    known = {key.lower(): value for key, value in tags.items()}

    def first(*names: str) -> str | None:
        found = (written.clean(known.get(name)) for name in names)
        return next((value for value in found if value), None)

    apple = "com.apple.quicktime."
    latitude, longitude, altitude_m = _place(first(apple + "location.iso6709", "location"))
    return ImageMetadata(
        taken_at=_moment(first(apple + "creationdate", "creation_time", "date")),
        camera_make=first(apple + "make", "make", "com.android.manufacturer"),
        camera_model=first(apple + "model", "model", "com.android.model"),
        latitude=latitude,
        longitude=longitude,
        altitude_m=altitude_m,
        title=first("title", apple + "title"),
        caption=first("description", "comment", "synopsis"),
        creator=first("artist", apple + "author", "author"),
        copyright=first("copyright"),
        software=first(apple + "software", "encoder"),
    )


def is_live_photo(tags: Mapping[str, str]) -> bool:
    """Whether it is the moving half of a live photo, by the name that both halves carry."""
    return any(key.lower().endswith("quicktime.content.identifier") for key in tags)


def _moment(text: str | None) -> datetime | None:
    moment = written.parse_date(text)
    return moment if moment is not None and moment.year > _UNSET_YEAR else None


def _place(text: str | None) -> tuple[float | None, float | None, float | None]:
    match = _PLACE.match(text or "")
    if match is None:
        return None, None, None
    return written.place(float(match[1]), float(match[2]), float(match[3]) if match[3] else None)
