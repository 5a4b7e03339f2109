"""Questions about pictures through an engine: kept tokens or files, one or many."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from retrieval.errors import ImageError, MmsearchError, QueryError, UnknownModelError
from retrieval.search.ask import Asker
from retrieval.search.engine import SearchEngine


@pytest.fixture(scope="module")
def engine(photo_index: Path) -> Iterator[SearchEngine]:
    with SearchEngine.open(photo_index) as engine:
        yield engine


def test_a_hit_a_path_and_an_open_picture_are_asked_alike(
    engine: SearchEngine, photos: Path
) -> None:
    hit = engine.search("a cat", 1)[0]
    with Image.open(photos / "chelsea.png") as image:
        answers = [
            engine.ask("what animal is this?", one) for one in (hit, hit.path, str(hit.path), image)
        ]
    assert {answer.text for answer in answers} == {"cat"}
    # Vectors are kept as halves, which may cost a little.
    confidences = [answer.confidence for answer in answers]
    assert max(confidences) - min(confidences) < 0.02


def test_what_the_index_keeps_is_enough(photos: Path, tmp_path: Path) -> None:
    from indexer import index_folders

    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "cat.png").write_bytes((photos / "chelsea.png").read_bytes())
    index_folders([folder], tmp_path / "index")
    (folder / "cat.png").unlink()
    with SearchEngine.open(tmp_path / "index") as engine:
        assert engine.ask("is there a cat?", folder / "cat.png").text == "yes"


def test_many_pictures_where_one_cannot_be_read(
    engine: SearchEngine, photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    pictures = [photos / "chelsea.png", tmp_path / "bad.jpg", tmp_path / "gone.jpg"]
    with caplog.at_level(logging.WARNING):
        found = engine.ask_many("is there a cat?", pictures)
    assert [one and one.text for one in found] == ["yes", None, None]
    assert "bad.jpg" in caplog.text and "gone.jpg" in caplog.text
    with pytest.raises(ImageError, match=r"gone\.jpg cannot be read"):
        engine.ask("is there a cat?", tmp_path / "gone.jpg")
    assert engine.ask_many("is there a cat?", []) == []


def test_results_of_a_search_are_asked(engine: SearchEngine) -> None:
    found = engine.ask_results("is there a cat?", "a cat", 3)
    assert len(found) == 3
    assert found[0].hit.path.stem == "chelsea"
    assert found[0].answer is not None and found[0].answer.text == "yes"


def test_which_of_many_gives_those_that_are_meant(engine: SearchEngine) -> None:
    found = engine.ask_results("which of my photos has a cat?", k=5)
    assert "chelsea" in [one.hit.path.stem for one in found]
    assert len(found) <= 5
    assert all(one.answer is not None and one.answer.text == "yes" for one in found)
    without = engine.ask_results("which of my photos has no cat?", k=50)
    assert not {one.hit.path for one in found} & {one.hit.path for one in without}


def test_what_makes_no_sense_is_refused(engine: SearchEngine, photos: Path) -> None:
    cat = photos / "chelsea.png"
    with pytest.raises(QueryError, match="does not say which pictures"):
        engine.ask_results("how many cats?")
    with pytest.raises(QueryError, match="empty"):
        engine.ask("  ", cat)
    with pytest.raises(QueryError, match="longer than"):
        engine.ask("is it " * 1000, cat)
    with pytest.raises(TypeError):
        engine.ask(3, cat)  # type: ignore[arg-type]
    with pytest.raises(UnknownModelError):
        engine.ask("is it red?", cat, answerer="oracle")
    with pytest.raises(QueryError) as refused:
        engine.ask("why?", cat)
    assert isinstance(refused.value, MmsearchError) and refused.value.code == "question-kind"


def test_files_are_asked_without_an_index(photos: Path) -> None:
    with Asker() as asker:
        found = asker.many("is there a cat?", [photos / "chelsea.png", photos / "rocket.jpg"])
        assert [one and one.text for one in found] == ["yes", "no"]
