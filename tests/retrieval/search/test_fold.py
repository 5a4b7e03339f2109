"""Copies and bursts fold into the best of them; nothing else does, and nothing is lost."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from indexer import index_folders
from retrieval import SearchEngine
from retrieval.images.facts import ImageMetadata
from retrieval.search.fold import FoldRule, fold, rule_for
from retrieval.search.hit import Hit
from samples.photos import copy_photos

RULE = FoldRule(0.95, 0.8)
NOON = datetime(2021, 7, 18, 12)


def hit(item_id: int, rank: int, taken_at: datetime | None = None) -> Hit:
    return Hit(
        rank, 1.0 - rank / 100, Path(f"/{item_id}.jpg"), item_id, 0.5, 4, 3,
        metadata=ImageMetadata(taken_at=taken_at),
    )  # fmt: skip


def at_cosine(cosine: float) -> np.ndarray:
    """A vector of that cosine with the first axis."""
    return np.array([cosine, np.sqrt(1 - cosine**2), 0], dtype=np.float32)


@pytest.mark.parametrize(
    ("cosine", "gap_s", "folds"),
    [
        (0.96, None, True), (0.94, None, False), (0.96, 1e6, True),
        (0.85, 59, True), (0.85, 61, False), (0.85, -59, True), (0.85, None, False),
        (0.79, 1, False),
    ],
)  # fmt: skip
def test_copies_fold_whenever_and_bursts_within_a_minute(
    cosine: float, gap_s: float | None, folds: bool
) -> None:
    later = None if gap_s is None else NOON + timedelta(seconds=gap_s)
    hits = [hit(1, 1, NOON), hit(2, 2, later)]
    found = fold(hits, {1: at_cosine(1.0), 2: at_cosine(cosine)}, RULE)
    assert [one.item_id for one in found] == ([1] if folds else [1, 2])
    assert [one.item_id for one in found[0].like] == ([2] if folds else [])


def moment(video: str, item_id: int) -> Hit:
    return Hit(item_id, 1.0 - item_id / 100, Path(video), item_id, 0.5, 4, 3, time_ms=item_id)


def test_videos_that_share_a_shot_are_two_answers_and_a_copied_video_is_one() -> None:
    title, ones_own, anothers_own = np.eye(3, dtype=np.float32)
    # Both begin with the title; the copy's second shot stands before the original's.
    hits = [
        moment("/a.mp4", 1), moment("/b.mp4", 2), moment("/copy.mp4", 3),
        moment("/copy.mp4", 4), moment("/a.mp4", 5), moment("/b.mp4", 6),
    ]  # fmt: skip
    shown = [title, title, title, ones_own, ones_own, anothers_own]
    found = fold(hits, dict(zip(range(1, 7), shown, strict=True)), RULE)
    assert [(one.path.name, [other.item_id for other in one.like]) for one in found] == [
        ("a.mp4", [2, 3, 4, 5]),
        ("b.mp4", []),
    ]
    assert found[1].item_id == 6


@settings(deadline=None)
@given(st.lists(st.integers(0, 90), max_size=30), st.sets(st.integers(0, 29)))
def test_every_answer_comes_once_and_the_first_of_a_group_leads(
    degrees: list[int], without_vector: set[int]
) -> None:
    hits = [hit(number, number + 1) for number in range(len(degrees))]
    vectors = {
        number: at_cosine(float(np.cos(np.radians(degree))))
        for number, degree in enumerate(degrees)
        if number not in without_vector
    }
    found = fold(hits, vectors, RULE)
    assert [one.rank for one in found] == list(range(1, len(found) + 1))
    told = [other for one in found for other in (one, *one.like)]
    assert sorted(other.item_id for other in told) == list(range(len(degrees)))
    leaders = [one.item_id for one in found]
    assert leaders == sorted(leaders)
    for one in found:
        assert all(other.item_id > one.item_id for other in one.like)
        for other in one.like:
            assert vectors[one.item_id] @ vectors[other.item_id] >= RULE.copy_cosine - 1e-6
    # Folding again what is left changes nothing.
    assert [one.item_id for one in fold(found, vectors, RULE)] == leaders


@pytest.fixture(scope="module")
def index_with_copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, with twelve copies of the cat in other sizes."""
    folder = tmp_path_factory.mktemp("copies")
    copy_photos(folder / "photos")
    with Image.open(folder / "photos" / "chelsea.png") as image:
        for number in range(12):
            side = 300 - 5 * number
            small = image.convert("RGB").resize((side, side * image.height // image.width))
            small.save(folder / "photos" / f"copy{number}.jpg", quality=90)
    index_folders([folder / "photos"], folder / "index")
    return folder / "index"


def test_folded_answers_are_as_many_as_are_asked_for_and_pages_fit(
    index_with_copies: Path,
) -> None:
    with SearchEngine.open(index_with_copies) as engine:
        assert rule_for(engine.encoder.space.name) != rule_for("another")
        plain = engine.search("a cat", k=8)
        assert {one.path.stem[:4] for one in plain} <= {"chel", "copy"}
        folded = engine.search("a cat", k=8, fold=True)
        assert [one.rank for one in folded] == list(range(1, 9))
        assert folded[0].path == plain[0].path
        assert len(folded[0].like) == 12
        assert [one.score for one in folded[0].like] == sorted(
            (one.score for one in folded[0].like), reverse=True
        )
        pages = [
            one
            for offset in (0, 3, 6)
            for one in engine.search("a cat", k=3, offset=offset, fold=True)
        ]
        assert [one.item_id for one in pages[:8]] == [one.item_id for one in folded]
        together = engine.search_many(["a cat", "a rocket"], k=8, fold=True)
        assert together[0] == folded
        assert together[1] == engine.search("a rocket", k=8, fold=True)
        assert folded[0].like == together[0][0].like
        everything = engine.search("a cat", k=1000, fold=True)
        assert sum(1 + len(one.like) for one in everything) == len(engine.search("a cat", k=1000))
        assert "+12 like this" in folded[0]._repr_html_()
