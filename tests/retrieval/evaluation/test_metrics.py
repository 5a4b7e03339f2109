"""The measures of a ranking, against an independent library and their own invariants."""

from __future__ import annotations

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import RR, Success, nDCG
from scipy.stats import rankdata

from retrieval.evaluation.metrics import (
    Ranks,
    hits_at,
    ndcg_at,
    paired_difference,
    rank_right_answers,
    reciprocal_ranks,
    summarise,
)


def _captions_and_pictures(
    seed: int, images: int = 40, captions: int = 5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores (pictures, captions of all), and both sides' groups; every score is different."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(images), captions)
    scores = rng.permutation(images * len(owner)).reshape(images, len(owner)) / 1000.0
    scores[np.arange(images)[:, None] == owner] += rng.uniform(0, 8, size=len(owner))
    return scores, np.arange(images), owner


@st.composite
def _any_scores(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Small matrices with many ties; every question has at least one right item."""
    groups = draw(st.integers(1, 5))
    extra = draw(st.lists(st.integers(0, groups - 1), max_size=12))
    items = np.array([*range(groups), *extra])
    questions = np.array(draw(st.lists(st.integers(0, groups - 1), min_size=1, max_size=8)))
    cells = draw(
        st.lists(
            st.integers(-3, 3),
            min_size=len(questions) * len(items),
            max_size=len(questions) * len(items),
        )
    )
    return np.array(cells, float).reshape(len(questions), len(items)), questions, items


@pytest.mark.parametrize("direction", ["image to text", "text to image"])
def test_the_measures_agree_with_ir_measures_on_the_same_run(direction: str) -> None:
    scores, questions, items = _captions_and_pictures(seed=3)
    if direction == "text to image":
        scores, questions, items = scores.T, items, questions
    ranks = rank_right_answers(scores, questions, items)

    qrels = {
        f"q{q}": {f"i{i}": 1 for i in np.flatnonzero(items == group)}
        for q, group in enumerate(questions)
    }
    run = {
        f"q{q}": {f"i{i}": float(score) for i, score in enumerate(row)}
        for q, row in enumerate(scores)
    }
    theirs = ir_measures.calc_aggregate(
        [Success @ 1, Success @ 5, Success @ 10, RR, nDCG @ 10], qrels, run
    )

    assert hits_at(ranks, 1).mean() == pytest.approx(theirs[Success @ 1])
    assert hits_at(ranks, 5).mean() == pytest.approx(theirs[Success @ 5])
    assert hits_at(ranks, 10).mean() == pytest.approx(theirs[Success @ 10])
    assert reciprocal_ranks(ranks).mean() == pytest.approx(theirs[RR])
    assert ndcg_at(ranks, 10).mean() == pytest.approx(theirs[nDCG @ 10])


def test_ranks_agree_with_scipy_where_no_scores_tie() -> None:
    scores, questions, items = _captions_and_pictures(seed=4)
    places = rankdata(-scores, axis=1, method="max").astype(int)
    expected = [sorted(row[items == group]) for row, group in zip(places, questions, strict=True)]
    assert rank_right_answers(scores, questions, items).all.tolist() == expected


def test_among_equal_scores_the_right_answer_comes_last() -> None:
    ranks = rank_right_answers(np.ones((2, 4)), np.array([0, 3]), np.arange(4))
    assert ranks.first.tolist() == [4, 4]


def test_the_best_placed_of_several_captions_counts() -> None:
    scores = np.array([[0.1, 0.9, 0.8, 0.2]])
    ranks = rank_right_answers(scores, np.array([7]), np.array([7, 1, 7, 1]))
    assert ranks.all.tolist() == [[2, 4]]
    assert ranks.first.tolist() == [2]


def test_questions_with_unequal_numbers_of_captions_are_padded_with_zero() -> None:
    scores = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    ranks = rank_right_answers(scores, np.array([0, 1]), np.array([0, 0, 1]))
    assert ranks.all.tolist() == [[1, 2], [3, 0]]
    assert ndcg_at(ranks, 10).tolist() == pytest.approx([1.0, 0.5])


def test_a_question_without_a_right_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="no right answer"):
        rank_right_answers(np.ones((1, 2)), np.array([5]), np.array([0, 1]))


def test_a_nan_among_the_scores_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        rank_right_answers(np.array([[np.nan, 1.0]]), np.array([0]), np.array([0, 1]))


def test_scores_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="scores"):
        rank_right_answers(np.ones((2, 2)), np.array([0]), np.array([0, 1]))


def test_nothing_to_summarise_is_refused() -> None:
    with pytest.raises(ValueError, match="no questions"):
        summarise(Ranks(np.zeros((0, 1), np.int64), np.zeros(0, np.int64)))


@given(_any_scores())
def test_ranks_lie_between_one_and_the_number_of_items(
    case: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    ranks = rank_right_answers(*case)
    right = (case[1][:, None] == case[2]).sum(axis=1)
    assert ((ranks.all > 0).sum(axis=1) == right).all()
    assert (ranks.first >= 1).all()
    assert ranks.all.max() <= len(case[2])
    assert all((np.diff(row[row > 0]) > 0).all() for row in ranks.all)


@given(_any_scores(), st.integers(1, 12))
def test_recall_grows_with_k_and_every_measure_lies_between_nought_and_one(
    case: tuple[np.ndarray, np.ndarray, np.ndarray], k: int
) -> None:
    ranks = rank_right_answers(*case)
    assert (hits_at(ranks, k) <= hits_at(ranks, k + 1)).all()
    for values in (hits_at(ranks, k), reciprocal_ranks(ranks), ndcg_at(ranks, k)):
        assert ((values >= 0) & (values <= 1 + 1e-12)).all()


@given(_any_scores(), st.randoms(use_true_random=False))
def test_the_order_in_which_items_stand_does_not_matter(
    case: tuple[np.ndarray, np.ndarray, np.ndarray], random: object
) -> None:
    scores, questions, items = case
    order = list(range(len(items)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = rank_right_answers(scores[:, order], questions, items[order])
    assert shuffled.all.tolist() == rank_right_answers(scores, questions, items).all.tolist()


@given(_any_scores())
def test_only_the_order_of_scores_matters(
    case: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    scores, questions, items = case
    stretched = rank_right_answers(np.exp(scores) * 3 - 1, questions, items)
    assert stretched.all.tolist() == rank_right_answers(scores, questions, items).all.tolist()


@given(_any_scores(), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_an_interval_lies_within_the_range_of_the_measure(
    case: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int
) -> None:
    summary = summarise(rank_right_answers(*case), seed=seed, samples=50)
    for recall in (summary.recall_at_1, summary.recall_at_10, summary.mrr, summary.ndcg_at_10):
        assert 0 <= recall.low <= recall.high <= 1 + 1e-12
    assert 1 <= summary.median_rank.low <= summary.median_rank.high <= len(case[2])


def test_an_interval_widens_where_captions_of_a_picture_agree() -> None:
    """Five equal captions carry the information of one: groups, not questions, are drawn."""
    rng = np.random.default_rng(0)
    first = np.repeat(np.where(rng.random(200) < 0.4, 1, 30), 5)[:, None]
    clustered = summarise(Ranks(first, np.repeat(np.arange(200), 5))).recall_at_1
    alone = summarise(Ranks(first, np.arange(1000))).recall_at_1
    assert clustered.value == alone.value
    assert clustered.high - clustered.low == pytest.approx(
        np.sqrt(5) * (alone.high - alone.low), rel=0.15
    )


def test_the_bootstrap_interval_of_a_proportion_agrees_with_the_normal_one() -> None:
    first = np.where(np.arange(1000) < 300, 1, 9)[:, None]
    recall = summarise(Ranks(first, np.arange(1000)), samples=4000).recall_at_1
    half = 1.96 * np.sqrt(0.3 * 0.7 / 1000)
    assert (recall.low, recall.high) == pytest.approx((0.3 - half, 0.3 + half), abs=0.003)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30))
@settings(deadline=None)
def test_a_single_draw_of_everything_gives_the_median_itself(ranks: list[int]) -> None:
    """With one group each draw is the whole sample, so the interval has no width."""
    summary = summarise(Ranks(np.array(ranks)[:, None], np.zeros(len(ranks), np.int64)), samples=3)
    assert summary.median_rank.value == np.median(ranks)
    assert summary.median_rank.low == summary.median_rank.high == np.median(ranks)


def test_a_paired_difference_is_tighter_than_the_intervals_of_its_two_sides() -> None:
    rng = np.random.default_rng(1)
    before = np.where(rng.random(500) < 0.5, 1, 3)
    after = np.where(rng.random(500) < 0.05, 1, before)
    groups = np.arange(500)
    gain = paired_difference(
        Ranks(before[:, None], groups), Ranks(after[:, None], groups), lambda r: hits_at(r, 1)
    )
    assert gain.low > 0
    side = summarise(Ranks(before[:, None], groups)).recall_at_1
    assert gain.high - gain.low < (side.high - side.low) / 2


def test_a_difference_between_other_questions_is_refused() -> None:
    one = Ranks(np.array([[1]]), np.array([0]))
    other = Ranks(np.array([[1]]), np.array([1]))
    with pytest.raises(ValueError, match="same questions"):
        paired_difference(one, other, reciprocal_ranks)
