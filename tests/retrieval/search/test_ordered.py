"""Questions about order find the video in which things happen in that order, with the moments."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer import index_folders
from retrieval import SearchEngine
from retrieval.errors import MmsearchError
from retrieval.query.query import Query
from retrieval.query.sequence import read_question
from retrieval.search.ordered import match_in_order
from samples.clips import Shot, write_clip


@pytest.fixture(scope="module")
def engine(photos: Path, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """Two videos of the same shots in either order, and pictures beside them."""
    folder = tmp_path_factory.mktemp("videos")
    shots = [Shot(photos / f"{name}", 1.5, "zoom") for name in ("chelsea.png", "coffee.png")]
    write_clip(folder / "cat-first.mp4", [*shots, Shot(photos / "rocket.jpg", 1.5, "zoom")])
    write_clip(folder / "cup-first.mp4", [*shots[::-1], Shot(photos / "rocket.jpg", 1.5, "zoom")])
    (folder / "cat.png").write_bytes((photos / "chelsea.png").read_bytes())
    index_dir = tmp_path_factory.mktemp("index")
    index_folders([folder], index_dir)
    with SearchEngine.open(index_dir) as engine:
        yield engine


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("a cat, then a cup of coffee", "cat-first.mp4"),
        ("a cup of coffee and then a cat", "cup-first.mp4"),
        ("a cup of coffee, then a cat, then a rocket", "cup-first.mp4"),
    ],
)
def test_the_video_in_which_it_happens_in_that_order_comes_first(
    engine: SearchEngine, question: str, first: str
) -> None:
    hits = engine.search(question)
    assert [hit.path.suffix for hit in hits] == [".mp4", ".mp4"]
    best = hits[0]
    assert best.path.name == first
    times = [hit.time_ms for hit in (best, *best.like)]
    assert times == sorted(times) and len(set(times)) == len(times)
    assert best.span_ms == (times[0], times[-1])
    assert [hit.question for hit in (best, *best.like)] == [
        step.words for step in (read_question(question), *read_question(question).following)
    ]


def test_each_step_is_a_question_of_its_own(engine: SearchEngine) -> None:
    query = Query.of("a cup of coffee").then(Query.of("an animal").minus("a rocket"))
    assert engine.search(query, 1)[0].path.name == "cup-first.mp4"
    with pytest.raises(ValueError, match="first step"):
        from retrieval.query.filters import Megapixels

        Query.of("a cat").then(Query.of("a dog").where(Megapixels()))


def test_conditions_and_pages_hold_for_questions_about_order(engine: SearchEngine) -> None:
    question = "a cat, then a cup of coffee"
    assert [hit.path.name for hit in engine.search(question, filter="name:cup*")] == [
        "cup-first.mp4"
    ]
    assert [hit.rank for hit in engine.search(question, 1, offset=1)] == [2]
    assert not engine.search(question, filter="type:png")


def test_an_index_without_videos_answers_with_pictures(photo_index: Path) -> None:
    with SearchEngine.open(photo_index) as engine:
        assert engine.search("a cat, then a rocket", 3)[0].path.name


def test_moments_of_one_video_fold_into_the_best_with_their_span(engine: SearchEngine) -> None:
    hits = engine.search("a rocket", fold=True)
    videos = [hit for hit in hits if hit.time_ms is not None]
    assert len({hit.path for hit in videos}) == len(videos)
    for hit in videos:
        assert hit.span_ms is not None
        own = [other.time_ms for other in (hit, *hit.like) if other.path == hit.path]
        assert hit.span_ms == (min(own), max(own))  # type: ignore[type-var]


def test_the_moments_of_a_video_come_in_their_order(engine: SearchEngine) -> None:
    path = engine.search("a rocket", filter="type:mp4")[0].path
    times = [hit.time_ms for hit in engine.moments(path)]
    assert len(times) >= 3 and times == sorted(times)
    with pytest.raises(MmsearchError, match="not a video"):
        engine.moments(path.with_name("cat.png"))
    with pytest.raises(MmsearchError, match="not indexed"):
        engine.moments(path.with_name("gone.mp4"))


def test_explanations_and_the_second_look_work_on_moments(engine: SearchEngine) -> None:
    hit = engine.search("a cat", filter="type:mp4")[0]
    assert hit.reranker is not None and engine.explain(hit) is not None


def test_what_tells_of_no_order_is_one_question() -> None:
    for text in ("now and then a bird", "a dog then", "then a dog", "a lengthen, strengthen"):
        assert not read_question(text).following
    query = read_question("a dog runs without a leash, and then jumps; then swims")
    assert [step.words for step in (query, *query.following)] == ["a dog runs", "jumps", "swims"]
    assert query.unwanted


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3), st.integers(1, 7), st.integers(0, 1000), st.sampled_from([0.0, 5.0]))
def test_the_match_is_the_best_of_all_that_keep_the_order(
    steps: int, moments: int, seed: int, cost: float
) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(steps, moments))
    times = np.sort(rng.choice(60_000, moments, replace=False)).tolist()
    found = match_in_order(scores, times, cost)
    if moments < steps:
        assert found is None
        return
    assert found is not None
    worth = {
        rows: (
            sum(scores[step, row] for step, row in enumerate(rows))
            - cost / 60_000 * (times[rows[-1]] - times[rows[0]])
        )
        / steps
        for rows in combinations(range(moments), steps)
    }
    assert found.rows in worth
    assert found.score == pytest.approx(max(worth.values()))
    assert worth[found.rows] == pytest.approx(found.score)
