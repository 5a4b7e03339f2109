"""Restrictions as expressions let through what the ids say, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.vectors.database.expressions import id_expression, runs

some_ids = st.sets(st.integers(0, 60), min_size=1).map(
    lambda ids: np.array(sorted(ids), dtype=np.int64)
)


@given(some_ids)
def test_runs_hold_the_ids_and_no_others(ids: np.ndarray) -> None:
    starts, ends = runs(ids)
    held = [np.arange(start, end + 1) for start, end in zip(starts, ends, strict=True)]
    assert np.concatenate(held).tolist() == ids.tolist()
    assert (starts[1:] > ends[:-1] + 1).all()


@given(some_ids, st.none() | some_ids)
def test_an_expression_is_true_of_the_ids_that_may_answer(
    within: np.ndarray, without: np.ndarray | None
) -> None:
    expression = id_expression(within, without)
    allowed = [id_ for id_ in range(62) if eval(expression, {"id": id_})]
    hidden = [] if without is None else without.tolist()
    assert allowed == [id_ for id_ in within.tolist() if id_ not in hidden]


@pytest.mark.parametrize(
    ("within", "expression"),
    [
        (np.arange(5, 90), "root in [1,2] and ((id >= 5 and id <= 89))"),
        (
            np.array([1, 2, 3, 9]),
            "root in [1,2] and ((id >= 1 and id <= 3) or (id >= 9 and id <= 9))",
        ),
        (np.arange(1, 90, 2)[:3], "root in [1,2] and id in [1,3,5]"),
    ],
)
def test_a_folders_ids_are_said_by_their_ends(within: np.ndarray, expression: str) -> None:
    assert id_expression(within, None, (1, 2)) == expression
    assert id_expression(None, None) == ""
