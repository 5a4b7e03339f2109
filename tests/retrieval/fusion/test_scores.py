"""Joining two scores: what is missing, what is scaled, and which weight held-out lists ask for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from retrieval.fusion.scores import AddedScore, ScoreFusion, StandardisedSum, fit_weight

LISTS = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 4), st.integers(1, 8)),
    # Three decimals: differences that floating point cannot carry through a sum are no matter.
    elements=st.integers(-50_000, 50_000).map(lambda thousandths: thousandths / 1000),
)


def test_an_added_score_is_the_cosine_plus_its_share() -> None:
    fused = AddedScore(0.1).fuse([0.3, 0.2], [-1.0, 4.0])
    assert fused == pytest.approx([0.2, 0.6])


def test_a_standardised_sum_is_what_its_formula_says() -> None:
    first, second = np.array([0.2, 0.3, 0.7]), np.array([-40.0, -10.0, -25.0])
    expected = 0.25 * (first - first.mean()) / first.std()
    expected += 0.75 * (second - second.mean()) / second.std()
    # A share of three quarters for the second stage.
    assert StandardisedSum(0.75).fuse(first, second) == pytest.approx(expected)


@given(scores=LISTS, scale=st.floats(0.1, 100), shift=st.floats(-100, 100))
def test_a_standardised_sum_does_not_care_for_scale(
    scores: np.ndarray, scale: float, shift: float
) -> None:
    first = np.arange(scores.size, dtype=np.float64).reshape(scores.shape)
    plain = StandardisedSum(0.5).fuse(first, scores)
    assert StandardisedSum(0.5).fuse(first, scale * scores + shift) == pytest.approx(
        plain, abs=1e-6
    )


@pytest.mark.parametrize("rule", [AddedScore(0.3), StandardisedSum(0.4)])
@given(first=LISTS)
def test_without_second_scores_the_order_stays(rule: ScoreFusion, first: np.ndarray) -> None:
    fused = rule.fuse(first, np.full_like(first, np.nan))
    assert np.isfinite(fused).all()
    assert (np.argsort(-fused, kind="stable") == np.argsort(-first, kind="stable")).all()


@pytest.mark.parametrize("rule", [AddedScore(0.3), StandardisedSum(0.4)])
def test_a_missing_second_score_counts_as_an_average_one(rule: ScoreFusion) -> None:
    known = rule.fuse([0.3, 0.3, 0.3], [1.0, 3.0, 2.0])
    assert rule.fuse([0.3, 0.3, 0.3], [1.0, 3.0, np.nan])[2] == pytest.approx(known[2])


@pytest.mark.parametrize("rule", [AddedScore(0.3), StandardisedSum(0.4)])
def test_an_empty_list_stays_empty(rule: ScoreFusion) -> None:
    assert rule.fuse(np.empty(0), np.empty(0)).shape == (0,)


def _held_out(seed: int, second_knows: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lists of ten whose right answers stand out a little at first and `second_knows` later."""
    rng = np.random.default_rng(seed)
    relevant = np.zeros((400, 10), dtype=bool)
    relevant[np.arange(400), rng.integers(10, size=400)] = True
    first = 0.2 + 0.05 * rng.normal(size=relevant.shape) + 0.05 * relevant
    second = 3 * rng.normal(size=relevant.shape) + 3 * second_knows * relevant
    return first, second, relevant


@pytest.mark.parametrize("rule", [AddedScore, StandardisedSum])
def test_the_fitted_weight_does_better_than_either_alone(rule: type[ScoreFusion]) -> None:
    weight = fit_weight(*_held_out(1, 2.0), rule)
    first, second, relevant = _held_out(2, 2.0)

    def recall(scores: np.ndarray) -> float:
        return float(relevant[np.arange(400), scores.argmax(axis=1)].mean())

    fused = recall(rule(weight).fuse(first, second))
    assert fused > recall(first) + 0.1
    assert fused > recall(second)


@pytest.mark.parametrize("rule", [AddedScore, StandardisedSum])
def test_a_second_stage_that_is_wrong_gets_no_weight(rule: type[ScoreFusion]) -> None:
    first, _, relevant = _held_out(3, 0.0)
    assert fit_weight(first, -relevant.astype(float), relevant, rule) == 0.0


def test_questions_without_a_right_answer_tell_nothing() -> None:
    first, second, relevant = _held_out(4, 1.0)
    with_strays = np.vstack([relevant, np.zeros((50, 10), dtype=bool)])
    strays = np.zeros((50, 10))
    assert fit_weight(
        np.vstack([first, strays]), np.vstack([second, strays]), with_strays
    ) == fit_weight(first, second, relevant)
    with pytest.raises(ValueError, match="right answer"):
        fit_weight(strays, strays, strays)
