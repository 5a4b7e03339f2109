"""`mmsearch remove` and what follows, as it is typed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.support.program import mmsearch


def test_a_removed_folder_is_shown_by_status_and_taken_back_when_it_is_named(
    photos: Path, tmp_path: Path
) -> None:
    library, index = tmp_path / "library", tmp_path / "index"
    private = library / "private"
    private.mkdir(parents=True)
    shutil.copyfile(photos / "coffee.png", library / "coffee.png")
    shutil.copyfile(photos / "chelsea.png", private / "cat.png")
    mmsearch("index", library, index_dir=index)
    done = mmsearch("remove", "--yes", private, index_dir=index)
    assert done.stdout.splitlines()[-1].endswith(f"mmsearch index {private}")
    for again in (("index",), ("index", library)):
        record = json.loads(mmsearch(*again, "--json", index_dir=index).stdout)
        assert (record["new"], record["unchanged"]) == (0, 1)
    status = mmsearch("status", index_dir=index).stdout
    assert "Removed, and kept out" in status and f"    {private}\n" in status
    assert json.loads(mmsearch("status", "--json", index_dir=index).stdout)["removed"] == [
        str(private)
    ]
    record = json.loads(mmsearch("index", private, "--json", index_dir=index).stdout)
    assert record["new"] == 1
    assert "Removed" not in mmsearch("status", index_dir=index).stdout
