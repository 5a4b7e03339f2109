"""Which frames stand for a video: by how vectors change, whatever made them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from retrieval.media.key_frames import ChangeRule, KeyFrame, KeyFrameChooser, rule_for

RULE = ChangeRule(0.8, 0.7)


def chosen(vectors: NDArray[np.float32], last: int | None = None) -> list[KeyFrame[int]]:
    start = 0 if last is None else last + 1
    chooser: KeyFrameChooser[int] = KeyFrameChooser(RULE, None if last is None else vectors[last])
    found = [chooser.add(500 * i, vectors[i], i) for i in range(start, len(vectors))]
    return [key for key in (*found, chooser.finish()) if key is not None]


def around(directions: list[int], seed: int = 0) -> NDArray[np.float32]:
    """Unit vectors near axes, one for each number."""
    rng = np.random.default_rng(seed)
    vectors = np.eye(16, dtype=np.float32)[directions]
    vectors += rng.normal(0, 0.03, vectors.shape).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def test_each_shot_has_one_key_frame_with_its_beginning() -> None:
    keys = chosen(around([0] * 5 + [1] * 4 + [2] * 6))
    assert [(key.start_ms, key.begins_shot) for key in keys] == [
        (0, True), (2500, True), (4500, True),
    ]  # fmt: skip
    assert [key.time_ms // 500 in stretch for key, stretch in zip(
        keys, (range(5), range(5, 9), range(9, 15)), strict=True
    )] == [True] * 3  # fmt: skip


def test_a_slow_change_has_several_key_frames_in_one_shot() -> None:
    angles = np.linspace(0, np.pi / 2, 40)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    keys = chosen(vectors)
    assert len(keys) > 1
    assert [key.begins_shot for key in keys] == [True] + [False] * (len(keys) - 1)


def test_a_scene_that_comes_back_is_found_again() -> None:
    assert len(chosen(around([0, 0, 1, 1, 0, 0]))) == 3


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(0, 9))
def test_every_frame_is_near_a_key_frame_of_its_own_time_and_keys_are_in_order(
    directions: list[int], seed: int
) -> None:
    vectors = around(directions, seed)
    keys = chosen(vectors)
    times = [key.time_ms for key in keys]
    assert times == sorted(set(times))
    for i, vector in enumerate(vectors):
        before = [key for key in keys if key.start_ms <= 500 * i]
        assert float(vector @ before[-1].vector) > RULE.cut_cosine


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=8, max_size=60), st.integers(0, 9))
def test_going_on_after_a_key_frame_gives_the_shots_that_follow(
    directions: list[int], seed: int
) -> None:
    vectors = around(directions, seed)
    keys = chosen(vectors)
    middle = keys[len(keys) // 2]
    rest = chosen(vectors, last=middle.frame)
    later = [directions[key.frame] for key in keys if key.time_ms > middle.time_ms]
    assert [directions[key.frame] for key in rest] == later


def test_a_shot_of_hours_at_rest_keeps_few_frames() -> None:
    chooser: KeyFrameChooser[int] = KeyFrameChooser(RULE)
    for i, vector in enumerate(around([0] * 5000)):
        assert chooser.add(500 * i, vector, i) is None
    assert len(chooser._kept) <= 64
    assert chooser.finish() is not None


def test_models_that_were_not_measured_have_the_careful_rule() -> None:
    assert rule_for("compact") != rule_for("ViT-B-32/openai")
