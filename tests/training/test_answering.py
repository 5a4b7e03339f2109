"""How the built-in answerer is made: its calibration, and the whole way on next to nothing."""

from __future__ import annotations

import numpy as np
import pytest

from training.answering import __main__ as training
from training.answering.calibrate import Judged, calibrate, least_sure, probabilities


def test_the_temperature_makes_confidences_mean_what_they_say() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3)) * 2
    truth = np.array([rng.choice(3, p=row) for row in probabilities(logits, 1.0)])
    right = np.eye(3, dtype=bool)[truth]
    # A network that boasts: thrice as certain as it may be.
    found = calibrate(Judged(3 * logits, right))
    assert found.temperature == pytest.approx(3.0, rel=0.1)
    shares = probabilities(3 * logits, found.temperature)
    is_right = right[np.arange(4000), shares.argmax(axis=1)]
    assert shares.max(axis=1).mean() == pytest.approx(is_right.mean(), abs=0.02)
    assert found.sure is not None
    assert is_right[shares.max(axis=1) >= found.sure].mean() >= 0.89


def test_nothing_is_sure_where_no_confidence_is_right_often_enough() -> None:
    confidences = np.linspace(0.2, 0.9, 200)
    assert least_sure(confidences, np.zeros(200, bool)) is None
    assert least_sure(confidences[:10], np.ones(10, bool)) is None
    # Nor is what is as likely wrong as right.
    assert least_sure(confidences, np.ones(200, bool)) == 0.5


def test_the_whole_way_runs_on_the_tests_photographs(capsys: pytest.CaptureFixture[str]) -> None:
    training.main(["--tiny"])
    assert "held out" in capsys.readouterr().out
