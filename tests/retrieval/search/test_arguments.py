"""What makes no sense is refused in one sentence, before anything is searched."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from indexer import index_folders
from retrieval import MmsearchError, SearchEngine
from retrieval.errors import ImageError
from retrieval.images import decode


@pytest.fixture(scope="module")
def engine(photo_index: Path) -> Iterator[SearchEngine]:
    with SearchEngine.open(photo_index) as engine:
        yield engine


@pytest.mark.parametrize(
    ("query", "options", "error"),
    [
        (None, {}, TypeError),
        (7, {}, TypeError),
        (b"a dog", {}, TypeError),
        ("", {}, ValueError),
        ("  \n", {}, ValueError),
        ("a dog", {"k": -1}, ValueError),
        ("a dog", {"k": 0}, ValueError),
        ("a dog", {"k": 2.5}, TypeError),
        ("a dog", {"k": True}, TypeError),
        ("a dog", {"candidates": -3}, ValueError),
        ("a dog", {"min_score": float("nan")}, ValueError),
        ("a dog", {"min_score": "0.2"}, TypeError),
        ("a dog", {"after": "2019"}, TypeError),
        ("a dog", {"after": datetime(2020, 1, 1, tzinfo=UTC)}, ValueError),
        ("a dog", {"after": datetime(2020, 1, 1), "before": datetime(2019, 1, 1)}, ValueError),
        ("a dog", {"rerank": None}, TypeError),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    engine: SearchEngine, query: Any, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error) as refused:
        engine.search(query, **options)
    assert str(refused.value).endswith(".")
    if isinstance(query, str):
        with pytest.raises(error):
            engine.search_many([query], **options)


def test_many_texts_are_a_list_of_texts(engine: SearchEngine) -> None:
    for texts in ("a dog", None, [None], ["a dog", 3]):
        with pytest.raises(TypeError):
            engine.search_many(texts)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="empty"):
        engine.search_many(["a dog", ""])


def test_a_folder_without_indexed_pictures_is_an_error(
    engine: SearchEngine, tmp_path: Path
) -> None:
    with pytest.raises(MmsearchError, match="indexed"):
        engine.search("a dog", within=tmp_path)


def test_many_questions_get_the_answers_that_each_gets_alone(engine: SearchEngine) -> None:
    texts = ["a cat", "coffee", "a rocket on its launch pad in the dark night", "stars", "bricks"]
    many = engine.search_many(texts, k=20)
    assert many == [engine.search(text, k=20) for text in texts]


def test_a_single_path_is_no_list_of_folders(tmp_path: Path) -> None:
    for paths in ("photos", tmp_path, None):
        with pytest.raises(TypeError, match="list"):
            index_folders(paths, tmp_path / "index")  # type: ignore[arg-type]
    assert not (tmp_path / "index").exists()


def test_a_picture_that_is_asked_with_is_decoded_in_another_process(
    engine: SearchEngine, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode_here(*_arguments: object) -> None:
        raise AssertionError("decoded in the engine's own process")

    monkeypatch.setattr(decode, "open_image", decode_here)
    assert engine.search(photos / "coffee.png", k=1)[0].path == photos / "coffee.png"
    broken = tmp_path / "broken.jpg"
    broken.write_bytes((photos / "rocket.jpg").read_bytes()[:2000])
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        engine.search(broken)
    with pytest.raises(ImageError, match=r"absent\.jpg"):
        engine.search(tmp_path / "absent.jpg")


def test_an_open_picture_is_asked_with_as_it_is(engine: SearchEngine, photos: Path) -> None:
    with Image.open(photos / "coffee.png") as image:
        assert engine.search(image, k=1)[0].path == photos / "coffee.png"


def test_an_explanation_is_of_the_reranker_that_ranked(engine: SearchEngine) -> None:
    ranked = engine.search("a cat", k=2)
    assert {hit.reranker for hit in ranked} == {"auto"}
    assert {hit.reranker for hit in engine.search("a cat", k=2, rerank="off")} == {None}
    assert all(engine.explain_many(ranked))


def _ask(engine: SearchEngine, answer: Any) -> None:
    try:
        engine.search("a cat")
    except MmsearchError as error:
        answer.send(str(error))
    # Neither the engine's threads nor pytest's own end are this process's business.
    os._exit(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_an_engine_opened_before_a_fork_says_so_in_the_child(engine: SearchEngine) -> None:
    engine.search("a cat")
    forking = multiprocessing.get_context("fork")
    receiver, sender = forking.Pipe(duplex=False)
    child = forking.Process(target=_ask, args=(engine, sender))
    child.start()
    try:
        assert receiver.poll(20)
        assert "in each process" in receiver.recv()
    finally:
        child.kill()
        child.join()
