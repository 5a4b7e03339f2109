"""`mmsearch train-reranker` on real photographs with the built-in model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.commands.train_reranker import command
from retrieval.encoders.registry import load_encoder
from retrieval.evaluation.captions import read_captions
from retrieval.rerankers.training import export
from retrieval.rerankers.training.data import RerankerTrainingError
from retrieval.rerankers.training.install import train_for_index
from retrieval.rerankers.training.train import TrainingSettings
from samples.photos import CAPTIONS
from tests.support.program import mmsearch


def test_a_training_says_what_it_measured_and_installs_both_files_or_none(
    photos: Path, photo_index: Path, tmp_path: Path
) -> None:
    index_dir = shutil.copytree(photo_index, tmp_path / "index")
    result = CliRunner().invoke(
        command,
        [str(CAPTIONS), "--images", str(photos), "--epochs", "1"],
        obj=str(index_dir),
        catch_exceptions=False,
    )
    assert "R@1 on what was held out" in result.output
    left = sorted(file.name for file in index_dir.glob("reranker/*"))
    installed = "Installed in" in result.output
    assert left == (["reranker.json", "reranker.onnx"] if installed else [])
    assert (index_dir / "reranker").exists() == installed


def test_a_training_that_is_cut_off_at_its_beginning_leaves_no_folder(
    photos: Path, tmp_path: Path
) -> None:
    def progress(stage: str, done: int, total: int) -> None:
        if stage == "epoch 1":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_for_index(
            load_encoder(),
            read_captions(CAPTIONS),
            photos,
            tmp_path / "reranker",
            TrainingSettings(epochs=1),
            progress=progress,
        )
    assert list(tmp_path.iterdir()) == []


def test_without_an_index_nothing_is_trained_and_nothing_made(photos: Path, tmp_path: Path) -> None:
    done = mmsearch("train-reranker", CAPTIONS, "--images", photos, index_dir=tmp_path / "none")
    asked = mmsearch("query", "a cat", index_dir=tmp_path / "none")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", asked.stderr)
    assert list(tmp_path.iterdir()) == []


def test_without_the_export_extra_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RerankerTrainingError, match=r"pip install 'mmsearch\[export\]'"):
        export.require_exporter()
