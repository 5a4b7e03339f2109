"""`mmsearch train-reranker` on real photographs with the built-in model."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.commands.train_reranker import command
from retrieval.rerankers.training import export
from retrieval.rerankers.training.data import RerankerTrainingError
from samples.photos import CAPTIONS


def test_a_training_says_what_it_measured_and_installs_both_files_or_none(
    photos: Path, tmp_path: Path
) -> None:
    result = CliRunner().invoke(
        command,
        [str(CAPTIONS), "--images", str(photos), "--epochs", "1"],
        obj=str(tmp_path),
        catch_exceptions=False,
    )
    assert "R@1 on what was held out" in result.output
    left = sorted(file.name for file in (tmp_path / "reranker").iterdir())
    installed = "Installed in" in result.output
    assert left == (["reranker.json", "reranker.onnx"] if installed else [])


def test_without_the_export_extra_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RerankerTrainingError, match=r"pip install 'mmsearch\[export\]'"):
        export.require_exporter()
