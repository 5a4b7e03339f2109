"""What holds of an engine holds of a client: each test runs against both."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from indexer import index_folders
from mmsearch import (
    Client,
    Feedback,
    ImageError,
    MmsearchError,
    Query,
    QueryError,
    SearchEngine,
    UnknownModelError,
    parse_filter,
)
from samples.clips import Shot, write_clip
from tests.web.conftest import serving
from web.settings import ServeSettings

Engine = SearchEngine | Client


@pytest.fixture(params=["embedded", "remote"])
def engine(request: pytest.FixtureRequest, web_index: Path, address: str) -> Iterator[Engine]:
    opened: Engine = (
        SearchEngine.open(web_index) if request.param == "embedded" else Client(address)
    )
    with opened:
        yield opened


def test_the_right_photograph_comes_first(engine: Engine) -> None:
    hits = engine.search("a cat", k=3)
    assert hits[0].path.stem == "chelsea"
    assert [hit.rank for hit in hits] == [1, 2, 3]
    assert hits[0].question == "a cat"


def test_a_picture_finds_itself(engine: Engine, photos: Path) -> None:
    path = photos / "coffee.png"
    with Image.open(path) as image:
        for question in (path, image):
            hit = engine.search(question, k=1)[0]
            assert hit.path == path and hit.question is None
            assert hit.similarity > 0.98


def test_conditions_restrict_the_answers(engine: Engine, photos: Path) -> None:
    assert all(hit.path.suffix == ".png" for hit in engine.search("a cat", filter="type:png"))
    dated = engine.search("a cat", k=50, after=datetime(2009, 1, 1), before=datetime(2010, 1, 1))
    assert {hit.path.stem for hit in dated} == {"chelsea"}
    one = engine.search("a cat", within=photos / "rocket.jpg")
    assert [hit.path.name for hit in one] == ["rocket.jpg"]
    newest = engine.browse(parse_filter("after:2000"), k=2)
    assert newest[0].taken_at > newest[1].taken_at  # type: ignore[operator]


def test_pages_follow_one_another(engine: Engine) -> None:
    whole = engine.search("a cat", k=12)
    assert engine.search("a cat", k=6, offset=6) == whole[6:]
    assert list(islice(engine.iter_hits("a cat", page=5), 12)) == whole
    assert len(list(engine.iter_hits("a cat"))) == len(engine.search("a cat", k=500))


def test_similar_leaves_the_picture_itself_out(engine: Engine, photos: Path) -> None:
    hit = engine.search("a cat", k=1)[0]
    by_hit, by_path = engine.similar(hit, 5), engine.similar(photos / "chelsea.png", 5)
    assert by_hit == by_path and hit.path not in [one.path for one in by_hit]


def test_words_are_explained(engine: Engine) -> None:
    hits = engine.search("a cat", k=2)
    for explanation in engine.explain_many(hits):
        assert explanation is not None and "cat" in explanation.words
        assert np.allclose(explanation.heat.sum(axis=(1, 2)), 1, atol=1e-3)


def test_marks_move_the_question(engine: Engine) -> None:
    plain = engine.search("something round", k=5, rerank="off")
    moved = engine.search(
        "something round", k=5, rerank="off", feedback=Feedback(right=[plain[-1]])
    )
    assert moved[0].path == plain[-1].path


def test_vectors_are_those_that_questions_are_asked_with(engine: Engine) -> None:
    vector = engine.embed_texts(["a cat"])[0]
    assert engine.search(vector, k=3)[0].path.stem == "chelsea"
    hits = engine.search("a cat", k=2)
    assert engine.vectors_of(hits).shape == (2, len(vector))


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda engine: engine.search("  "), ValueError),
        (lambda engine: engine.search(3), TypeError),
        (lambda engine: engine.search("a cat", k=0), ValueError),
        (lambda engine: engine.search("a cat", filter="rating:many"), QueryError),
        (lambda engine: engine.search("a cat", rerank="nobody"), UnknownModelError),
        (lambda engine: engine.search("a cat", within="/no/such/folder"), MmsearchError),
        (lambda engine: engine.search(Path("/no/such/file.jpg")), ImageError),
        (lambda engine: engine.search("a cat", fusion="none"), ValueError),
        (lambda engine: engine.vectors_of(["/no/such/file.jpg"]), MmsearchError),
        (lambda engine: engine.search("a cat", unknown=1), TypeError),
    ],
)
def test_what_makes_no_sense_is_the_same_error(
    engine: Engine, ask: Callable[[Any], object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        ask(engine)


QUESTIONS: list[Any] = [
    "a cat",
    "a beach without people",
    Query.of("a cat").minus("a person", 0.5),
    Query.of("coffee").like("a rocket", 2.0).where(parse_filter("type:png or type:jpg")),
]


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rerank": "off", "min_score": 0.1},
        {"fold": True, "diverse": True},
        {"diverse": 0.3, "match": "pictures"},
        {"fusion": "rrf", "offset": 3},
    ],
)
def test_both_give_the_very_same_answers(
    web_index: Path, address: str, question: Any, options: dict[str, Any]
) -> None:
    with SearchEngine.open(web_index) as engine, Client(address) as client:
        expected, found = (
            engine.search(question, 6, **options),
            client.search(question, 6, **options),
        )
    assert found == expected
    assert [(hit.relevance, hit.fits, hit.reranker, hit.like) for hit in found] == [
        (hit.relevance, hit.fits, hit.reranker, hit.like) for hit in expected
    ]


def test_no_server_is_one_sentence() -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(MmsearchError) as caught:
        client.search("a cat")
    assert caught.value.code == "no-server"


def test_questions_about_pictures_are_answered(
    engine: Engine, photos: Path, tmp_path: Path
) -> None:
    cat = photos / "chelsea.png"
    copy = tmp_path / "copy.png"
    copy.write_bytes(cat.read_bytes())
    with Image.open(cat) as image:
        for picture in (engine.search("a cat", k=1)[0], cat, str(cat), copy, image):
            answer = engine.ask("what animal is this?", picture)
            assert (answer.text, answer.kind, answer.is_sure) == ("cat", "object", True)
            assert answer.others[0][1] < answer.confidence <= 1
    found = engine.ask_results("which of my photos has a cat?", k=5)
    assert "chelsea" in [one.hit.path.stem for one in found]
    asked = engine.ask_results("is there a cat?", "a cat", 2)
    assert len(asked) == 2 and asked[0].answer is not None and asked[0].answer.text == "yes"
    for query, suffix in (("type:jpg a cat", ".jpg"), ("type:jpg", ".jpg"), ("-type:jpg", ".png")):
        answered = engine.ask_results("is there a cat?", query)
        assert {one.hit.path.suffix for one in answered} == {suffix}, query
    which = engine.ask_results("which of my photos has a cat?", "an animal", k=5)
    assert "chelsea" in [one.hit.path.stem for one in which]
    assert {one.answer and one.answer.text for one in which} == {"yes"}
    with pytest.raises(ValueError, match="empty"):
        engine.ask_results("is there a cat?", " ")
    with pytest.raises(QueryError, match="did you mean 'type'"):
        engine.ask_results("is there a cat?", "tyep:jpg")
    with pytest.raises(QueryError, match="of each of them ask"):
        engine.ask("which of my photos has a cat?", cat)
    with pytest.raises(ImageError, match="no regular file"):
        engine.ask("is there a cat?", Path("/dev/zero"))
    with pytest.raises(QueryError, match="cannot answer"):
        engine.ask("why?", cat)
    with pytest.raises(QueryError, match="which pictures"):
        engine.ask_results("how many cats?")


def test_a_path_stands_for_its_file_as_it_is(photos: Path, tmp_path: Path) -> None:
    cat = tmp_path / "photos" / "cat.png"
    cat.parent.mkdir()
    shutil.copy(photos / "chelsea.png", cat)
    index_folders([cat.parent], tmp_path / "index")
    with (
        serving(ServeSettings(tmp_path / "index", port=0)) as address,
        SearchEngine.open(tmp_path / "index") as own,
        Client(address) as client,
    ):
        for engine in (own, client):
            assert engine.ask("is there a cat?", cat).text == "yes"
        shutil.copy(photos / "rocket.jpg", cat)
        for engine in (own, client):
            assert engine.ask("is there a cat?", cat).text == "no"
        # A server gives what it keeps, and looks into no file that is not as it was indexed.
        asked = {"question": "is there a cat?", "pictures": [str(cat)]}
        told = httpx.post(f"{address}/api/ask", json=asked)
        assert told.status_code == 404 and told.json()["error"]["code"] == "changed"
        cat.unlink()
        for engine in (own, client):
            with pytest.raises(ImageError, match=r"cat\.png cannot be read"):
                engine.ask("is there a cat?", cat)
            assert engine.ask("is there a cat?", engine.search("a cat", 1)[0]).text == "yes"


def test_a_moment_that_is_asked_has_its_time(photos: Path, tmp_path: Path) -> None:
    shots = [Shot(photos / name, 1.5, "still") for name in ("rocket.jpg", "chelsea.png")]
    write_clip(tmp_path / "clips" / "clip.mp4", shots)
    index_folders([tmp_path / "clips"], tmp_path / "index")
    with (
        serving(ServeSettings(tmp_path / "index", port=0)) as address,
        SearchEngine.open(tmp_path / "index") as own,
        Client(address) as client,
    ):
        for engine in (own, client):
            found = engine.ask_results("which of my photos has a cat?")
            assert [(one.hit.time_ms or 0) >= 1500 for one in found] == [True]
