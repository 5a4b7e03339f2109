"""`mmsearch eval` on real photographs with the built-in model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.commands.eval import command
from retrieval.evaluation.captions import CaptionsError
from samples.photos import CAPTIONS


def _run(*arguments: object) -> str:
    result = CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_table_gives_both_directions_with_intervals(photos: Path) -> None:
    printed = _run(CAPTIONS, "--images", photos, "--rerank", "off")
    for word in ("text → image", "image → text", "R@10", "median rank", "nDCG@10", "ms a question"):
        assert word in printed


def test_the_json_holds_the_measures(photos: Path) -> None:
    found = json.loads(_run(CAPTIONS, "--images", photos, "--rerank", "off", "--json"))
    recall = found["text_to_image"]["before"]["recall_at_10"]
    # By chance a tenth of 19 pictures would hold half of the answers.
    assert recall["low"] <= recall["value"] <= recall["high"] and recall["value"] > 0.7
    assert found["text_to_image"]["after"] is None
    assert found["timing"]["total_ms"] > 0


def test_missing_and_damaged_pictures_are_reported_and_the_run_goes_on(
    photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "coffee.png").write_bytes((photos / "coffee.png").read_bytes())
    (tmp_path / "chelsea.png").write_bytes((photos / "chelsea.png").read_bytes())
    (tmp_path / "rocket.jpg").write_bytes(b"no picture")
    printed = _run(CAPTIONS, "--images", tmp_path, "--rerank", "off")
    assert "compact on 2 pictures" in printed
    assert "pictures left out" in printed and "no such file" in printed


def test_a_folder_without_any_of_the_pictures_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CaptionsError, match="check the folder"):
        _run(CAPTIONS, "--images", tmp_path, "--rerank", "off")
