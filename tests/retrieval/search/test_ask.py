"""Questions about pictures through an engine: kept tokens or files, one or many."""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from indexer import index_folders
from retrieval.catalog import Catalog
from retrieval.errors import ImageError, MmsearchError, QueryError, UnknownModelError
from retrieval.search.ask import Asker
from retrieval.search.engine import SearchEngine
from retrieval.storage.index_dir import IndexDir
from samples.clips import Shot, write_clip
from tests.support.small_encoder import ColorEncoder


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


@pytest.fixture
def cat(photos: Path, tmp_path: Path) -> Path:
    """An indexed picture of a cat that may be changed; the index is `index` beside its folder."""
    path = tmp_path / "photos" / "cat.png"
    path.parent.mkdir()
    shutil.copy(photos / "chelsea.png", path)
    index_folders([path.parent], tmp_path / "index")
    return path


def test_of_an_answer_what_the_index_keeps_is_enough(cat: Path, tmp_path: Path) -> None:
    cat.unlink()
    with SearchEngine.open(tmp_path / "index") as engine:
        assert engine.ask("is there a cat?", engine.search("a cat", 1)[0]).text == "yes"


def test_a_path_stands_for_the_file_as_it_is(cat: Path, photos: Path, tmp_path: Path) -> None:
    with SearchEngine.open(tmp_path / "index") as engine:
        assert engine.ask("is there a cat?", cat).text == "yes"
        shutil.copy(photos / "rocket.jpg", cat)
        assert engine.ask("is there a cat?", cat).text == "no"
        cat.unlink()
        with pytest.raises(ImageError, match=r"cat\.png cannot be read"):
            engine.ask("is there a cat?", cat)
        assert engine.ask_many("is there a cat?", [cat]) == [None]


def test_what_was_imported_from_elsewhere_is_asked_without_a_file(
    cat: Path, tmp_path: Path
) -> None:
    cat.unlink()
    with (
        Catalog.open(IndexDir(tmp_path / "index").catalog) as catalog,
        catalog.transaction() as change,
    ):
        change.set_elsewhere([cat.parent])
    with SearchEngine.open(tmp_path / "index") as engine:
        assert engine.ask("is there a cat?", cat).text == "yes"


@pytest.fixture(scope="module")
def clips(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a video of a cat and then of a rocket, and an index of it."""
    folder = tmp_path_factory.mktemp("clips")
    shots = [Shot(photos / name, 1.5, "still") for name in ("chelsea.png", "rocket.jpg")]
    write_clip(folder / "clips" / "clip.mp4", shots)
    shutil.copy(photos / "chelsea.png", folder / "clips")
    index_folders([folder / "clips"], folder / "index")
    return folder


def test_a_moment_of_a_video_is_asked_whether_or_not_the_index_keeps_enough(
    clips: Path, tmp_path: Path
) -> None:
    video = clips / "clips" / "clip.mp4"
    with SearchEngine.open(clips / "index") as engine:
        moments = engine.moments(video)
        found = engine.ask_many("is there a cat?", moments)
        # The path stands for the first of them.
        assert engine.ask("is there a cat?", video).text == "yes"
    assert [one and one.text for one in found] == ["yes", "no"]
    # Without an index, from the frames.
    with Asker() as asker:
        found = asker.many("is there a cat?", moments)
        assert [one and one.text for one in found] == ["yes", "no"]
        with pytest.raises(ImageError, match="is a video that is not indexed"):
            asker.one("is there a cat?", video)
        gone = dataclasses.replace(moments[0], path=tmp_path / "gone.mp4")
        with pytest.raises(ImageError, match=r"gone\.mp4 cannot be used"):
            asker.one("is there a cat?", gone)


def test_a_video_is_asked_where_the_index_keeps_no_patches(photos: Path, tmp_path: Path) -> None:
    video = tmp_path / "clips" / "clip.mp4"
    write_clip(video, [Shot(photos / "chelsea.png", 1.5, "still")])
    encoder = ColorEncoder()
    index_folders([video.parent], tmp_path / "index", encoder=encoder)
    with SearchEngine.open(tmp_path / "index", encoder=encoder) as engine:
        assert engine.ask("is there a cat?", video).text == "yes"
        found = engine.ask_results("is there a cat?", "type:mp4")
        assert [one.answer and one.answer.text for one in found] == ["yes"]


def test_words_of_what_is_asked_may_have_conditions(clips: Path) -> None:
    with SearchEngine.open(clips / "index") as engine:
        for query in ("type:mp4 a cat", "type:mp4"):
            found = engine.ask_results("is there a cat?", query)
            assert {one.hit.path.name for one in found} == {"clip.mp4"} and len(found) == 2
        pictures = engine.ask_results("is there a cat?", "a cat -type:mp4")
        assert [one.hit.path.name for one in pictures] == ["chelsea.png"]
        both = engine.ask_results("is there a cat?", "type:mp4", filter="type:png")
        assert both == []
        which = engine.ask_results("which of my photos has a cat?", "type:mp4")
        assert [(one.hit.path.name, one.hit.time_ms is not None) for one in which] == [
            ("clip.mp4", True)
        ]
        none = engine.ask_results("which of my photos has no cat?", "a rocket -type:png")
        assert [one.answer and one.answer.text for one in none] == ["no"]
        with pytest.raises(QueryError, match="did you mean 'type'"):
            engine.ask_results("is there a cat?", "tyep:mp4")
        with pytest.raises(MmsearchError, match="No picture below"):
            engine.ask_results("is there a cat?", "type:mp4", within="/no/such/folder")
        with pytest.raises(ValueError, match="empty"):
            engine.ask_results("is there a cat?", "  ")


def test_a_file_that_is_no_picture_is_not_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(6 * 2**30)
    os.mkfifo(tmp_path / "pipe.jpg")
    with Asker() as asker:
        for name, reason in (
            ("huge.jpg", "larger than 1 GiB"),
            ("pipe.jpg", "no regular file"),
            ("/dev/zero", "no regular file"),
        ):
            with pytest.raises(ImageError, match=reason):
                asker.one("is there a cat?", tmp_path / name)


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
    with pytest.raises(ValueError, match="not UTF-8"):
        engine.ask("is there a cat \udcff?", cat)
    with pytest.raises(ValueError, match="not UTF-8"):
        engine.ask_results("is there a cat?", "a cat \udcff")
    with pytest.raises(QueryError, match="of each of them ask 'is there a cat\\?'"):
        engine.ask("which of my photos has a cat?", cat)
    with pytest.raises(TypeError):
        engine.ask(3, cat)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        engine.ask_results(3)  # type: ignore[arg-type]
    with pytest.raises(UnknownModelError):
        engine.ask("is it red?", cat, answerer="oracle")
    with pytest.raises(QueryError) as refused:
        engine.ask("why?", cat)
    assert isinstance(refused.value, MmsearchError) and refused.value.code == "question-kind"


def test_files_are_asked_without_an_index(photos: Path) -> None:
    with Asker() as asker:
        found = asker.many("is there a cat?", [photos / "chelsea.png", photos / "rocket.jpg"])
        assert [one and one.text for one in found] == ["yes", "no"]
