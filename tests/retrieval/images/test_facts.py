"""Facts of two sources put together."""

from __future__ import annotations

from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from retrieval.images.facts import NO_METADATA, ImageMetadata

numbers = st.none() | st.floats(-90, 90)
texts = st.none() | st.text(min_size=1, max_size=5)
facts = st.builds(
    ImageMetadata,
    latitude=numbers,
    longitude=numbers,
    altitude_m=numbers,
    orientation=st.none() | st.integers(1, 8),
    title=texts,
    keywords=st.lists(st.text(min_size=1, max_size=3), max_size=2).map(tuple),
)


@given(facts, facts)
def test_what_is_known_stays_and_only_what_is_not_is_taken(
    own: ImageMetadata, other: ImageMetadata
) -> None:
    both = own.completed_by(other)
    for fact in fields(ImageMetadata):
        before, after = getattr(own, fact.name), getattr(both, fact.name)
        assert after == before or before in (None, ())
        assert after in (before, getattr(other, fact.name))
    assert own.completed_by(NO_METADATA) == own
    assert both.completed_by(other) == both


def test_a_position_is_taken_as_a_whole_and_how_pixels_lie_never() -> None:
    placed = ImageMetadata(latitude=1.0, longitude=2.0)
    other = ImageMetadata(latitude=5.0, longitude=6.0, altitude_m=7.0, orientation=3, title="t")
    assert placed.completed_by(other) == ImageMetadata(latitude=1.0, longitude=2.0, title="t")
    taken = ImageMetadata(title="own").completed_by(other)
    assert (taken.latitude, taken.longitude, taken.altitude_m) == (5.0, 6.0, 7.0)
    assert (taken.orientation, taken.title) == (None, "own")
