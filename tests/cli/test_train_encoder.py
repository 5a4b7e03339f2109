"""`mmsearch train-encoder`: a model that learns one's own words, and the index that uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.commands.train_encoder import command
from indexer import index_folders, upgrade_index
from retrieval.search.engine import SearchEngine
from samples.own_words import name_of, write_pieces
from samples.photos import CAPTIONS
from tests.support.program import mmsearch


@pytest.fixture(scope="module")
def captions(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pieces(photos, tmp_path_factory.mktemp("pieces"))


def _train(captions: Path, images: Path, output: Path, *options: str) -> Result:
    return CliRunner().invoke(
        command,
        [
            *(str(captions), "--images", str(images), "--output", str(output)),
            *options,
        ],
        standalone_mode=False,
        catch_exceptions=False,
    )


def test_an_index_answers_to_ones_own_words_once_they_are_learnt(
    captions: Path, photos: Path, tmp_path: Path
) -> None:
    index_folders([photos], tmp_path / "index")
    options = ("--side", "texts", "--epochs", "20", "--learning-rate", "3e-4")
    done = _train(captions, captions.parent / "images", tmp_path / "own", *options)
    assert done.return_value == 0, done.output
    assert "with no picture encoded again" in done.output
    asked = ("coffee.png", "chelsea.png", "rocket.jpg", "coins.png")

    def found() -> int:
        with SearchEngine.open(tmp_path / "index") as engine:
            best = [
                engine.search(f"a {name_of(photo)}", k=1, rerank="off")[0].path.name
                for photo in asked
            ]
        return sum(mine == photo for mine, photo in zip(best, asked, strict=True))

    before = found()
    assert upgrade_index(tmp_path / "index", model=str(tmp_path / "own")).encoded == 0
    assert found() > before
    assert found() >= 3


def test_what_is_no_better_ends_with_1_and_leaves_nothing(photos: Path, tmp_path: Path) -> None:
    done = _train(CAPTIONS, photos, tmp_path / "own", "--epochs", "1", "--json")
    assert done.return_value == 1

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON.")

    record = json.loads(done.output, parse_constant=refuse)
    assert [epoch["number"] for epoch in record["epochs"]] == [0, 1]
    assert record["epochs"][0]["loss"] is None and record["epochs"][1]["loss"] > 0
    assert not record["installed"]
    assert record["comparison"]["text_to_image"]["gain_at_1"]["low"] <= 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rate", ["nan", "inf", "1e30", "-1", "0", "fast"])
def test_a_learning_rate_that_is_none_is_wrong_usage(
    photos: Path, tmp_path: Path, rate: str
) -> None:
    done = mmsearch(
        *("train-encoder", CAPTIONS, "--images", photos, "--output", tmp_path / "own"),
        *("--learning-rate", rate),
        index_dir=tmp_path / "index",
    )
    assert done.returncode == 2
    assert "Error: Invalid value for '--learning-rate'" in done.stderr
    assert list(tmp_path.iterdir()) == []
