"""`mmsearch models` names three large ones and says what each costs here."""

from __future__ import annotations

import json
from pathlib import Path

import open_clip
import pytest

from cli.output.recommended import duration
from retrieval.encoders.recommended import RECOMMENDED, measure_gflops, seconds_a_picture
from tests.support.program import mmsearch


def test_three_are_recommended_with_a_time_for_this_index(photo_index: Path) -> None:
    shown = mmsearch("models", index_dir=photo_index)
    assert shown.returncode == 0
    assert f"for {len(list(_pictures(photo_index)))} pictures" in shown.stdout
    for model in RECOMMENDED:
        assert model.name in shown.stdout and model.licence in shown.stdout
        assert model.source in shown.stdout
    listed = json.loads(mmsearch("models", "--json", index_dir=photo_index).stdout)
    records = [record for record in listed if record["kind"] == "recommended"]
    assert [record["name"] for record in records] == [model.name for model in RECOMMENDED]
    assert all(record["indexing_s"] > 0 for record in records)


def test_without_an_index_times_are_for_ten_thousand(tmp_path: Path) -> None:
    shown = mmsearch("models", index_dir=tmp_path / "none")
    assert shown.returncode == 0 and "for 10,000 pictures" in shown.stdout


def test_open_clip_knows_every_one() -> None:
    assert {model.name for model in RECOMMENDED} <= {
        f"{name}/{tag}" for name, tag in open_clip.list_pretrained()
    }


def test_a_larger_tower_takes_longer_and_more_cores_less() -> None:
    gflops = measure_gflops()
    assert gflops > 0
    times = [seconds_a_picture(model, gflops) for model in RECOMMENDED]
    assert times == sorted(times)
    assert seconds_a_picture(RECOMMENDED[0], gflops, 8) < seconds_a_picture(
        RECOMMENDED[0], gflops, 2
    )


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.2, "about 1 s"), (600, "about 10 min"), (7200, "about 2.0 h"), (90_000, "about 25 h")],
)
def test_durations_are_told_in_a_unit_that_suits(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def _pictures(index_dir: Path) -> list[int]:
    from retrieval import Catalog

    with Catalog.open(index_dir / "catalog.sqlite") as catalog:
        return list(range(catalog.count_items()))
