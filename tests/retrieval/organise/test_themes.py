"""Themes: every picture in one, named by words that fit, the same each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrieval import MmsearchError, SearchEngine
from retrieval.organise.vocabulary import things, without_article


def test_every_picture_is_in_one_theme_and_the_themes_are_the_same_each_time(
    photo_index: Path,
) -> None:
    with SearchEngine.open(photo_index) as engine:
        themes = engine.themes(4, examples=None)
        assert engine.themes(4, examples=None) == themes
        count = engine.catalog.count_items()
        few = engine.themes(4, examples=1)
    shown = [hit.item_id for theme in themes for hit in theme.examples]
    assert len(themes) == 4 and len(shown) == len(set(shown)) == count
    assert [theme.count for theme in themes] == sorted(
        (len(theme.examples) for theme in themes), reverse=True
    )
    for theme in themes:
        scores = [hit.score for hit in theme.examples]
        assert scores == sorted(scores, reverse=True)
        assert len(set(theme.terms)) == 3 and theme.name == ", ".join(theme.terms)
    assert [theme.examples for theme in few] == [theme.examples[:1] for theme in themes]


def test_a_theme_is_named_by_what_its_pictures_show(photo_index: Path) -> None:
    with SearchEngine.open(photo_index) as engine:
        cats = engine.themes(1, filter="name:chelsea*")
    assert {"cat", "kitten"} & set(cats[0].terms)


def test_too_many_groups_are_refused_and_none_need_no_words(photo_index: Path) -> None:
    with SearchEngine.open(photo_index) as engine:
        with pytest.raises(MmsearchError, match="cannot be put into 900 groups"):
            engine.themes(900)
        with pytest.raises(ValueError, match="k is at least 1"):
            engine.themes(0)
        assert engine.themes(filter="name:nothing") == []
        assert 1 <= len(engine.themes()) <= 6


def test_each_thing_is_named_once() -> None:
    names = things()
    assert len(names) == len(set(names)) > 500
    assert all(name == name.strip() and not name.startswith("#") for name in names)
    assert without_article("an owl") == "owl" and without_article("theatre") == "theatre"
