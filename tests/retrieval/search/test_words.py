"""Questions that the words beside pictures answer, together with the pictures themselves."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval import SearchEngine
from retrieval.catalog import Catalog
from retrieval.catalog.records import FileFacts
from retrieval.errors import CatalogError
from retrieval.images.facts import ImageMetadata
from retrieval.query.query import Query
from retrieval.search.words import lifted, words_of

STORED = Path(__file__).parents[2] / "data" / "catalogs"


@pytest.fixture(scope="module")
def engine(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SearchEngine]:
    """The photographs under names as cameras give them, two with words of their own."""
    from indexer import index_folders

    folder, index = tmp_path_factory.mktemp("named"), tmp_path_factory.mktemp("named-index")
    for number, path in enumerate(sorted(photos.iterdir())):
        shutil.copyfile(path, folder / f"IMG_{2000 + number}{path.suffix}")
    shutil.copyfile(photos / "coffee.png", folder / "IMG_2000 edited.png")
    shutil.copyfile(photos / "coffee.png", folder / "a dog without a lead.png")
    index_folders([folder], index)
    names = sorted(path.name for path in photos.iterdir())
    facts = {
        f"IMG_{2000 + names.index('rocket.jpg')}.jpg": ImageMetadata(caption="Start in Kourou"),
        f"IMG_{2000 + names.index('coins.png')}.png": ImageMetadata(keywords=("猫", "Drachmen")),
    }
    with Catalog.open(index / "catalog.sqlite") as catalog, catalog.transaction() as change:
        for file in catalog.stored_files(1):
            if file.path in facts:
                known = FileFacts(file.path, file.size_bytes, file.mtime_ns, file.content_hash)
                change.touch_file(file.file_id, known, facts[file.path])
    with SearchEngine.open(index) as engine:
        yield engine


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("IMG_2003.png", "IMG_2003"),
        ("img_2003", "IMG_2003"),
        ("IMG_2000", "IMG_2000"),
        ("IMG_2000 edited", "IMG_2000 edited"),
        ("photos/2021/IMG_2005", "IMG_2005"),
        ("_2004", "IMG_2004"),
        ("a dog without a lead.png", "a dog without a lead"),
        ("  IMG_2003.png ", "IMG_2003"),
    ],
)
def test_a_file_is_found_first_by_its_name(engine: SearchEngine, question: str, name: str) -> None:
    hits = engine.search(question, k=5)
    assert hits[0].path.stem == name
    assert len(hits) == 5
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert all(-1 <= hit.similarity <= 1 for hit in hits)
    assert hits[0].word_score > 0 or "/" in question


def test_a_caption_and_a_keyword_raise_their_picture(engine: SearchEngine) -> None:
    def rank(question: str, match: str, told: str) -> int:
        hits = engine.search(question, k=30, match=match)  # type: ignore[arg-type]
        return next(
            hit.rank for hit in hits if told in (hit.metadata.caption, *hit.metadata.keywords)
        )

    start = "Start in Kourou"
    for question, told in (("Kourou", start), ("drachmen", "Drachmen"), ("猫", "猫")):
        assert rank(question, "both", told) == rank(question, "words", told) == 1
    cat = "a cat in Kourou"
    assert rank(cat, "both", start) < rank(cat, "pictures", start)


def test_words_alone_find_only_what_has_them(engine: SearchEngine) -> None:
    hits = engine.search("Kourou tomorrow", match="words")
    assert [hit.metadata.caption for hit in hits] == ["Start in Kourou"]
    assert engine.search("a xylophone", match="words") == []
    with pytest.raises(ValueError, match="words alone"):
        engine.search(hits[0].path, match="words")
    with pytest.raises(ValueError, match="match"):
        engine.search("a cat", match="neither")  # type: ignore[arg-type]


def test_a_question_without_such_words_is_answered_as_by_the_pictures_alone(
    engine: SearchEngine,
) -> None:
    for question in ("a motorcycle", "the moon", "a person with a helmet"):
        assert engine.search(question) == engine.search(question, match="pictures")


def test_conditions_hold_for_what_words_find(engine: SearchEngine) -> None:
    assert engine.search("IMG_2003", filter="name:*200[0-4]*")[0].path.stem == "IMG_2003"
    hits = engine.search("IMG_2003", filter="-name:*2003*")
    assert hits and all(hit.path.stem != "IMG_2003" for hit in hits)
    # A file that is named is wanted, whatever it shows.
    (hit,) = engine.search("IMG_2003", min_score=0.9)
    assert hit.path.stem == "IMG_2003"


def test_composed_questions_take_words_of_what_is_wanted(engine: SearchEngine) -> None:
    hits = engine.search(Query.of("Kourou").minus("a cat"), k=1)
    assert hits[0].metadata.caption == "Start in Kourou"
    both = Query.of("Kourou").like("coins")
    assert engine.search(both, k=1, fusion="rrf")[0].word_score == 0


def test_words_that_are_not_known_yet_are_said_so(photo_index: Path, tmp_path: Path) -> None:
    from tests.support.small_encoder import ColorEncoder

    shutil.copyfile(STORED / "v3.sqlite", tmp_path / "catalog.sqlite")
    with SearchEngine.open(tmp_path, encoder=ColorEncoder()) as engine:
        assert len(engine.search("dated.jpg")) == 3
        with pytest.raises(CatalogError, match="does not know yet") as error:
            engine.search("dated.jpg", match="words")
        assert error.value.code == "facts-unread"


def test_an_open_engine_finds_what_is_written_meanwhile(photos: Path, tmp_path: Path) -> None:
    from indexer import index_folders

    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copyfile(photos / "coffee.png", folder / "P1000001.png")
    index_folders([folder], tmp_path / "index")
    with SearchEngine.open(tmp_path / "index") as engine:
        assert [hit.path.name for hit in engine.search("P1000002", match="words")] == []
        shutil.copyfile(photos / "rocket.jpg", folder / "P1000002.jpg")
        index_folders([folder], tmp_path / "index")
        assert [hit.path.name for hit in engine.search("P1000002", match="words")] == [
            "P1000002.jpg"
        ]


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("a dog on the beach", ["dog", "beach"]),
        ("Photos of my dog, and the dog's ball", ["dog", "dog's", "ball"]),
        ("IMG_2031.jpg", ["IMG_2031.jpg"]),
        ("2019/beach", ["2019", "beach"]),
        ("海辺の犬", ["海辺", "犬"]),
        ("海滩上的狗", ["海滩", "滩上", "上的", "的狗"]),
        ("東京タワー", ["東京", "タワー"]),
        ("of the", []),
    ],
)
def test_a_question_is_about_its_rarer_words(question: str, words: list[str]) -> None:
    assert words_of(question) == words


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 2)), min_size=1, max_size=20).map(
        lambda pairs: tuple(zip(*pairs, strict=True))
    )
)
def test_what_is_named_stands_above_the_rest_in_its_own_order(
    scored: tuple[tuple[float, ...], tuple[int, ...]],
) -> None:
    scores, kinds = np.array(scored[0]), np.array(scored[1], dtype=np.int8)
    after = lifted(scores, kinds)
    for kind in range(3):
        mine, below = after[kinds == kind], after[kinds < kind]
        if len(mine) and len(below):
            assert mine.min() > below.max()
        assert np.allclose(np.diff(mine), np.diff(scores[kinds == kind]))


def test_a_hit_tells_what_its_words_added(engine: SearchEngine) -> None:
    hit = engine.search("Kourou", k=1, rerank="off")[0]
    assert hit.score == pytest.approx(hit.similarity + hit.word_score, abs=1e-5)
    assert replace(hit, word_score=0.0) != hit
