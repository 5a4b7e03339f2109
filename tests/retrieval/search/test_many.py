"""Many questions, page by page and one after the other, get the answers that each gets alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval import MmsearchError, SearchEngine
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


def test_hits_come_lazily_to_the_last_picture(engine: SearchEngine) -> None:
    whole = engine.search("a person", k=100)
    assert list(engine.iter_hits("a person", page=3)) == whole
    first = next(engine.iter_hits("a person", page=2, rerank="off"))
    assert first == engine.search("a person", k=1, rerank="off")[0]
    some = list(engine.iter_hits("a person", page=4, filter="name:c*", min_score=0.0))
    assert some == engine.search("a person", k=100, filter="name:c*", min_score=0.0)
    with pytest.raises(ValueError, match="page is at least 1"):
        engine.iter_hits("a person", page=0)


def test_a_vector_asks_as_what_it_was_made_of(engine: SearchEngine, photos: Path) -> None:
    texts = ["a cat", "a rocket on its launch pad"]
    vectors = engine.embed_texts(texts)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    for text, vector in zip(texts, vectors, strict=True):
        by_words = engine.search(Query.of(text), k=5, rerank="off", match="pictures")
        by_vector = engine.search(vector, k=5)
        assert [hit.item_id for hit in by_vector] == [hit.item_id for hit in by_words]
        assert [hit.score for hit in by_vector] == [hit.score for hit in by_words]
        assert engine.search(vector * 7, k=1)[0].item_id == by_words[0].item_id
    path = photos / "coffee.png"
    with Image.open(path) as image:
        of_images = engine.embed_images([path, str(path), image])
    assert np.allclose(of_images, of_images[0], atol=1e-3)
    assert engine.search(of_images[0], k=1)[0].path == path
    mixed = Query.of(vectors[0]).like(path).minus(vectors[1])
    assert len(engine.search(mixed, k=3)) == 3


def test_the_vectors_of_answers_and_of_paths_are_those_of_the_index(
    engine: SearchEngine, photos: Path
) -> None:
    hits = engine.search("a cat", k=4, rerank="off")
    vectors = engine.vectors_of(hits)
    assert np.allclose(
        vectors @ engine.embed_texts(["a cat"])[0], [hit.score for hit in hits], atol=1e-3
    )
    assert np.array_equal(vectors, engine.vectors_of([str(hit.path) for hit in hits]))
    assert engine.vectors_of([]).shape == (0, vectors.shape[1])
    for missing in (photos / "nothing.png", photos):
        with pytest.raises(MmsearchError, match="is not indexed"):
            engine.vectors_of([missing])
    with pytest.raises(TypeError, match="in a list"):
        engine.vectors_of(hits[0])  # type: ignore[arg-type]


@pytest.mark.parametrize("vector", [np.ones(3), np.zeros(264), np.full(264, np.nan), np.eye(264)])
def test_a_vector_that_makes_no_sense_is_refused(engine: SearchEngine, vector: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"[Vv]ector"):
        engine.search(vector)


def test_a_notebook_shows_answers_as_a_grid_with_every_name_escaped(
    photos: Path, tmp_path: Path
) -> None:
    from indexer import index_folders

    name = '<b>&"cat.png'
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / name).write_bytes((photos / "chelsea.png").read_bytes())
    index_folders([tmp_path / "photos"], tmp_path / "index")
    with SearchEngine.open(tmp_path / "index") as engine:
        hits = engine.search("a cat")
        page = hits._repr_html_()
        assert "&lt;b&gt;&amp;&quot;cat.png" in page and name not in page
        assert page.count("data:image/jpeg;base64,") == 1
        (tmp_path / "photos" / name).unlink()
        assert "can no longer be read" in hits[0]._repr_html_()
        assert "No picture" in engine.search("a cat", min_score=0.99)._repr_html_()
