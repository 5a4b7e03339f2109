"""Questions to many servers at once, played through: queues, slow ones, and servers that are lost.

Questions come at random (a Poisson process). Each goes to every shard, and there to the replica
that is free first; a question's time is that of its slowest shard. Servers fail and come back at
random; what a shard without any replica holds is missing from the answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Layout:
    """`shards` parts of the pictures, each on `replicas` servers; these answer `at_once`."""

    shards: int
    replicas: int
    at_once: int


@dataclass(frozen=True)
class Played:
    """What came of it: milliseconds, and the share of the pictures that answers missed.

    `whole`: the share of questions that missed nothing; `busy`: of the servers' time that was
    spent answering.
    """

    p50_ms: float
    p95_ms: float
    p99_ms: float
    missing: float
    whole: float
    busy: float


def play(
    layout: Layout,
    service_ms: NDArray[np.float64],
    questions_a_s: float,
    *,
    questions: int,
    up: float = 1.0,
    seed: int = 0,
) -> Played:
    """Let `questions` come at a rate; each shard's time is drawn from `service_ms`, (n,).

    `up` is the share of its time that a server is there, each by itself; which are there is drawn
    anew every hundred questions.
    """
    random = np.random.default_rng(seed)
    arrivals = np.cumsum(random.exponential(1000 / questions_a_s, questions))
    slots = layout.replicas * layout.at_once
    # (shards, slots): when each place is free again.
    free = np.zeros((layout.shards, slots))
    took = np.empty(questions)
    missed = np.zeros(questions)
    worked = 0.0
    rows = np.arange(layout.shards)
    for number, now in enumerate(arrivals):
        if number % 100 == 0:
            there = random.random((layout.shards, layout.replicas)) < up
            is_there = np.repeat(there, layout.at_once, axis=1)
        lost = ~there.any(axis=1)
        missed[number] = lost.mean()
        times = random.choice(service_ms, layout.shards)
        place = np.where(is_there, free, np.inf).argmin(axis=1)
        done = np.maximum(free[rows, place], now) + times
        answering = rows[~lost]
        free[answering, place[answering]] = done[answering]
        worked += float(times[answering].sum())
        took[number] = float(done[answering].max() - now) if len(answering) else 0.0
    p50, p95, p99 = np.quantile(took, [0.5, 0.95, 0.99])
    elapsed = max(float(arrivals[-1]), float(free.max()))
    return Played(
        float(p50),
        float(p95),
        float(p99),
        float(missed.mean()),
        float((missed == 0).mean()),
        worked / (elapsed * layout.shards * slots),
    )
