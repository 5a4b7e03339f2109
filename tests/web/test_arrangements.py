"""What a page lays out is made once, and again when the index has changed."""

from __future__ import annotations

from retrieval.query.filters import Rating
from web.arrangements import Arrangements


def test_an_answer_is_kept_for_its_filter_until_the_index_changes() -> None:
    made: list[str] = []
    kept = Arrangements()

    def ask(generation: int, least: int | None) -> bytes:
        def make() -> bytes:
            made.append(f"{generation} {least}")
            return made[-1].encode()

        return kept.of(generation, None if least is None else Rating(least, 5), make)

    assert [ask(1, None), ask(1, 3), ask(1, None), ask(1, 3)] == [b"1 None", b"1 3"] * 2
    assert made == ["1 None", "1 3"]
    assert ask(2, None) == b"2 None"
    assert ask(1, 3) == b"1 3"
    assert made == ["1 None", "1 3", "2 None", "1 3"]


def test_no_more_is_kept_than_a_few_pages_show() -> None:
    kept = Arrangements()
    for least in range(6):
        kept.of(1, Rating(least, 5), lambda: b"x")
    asked: list[int] = []
    for least in range(6):
        kept.of(1, Rating(least, 5), lambda: asked.append(least) or b"y")  # type: ignore[func-returns-value]  # noqa: B023
    assert 0 in asked
    assert len(kept._kept) == 4
