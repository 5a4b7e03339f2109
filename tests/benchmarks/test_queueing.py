"""The played-through servers keep to what is known of queues."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.queueing import Layout, play

STEADY = np.array([10.0])


def test_one_server_waits_as_the_formula_says() -> None:
    # M/D/1: the mean wait is rho * service / (2 * (1 - rho)), here 5 ms at half load; the median
    # question waits less than that.
    played = play(Layout(1, 1, 1), STEADY, 50, questions=10_000)
    assert played.busy == pytest.approx(0.5, abs=0.03)
    assert 10 <= played.p50_ms < 15 < played.p95_ms < 40


def test_the_slowest_of_many_decides_and_replicas_help() -> None:
    times = np.random.default_rng(0).exponential(10, 2000)
    one, many = (play(Layout(n, 1, 8), times, 50, questions=3000) for n in (1, 50))
    assert many.p50_ms > 3 * one.p50_ms
    crowded = play(Layout(10, 1, 1), STEADY, 95, questions=3000)
    eased = play(Layout(10, 2, 1), STEADY, 95, questions=3000)
    assert eased.p95_ms < crowded.p95_ms


def test_what_is_lost_is_missing() -> None:
    alone = play(Layout(20, 1, 4), STEADY, 100, questions=6000, up=0.95)
    assert alone.missing == pytest.approx(0.05, abs=0.02)
    assert alone.whole == pytest.approx(0.95**20, abs=0.1)
    paired = play(Layout(20, 2, 4), STEADY, 100, questions=6000, up=0.95)
    assert paired.missing == pytest.approx(0.05**2, abs=0.002)
    assert paired.whole > 0.9
