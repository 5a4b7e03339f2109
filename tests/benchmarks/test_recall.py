"""A quick look at recall leaves the measured table alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import recall


def test_a_tiny_run_overwrites_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "recall.md"
    kept.write_text("measured")
    monkeypatch.setattr(recall, "RESULTS", kept)
    recall.main(["--tiny"])
    assert kept.read_text() == "measured"
    assert "text → image" in capsys.readouterr().out
