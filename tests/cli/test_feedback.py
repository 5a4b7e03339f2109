"""`mmsearch feedback` keeps marks, lists and forgets them; `mmsearch query` asks with them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.program import mmsearch


@pytest.fixture
def index_dir(photo_index: Path, tmp_path: Path) -> Path:
    """A copy of the shared index, to be changed."""
    shutil.copytree(photo_index, tmp_path / "index")
    return tmp_path / "index"


def answers(index_dir: Path, *options: str) -> list[str]:
    asked = ("query", "something", "round", "-k", "18", "--paths", *options)
    return mmsearch(*asked, index_dir=index_dir).stdout.splitlines()


def test_marks_are_kept_listed_asked_with_and_forgotten(index_dir: Path) -> None:
    plain = answers(index_dir)
    kept = mmsearch(
        "feedback", "something", "round", "--right", plain[-1], "--wrong", plain[0],
        "--wrong", plain[1], index_dir=index_dir,
    )  # fmt: skip
    assert (kept.returncode, kept.stdout) == (
        0,
        "Kept for “something round”: 1 right, 2 wrong.\n",
    )
    told = mmsearch("query", "something round", index_dir=index_dir).stderr
    assert told == "Asked with 1 marked right and 2 marked wrong; --no-feedback asks without.\n"
    marked = answers(index_dir)
    assert marked[0] == plain[-1] and not {plain[0], plain[1]} & set(marked)
    assert answers(index_dir, "--no-feedback") == plain
    listed = mmsearch("feedback", "--list", index_dir=index_dir).stdout.splitlines()
    assert listed[:2] == ["something round", f"  right  {plain[-1]}"]
    records = json.loads(mmsearch("feedback", "--list", "--json", index_dir=index_dir).stdout)
    assert {(record["path"], record["right"]) for record in records} == {
        (plain[-1], True), (plain[0], False), (plain[1], False),
    }  # fmt: skip
    none = mmsearch("feedback", "a cat", "--list", index_dir=index_dir)
    assert (none.returncode, none.stdout) == (0, "")
    forgotten = mmsearch("feedback", "Something  round", "--forget", index_dir=index_dir)
    assert forgotten.stdout == "Forgot 3 marks.\n"
    assert answers(index_dir) == plain


def test_what_makes_no_sense_is_wrong_usage_and_changes_nothing(
    index_dir: Path, photos: Path, tmp_path: Path
) -> None:
    cat = str(photos / "chelsea.png")
    for arguments in (
        ["a cat"],
        ["--right", cat],
        ["a cat", "--right", cat, "--wrong", cat],
        ["a cat", "--right", cat, "--forget"],
        ["a cat", "--right", cat, "--json"],
    ):
        refused = mmsearch("feedback", *arguments, index_dir=index_dir)
        assert refused.returncode == 2 and "Traceback" not in refused.stderr, arguments
    unknown = mmsearch("feedback", "a cat", "--right", tmp_path / "no.png", index_dir=index_dir)
    assert unknown.returncode == 1
    assert "is not indexed" in unknown.stderr and "mmsearch status" in unknown.stderr
    missing = mmsearch("feedback", "--list", index_dir=tmp_path / "none")
    assert missing.returncode == 2
    assert mmsearch("feedback", "--list", index_dir=index_dir).stdout == ""
