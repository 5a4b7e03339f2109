"""From a folder of photographs to answers, with the built-in model."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from indexer import index_folders, remove_folder
from retrieval import EncoderMismatchError, IndexMissingError, SearchEngine
from retrieval.catalog import Catalog
from retrieval.encoders.compact import COMPACT_DIR, CompactEncoder
from samples.photos import copy_photos


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    copy_photos(folder)
    return folder


@pytest.fixture
def index(tmp_path: Path, photos: Path) -> Path:
    index_folders([photos], tmp_path / "index")
    return tmp_path / "index"


def test_the_right_photograph_comes_first(index: Path) -> None:
    with SearchEngine.open(index) as engine:
        hits = engine.search("a cat", k=3)
        assert hits[0].path.stem == "chelsea"
        assert [hit.rank for hit in hits] == [1, 2, 3]
        assert hits[0].score >= hits[1].score >= hits[2].score
        with Image.open(hits[0].path) as image:
            assert (hits[0].width_px, hits[0].height_px) == image.size


def test_a_picture_finds_itself(index: Path, photos: Path) -> None:
    with SearchEngine.open(index) as engine:
        path = photos / "coffee.png"
        with Image.open(path) as image:
            for question in (path, image):
                hit = engine.search(question, k=1)[0]
                assert hit.path == path
                assert hit.similarity > 0.98


def test_a_folder_and_a_least_score_restrict_the_answers(index: Path, photos: Path) -> None:
    sub = photos / "some"
    sub.mkdir()
    shutil.move(photos / "rocket.jpg", sub / "rocket.jpg")
    index_folders([photos], index)
    with SearchEngine.open(index) as engine:
        assert [hit.path.name for hit in engine.search("a cat", within=sub)] == ["rocket.jpg"]
        assert all(hit.similarity >= 0.3 for hit in engine.search("a cat", min_score=0.3))
        assert engine.search("a cat", min_score=0.99) == []


def test_many_questions_at_once_are_answered_as_one_by_one(index: Path) -> None:
    texts = ["a cat", "a rocket", "a cup of coffee"]
    with SearchEngine.open(index) as engine:
        firsts = [hits[0].path for hits in engine.search_many(texts, k=1)]
        assert firsts == [engine.search(text, k=1)[0].path for text in texts]
        assert engine.search_many([]) == []


@pytest.mark.parametrize("options", [{}, {"rerank": "off"}, {"diverse": True}, {"fold": True}])
def test_asking_for_more_than_there_is_takes_no_more_than_there_is(
    index: Path, options: dict[str, Any]
) -> None:
    with SearchEngine.open(index) as engine:
        every = engine.search("a cat", k=100, **options)
        assert len(every) <= 18
        asked = engine.search("a cat", k=10**19, candidates=10**19, **options)
        assert {hit.path for hit in asked} == {hit.path for hit in every}
        assert engine.search("a cat", k=10**12, offset=10**19, **options) == []
        assert len(engine.browse("type:png", k=10**19)) > 0


@pytest.mark.parametrize("words", ["dog \udcff", "\u200b", "\xad \x07", "\ue000"])
def test_what_holds_no_words_is_refused(index: Path, words: str) -> None:
    with SearchEngine.open(index) as engine, pytest.raises(ValueError, match="The question is"):
        engine.search(words)


def test_signs_alone_are_said_to_be_no_words(index: Path, caplog: pytest.LogCaptureFixture) -> None:
    with SearchEngine.open(index) as engine:
        engine.search("🐶")
    told = [record.message for record in caplog.records]
    assert told == ["The model reads words, of which the question has none."]


def test_without_an_index_the_error_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(IndexMissingError, match="There is no index in"):
        SearchEngine.open(tmp_path / "nothing")
    Catalog.create(tmp_path / "empty" / "catalog.sqlite").close()
    with pytest.raises(IndexMissingError, match="is empty"):
        SearchEngine.open(tmp_path / "empty")


def test_another_model_is_refused_by_both_names(index: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(COMPACT_DIR, other)
    config = (other / "config.json").read_text().replace("bicubic", "bilinear")
    (other / "config.json").write_text(config)
    with pytest.raises(EncoderMismatchError, match=r"compact.*other-model"):
        SearchEngine.open(index, encoder=CompactEncoder(other, "other-model"))
    with pytest.raises(EncoderMismatchError, match="compact"):
        index_folders([tmp_path / "photos"], index, model=str(other))


def test_an_open_engine_sees_what_comes_and_goes(index: Path, photos: Path) -> None:
    with SearchEngine.open(index) as engine:
        assert engine.search("a cat", k=1)[0].path.stem == "chelsea"
        remove_folder(photos / "chelsea.png", index)
        assert engine.search("a cat", k=1)[0].path.stem != "chelsea"
        shutil.copy(photos / "chelsea.png", photos / "again.png")
        index_folders([photos / "again.png"], index)
        assert engine.search("a cat", k=1)[0].path.stem == "again"


def test_eight_threads_ask_while_pictures_come_in(index: Path, photos: Path) -> None:
    failures: list[BaseException] = []
    done = threading.Event()

    def ask(engine: SearchEngine) -> None:
        try:
            while not done.is_set():
                assert engine.search("a cat", k=1)[0].path.stem.startswith("chelsea")
        except BaseException as error:
            failures.append(error)

    with SearchEngine.open(index) as engine:
        threads = [threading.Thread(target=ask, args=(engine,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for number in range(5):
            shutil.copy(photos / "moon.png", photos / f"moon_{number}.png")
            index_folders([photos], index)
        done.set()
        for thread in threads:
            thread.join()
    assert failures == []
