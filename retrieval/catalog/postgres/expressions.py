"""How filters are written for PostgreSQL, and the functions that they call there."""

from __future__ import annotations

from collections.abc import Callable

from retrieval.catalog.filters import EARTH_RADIUS_KM, Value, containing, country_at_place


def _tamed(amount: str) -> str:
    """A number that is not so small that the server would call its square an underflow."""
    return f"(CASE WHEN abs({amount}) < 1e-100 THEN 0 ELSE {amount} END)"


_SOUTH, _NORTH, _EAST = _tamed("south"), _tamed("north"), _tamed("east - west")
_UPWARDS = _tamed(f"radians({_NORTH}) - radians({_SOUTH})")
# A name that is no UTF-8 is told by its escapes, so that its suffix is found all the same.
FUNCTIONS = (
    """
    CREATE OR REPLACE FUNCTION path_text(path bytea) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
    BEGIN
        RETURN convert_from(path, 'UTF8');
    EXCEPTION WHEN OTHERS THEN
        RETURN encode(path, 'escape');
    END $$
    """,
    f"""
    CREATE OR REPLACE FUNCTION distance_km(
        south double precision, west double precision,
        north double precision, east double precision
    ) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS $$
        SELECT 2 * {EARTH_RADIUS_KM} * asin(least(1, sqrt(
            sin({_UPWARDS} / 2) ^ 2
            + cos(radians({_SOUTH})) * cos(radians({_NORTH})) * sin(radians({_EAST}) / 2) ^ 2)))
    $$
    """,
)
_SPECIAL = frozenset(r".^$*+?()[]{}|\\")


class PostgresExpressions:
    """See `retrieval.catalog.filters.Expressions`.

    `places` lists the ids of the items whose place is known, with latitude and longitude: which
    country a place is in is known here and not by the server.
    """

    path = 'path_text(files.path) COLLATE "C"'

    def __init__(self, places: Callable[[], list[tuple[int, float, float]]]) -> None:
        self._places = places

    def matches(self, text: str, pattern: str, value: Value) -> str:
        """See `Expressions`."""
        regex = regex_of(pattern)
        return "FALSE" if regex is None else f"{text} ~ {value(regex)}"

    def contains(self, text: str, part: str, value: Value) -> str:
        """See `Expressions`."""
        return f"{text} ILIKE {value(containing(part))} ESCAPE '\\'"

    def in_country(self, latitude: str, longitude: str, code: str, value: Value) -> str:
        """See `Expressions`."""
        ids = [id_ for id_, *place in self._places() if country_at_place(*place) == code]
        return f"items.id = ANY({value(ids)})" if ids else "FALSE"


def regex_of(pattern: str) -> str | None:
    """A pattern of SQLite's GLOB as a regular expression; None where it can fit nothing."""
    parts = []
    at = 0
    while at < len(pattern):
        letter = pattern[at]
        at += 1
        if letter == "*":
            parts.append(".*")
        elif letter == "?":
            parts.append(".")
        elif letter == "[":
            is_not = pattern.startswith("^", at)
            start = at + is_not
            # A bracket that comes first is one of the letters.
            end = pattern.find("]", start + 1)
            if end < 0:
                return None
            letters = pattern[start:end].replace("\\", "\\\\").replace("[", "\\[")
            parts.append(f"[{'^' if is_not else ''}{letters}]")
            at = end + 1
        else:
            parts.append(f"\\{letter}" if letter in _SPECIAL else letter)
    return f"^(?:{''.join(parts)})$"
