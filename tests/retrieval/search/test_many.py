"""Many questions, page by page and one after the other, get the answers that each gets alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from retrieval import SearchEngine
from retrieval.query.query import Query


@pytest.fixture(scope="module")
def engine(photo_index: Path) -> Iterator[SearchEngine]:
    with SearchEngine.open(photo_index) as engine:
        yield engine


def test_questions_of_every_sort_are_answered_together_as_alone(
    engine: SearchEngine, photos: Path
) -> None:
    asked: list[str | Query] = [
        "a cat",
        "a rocket on its launch pad",
        "a cup without people",
        Query.of("a cat").like(photos / "coffee.png", weight=0.5),
        Query.of(photos / "rocket.jpg").minus("fire"),
    ] * 8
    for options in ({}, {"offset": 3}, {"filter": "-name:c*"}, {"fusion": "rrf"}):
        together = engine.search_many(asked, k=5, **options)  # type: ignore[arg-type]
        alone = [engine.search(query, k=5, **options) for query in asked]  # type: ignore[arg-type]
        assert together == alone


def test_pages_are_parts_of_one_ranking(engine: SearchEngine) -> None:
    for rerank in ("auto", "off"):
        whole = engine.search("a person", k=18, rerank=rerank, candidates=6)
        pages = [
            hit
            for offset in range(0, 18, 4)
            for hit in engine.search("a person", 4, offset=offset, rerank=rerank, candidates=6)
        ]
        assert pages == whole
        assert [hit.rank for hit in pages] == list(range(1, len(whole) + 1))
    assert engine.search("a person", offset=1000) == []


@pytest.mark.parametrize(("offset", "error"), [(-1, ValueError), (1.5, TypeError)])
def test_an_offset_that_makes_no_sense_is_refused(
    engine: SearchEngine, offset: int, error: type[Exception]
) -> None:
    with pytest.raises(error, match="offset is"):
        engine.search("a cat", offset=offset)
    with pytest.raises(error, match="offset is"):
        engine.browse("-tag:people", offset=offset)
