"""Composed questions on real photographs: what is wanted together, what is not wanted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from retrieval.fusion.vectors import weighted_average
from retrieval.query.filters import FileType
from retrieval.query.query import Query
from retrieval.search.compose import push_back, reciprocal_ranks
from retrieval.search.engine import SearchEngine
from tests.support.program import mmsearch

orders = st.lists(st.permutations(range(8)), min_size=1, max_size=4)


def unit(*rows: list[float]) -> np.ndarray:
    vectors = np.array(rows, dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_an_average_lies_between_and_has_unit_length() -> None:
    fused = weighted_average(unit([1, 0], [0, 1]), [3.0, 1.0])
    assert np.linalg.norm(fused) == pytest.approx(1)
    assert fused[0, 0] == pytest.approx(3 * fused[0, 1])
    assert weighted_average(unit([1, 0], [-1, 0]), [1.0, 1.0]).tolist() == [[1.0, 0.0]]


@given(orders)
def test_what_is_first_everywhere_is_first_and_scores_one(rankings: list[list[int]]) -> None:
    rankings = [[99, *ranking] for ranking in rankings]
    scores = reciprocal_ranks(rankings, [1.0] * len(rankings))
    assert scores[99] == pytest.approx(1)
    assert max(scores, key=scores.__getitem__) == 99
    assert all(0 < score <= 1 + 1e-9 for score in scores.values())


@given(
    st.lists(st.lists(st.floats(-1, 1, width=16), min_size=3, max_size=3).filter(any), min_size=1)
)
def test_only_what_shows_the_unwanted_is_pushed_back(rows: list[list[float]]) -> None:
    candidates = unit(*rows)
    taken = push_back(candidates, unit([1, 0, 0]), [1.0])
    assert (taken >= 0).all()
    shown = candidates[:, 0]
    # Whatever shows more of it loses no less.
    assert (np.diff(taken[np.argsort(shown, kind="stable")]) >= -1e-9).all()
    assert len(push_back(np.empty((0, 3), np.float32), unit([1, 0, 0]), [1.0])) == 0


@pytest.fixture(scope="module")
def engine(photo_index: Path):  # type: ignore[no-untyped-def]
    with SearchEngine.open(photo_index) as opened:
        yield opened


def names(hits: list) -> list[str]:  # type: ignore[type-arg]
    return [hit.path.name for hit in hits]


def test_a_question_of_one_part_answers_as_its_words_do(engine: SearchEngine) -> None:
    assert engine.search(Query.of("a cat"), k=5) == engine.search("a cat", k=5)


def test_what_is_not_wanted_goes_back_and_the_rest_stays(engine: SearchEngine) -> None:
    plain = names(engine.search("an animal or a vehicle", k=18))
    pushed = names(engine.search(Query.of("an animal or a vehicle").minus("cat"), k=18))
    assert pushed.index("chelsea.png") > plain.index("chelsea.png")
    assert sorted(pushed) == sorted(plain)
    said = names(engine.search("an animal or a vehicle without a cat", k=18))
    assert said == pushed
    literal = engine.search(Query.of("an animal or a vehicle without a cat"), k=3)
    assert literal[0].question == "an animal or a vehicle without a cat"


def test_words_and_a_picture_ask_together(engine: SearchEngine, photos: Path) -> None:
    cat, rocket = photos / "chelsea.png", photos / "rocket.jpg"
    both = Query.of("a rocket").like(cat)
    for fusion in ("average", "rrf"):
        found = names(engine.search(both, k=5, fusion=fusion))
        assert {"rocket.jpg", "chelsea.png"} <= set(found)
    mostly = engine.search(Query.of("a rocket", 0.05).like(cat, 5), k=1)
    assert mostly[0].path == cat
    with Image.open(rocket) as opened:
        assert engine.search(Query.of(opened), k=1)[0].path == rocket


def test_a_question_carries_its_filter(engine: SearchEngine) -> None:
    only = Query.of("a cat").where(FileType("jpg"))
    assert {hit.path.suffix for hit in engine.search(only, k=5)} == {".jpg"}
    assert engine.search(only, k=5, filter="-type:jpg") == []
    assert engine.search_many([only, "a cat"], k=2) == [
        engine.search(only, k=2),
        engine.search("a cat", k=2),
    ]
    with pytest.raises(ValueError, match="fusion is one of average, rrf"):
        engine.search(only, fusion="concat")  # type: ignore[arg-type]


def test_the_command_composes(photo_index: Path, photos: Path) -> None:
    def ask(*arguments: str | Path) -> list[str]:
        done = mmsearch("query", *arguments, "--json", "-k", "18", index_dir=photo_index)
        assert done.returncode == 0, done.stderr
        return [Path(hit["path"]).name for hit in json.loads(done.stdout)]

    plain = ask("an animal or a vehicle")
    assert ask("an animal or a vehicle", "--not", "cat") == ask(
        "an animal or a vehicle without a cat"
    )
    assert ask("an animal or a vehicle", "--not", "cat") != plain
    assert "chelsea.png" in ask("a rocket", "--like", photos / "chelsea.png")[:3]
    assert ask("--like", photos / "chelsea.png")[0] == "chelsea.png"
    refused = mmsearch("query", "a cat", "--not", " ", index_dir=photo_index)
    assert (refused.returncode, "--not is empty" in refused.stderr) == (2, True)
