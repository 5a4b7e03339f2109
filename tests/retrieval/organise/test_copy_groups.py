"""Copies come in groups of which all are copies of the best one; the best one is told with why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.organise.copy_groups import Components, Copy, ranked, reason_for, stars

PLAIN = Copy(Path("/b.jpg"), 1, 4000, 3000, 5_000_000, datetime(2020, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("better", "reason"),
    [
        (replace(PLAIN, width_px=5000), "most pixels"),
        (replace(PLAIN, size_bytes=5_000_001), "least compressed"),
        (replace(PLAIN, facts=3), "most metadata"),
        (replace(PLAIN, modified_at=PLAIN.modified_at - timedelta(days=1)), "oldest"),
        (replace(PLAIN, path=Path("/b")), "shortest path"),
        (replace(PLAIN, path=Path("/a.jpg")), "first path"),
    ],
)
def test_the_best_is_better_in_what_is_said(better: Copy, reason: str) -> None:
    better = replace(better, item_id=2)
    assert ranked([PLAIN, better])[0] == better
    assert reason_for(better, [PLAIN]) == reason


def test_a_row_of_pixels_more_does_not_outweigh_compression() -> None:
    better = replace(PLAIN, width_px=3990, size_bytes=6_000_000)
    assert ranked([PLAIN, better])[0] == better


copies = st.builds(
    Copy,
    path=st.integers(0, 9).map(lambda number: Path(f"/{number}.jpg")),
    item_id=st.just(0),
    width_px=st.integers(1, 5),
    height_px=st.just(1),
    size_bytes=st.integers(1, 3),
    modified_at=st.just(PLAIN.modified_at),
)


@given(st.lists(copies, max_size=8), st.randoms())
def test_which_is_best_does_not_depend_on_the_order(shown: list[Copy], random: object) -> None:
    mixed = list(shown)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert ranked(mixed) == ranked(shown)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=30))
def test_what_is_paired_hangs_together_and_nothing_else_does(pairs: list[tuple[int, int]]) -> None:
    joined = Components()
    for one, other in pairs:
        joined.join(one, other)
    found = joined.groups()
    group_of = {id_: place for place, ids in enumerate(found) for id_ in ids}
    assert sorted(group_of) == sorted({end for pair in pairs if pair[0] != pair[1] for end in pair})
    assert all(group_of[one] == group_of[other] for one, other in pairs if one != other)
    assert all(joined.are_joined(*pair) for pair in pairs)
    # A group is no larger than its pairs make it: it falls apart into none that no pair crosses.
    for ids in found:
        reached = {ids[0]}
        for _ in ids:
            reached |= {end for pair in pairs if reached & set(pair) for end in pair}
        assert reached == set(ids)


def test_a_chain_of_slow_changes_is_no_group() -> None:
    chain = [replace(PLAIN, item_id=number, path=Path(f"/{number}.jpg")) for number in range(7)]

    def next_to(best: Copy, copy: Copy) -> str | None:
        return "saved again" if abs(best.item_id - copy.item_id) == 1 else None

    groups = list(stars(chain, next_to))
    assert [group.best.item_id for group in groups] == [0, 2, 4]
    assert [[copy.item_id for copy in group.others] for group in groups] == [[1], [3], [5]]
    assert groups[0].spare_bytes == PLAIN.size_bytes
