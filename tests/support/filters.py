"""Filters drawn at random, for property tests."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path

from hypothesis import strategies as st

from retrieval.query import filters as f

words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6).filter(
    lambda text: bool(text.strip())
)
times = st.datetimes(datetime(1826, 1, 1), datetime(2100, 1, 1))
amounts = st.floats(0, 1e6)
latitudes, longitudes = st.floats(-90, 90), st.floats(-180, 180)


def _ranges(kind: type[f.Megapixels] | type[f.Aspect]) -> st.SearchStrategy[f.Filter]:
    return st.tuples(amounts, amounts | st.just(math.inf)).map(lambda pair: kind(*sorted(pair)))


leaves: st.SearchStrategy[f.Filter] = st.one_of(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(
        lambda parts: f.Below(Path("/", *parts))
    ),
    words.filter(lambda text: "/" not in text).map(f.Name),
    st.sampled_from(["jpg", "png", "heic", "mp4"]).map(f.FileType),
    st.tuples(times, times)
    .filter(lambda pair: pair[0] != pair[1])
    .map(lambda pair: f.Taken(*sorted(pair))),
    times.map(lambda time: f.Taken(after=time)),
    times.map(lambda time: f.Taken(before=time)),
    st.tuples(st.integers(0, 23), st.integers(1, 24))
    .filter(lambda pair: pair[0] != pair[1])
    .map(lambda pair: f.TimeOfDay(*pair)),
    st.frozensets(st.integers(1, 12), min_size=1).map(f.Month),
    words.map(f.Camera),
    words.map(f.Lens),
    st.builds(f.Near, latitudes, longitudes, st.floats(1e-3, 20_000)),
    st.tuples(latitudes, longitudes, latitudes, longitudes).map(
        lambda box: f.InBox(min(box[0], box[2]), box[1], max(box[0], box[2]), box[3])
    ),
    st.sampled_from(["DE", "FR", "US", "JP", "BR"]).map(f.InCountry),
    _ranges(f.Megapixels),
    _ranges(f.Aspect),
    st.sampled_from(f.SHAPES).map(f.Shaped),
    st.tuples(st.integers(-1, 5), st.integers(-1, 5)).map(lambda pair: f.Rating(*sorted(pair))),
    words.map(f.Tagged),
)
filters = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f.And(tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f.Or(tuple(parts))),
        inner.map(f.Not),
    ),
    max_leaves=8,
)
