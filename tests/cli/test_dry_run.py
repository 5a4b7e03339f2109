"""`mmsearch index --dry-run`, as it is typed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.program import mmsearch


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_where_there_is_no_index_nothing_is_created(
    photos: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    done = mmsearch("index", photos, "--dry-run", *options, index_dir=tmp_path / "index")
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_first_paths_are_named_and_all_of_them_as_json(
    photos: Path, photo_index: Path, tmp_path: Path
) -> None:
    index, more = tmp_path / "index", tmp_path / "more"
    shutil.copytree(photo_index, index)
    more.mkdir()
    for number in range(7):
        (more / f"{number}.png").write_bytes((photos / "coffee.png").read_bytes() + b"%d" % number)
    catalog = (index / "catalog.sqlite").read_bytes()
    shown = mmsearch("index", more, "--dry-run", index_dir=index)
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[0] == "A run would find: 7 new. Nothing was changed."
    assert [line.strip()[-5:] for line in lines[2:7]] == [f"{n}.png" for n in range(5)]
    assert lines[7:] == ["    and 2 more"]
    record = json.loads(mmsearch("index", more, "--dry-run", "--json", index_dir=index).stdout)
    assert (record["dry_run"], record["new"], record["removed"]) == (True, 7, 0)
    assert record["paths"]["new"] == [str(more / f"{number}.png") for number in range(7)]
    assert (index / "catalog.sqlite").read_bytes() == catalog
    assert sorted(file.name for file in index.iterdir()) == sorted(
        file.name for file in photo_index.iterdir()
    )


def test_a_dry_run_without_a_path_looks_at_the_indexed_folders(photo_index: Path) -> None:
    done = mmsearch("index", "--dry-run", "--json", index_dir=photo_index)
    record = json.loads(done.stdout)
    assert record["unchanged"] > 0
    assert not any(record["paths"].values())
