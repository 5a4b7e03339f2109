"""`mmsearch similar`: what it prints, and what it says where it cannot."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.program import mmsearch


def test_similar_prints_the_nearest_without_the_picture_itself(
    photos: Path, photo_index: Path
) -> None:
    cat = photos / "chelsea.png"
    told = json.loads(mmsearch("similar", cat, "-k", "3", "--json", index_dir=photo_index).stdout)
    assert len(told) == 3 and str(cat) not in {answer["path"] for answer in told}
    assert [answer["rank"] for answer in told] == [1, 2, 3]
    paths = mmsearch("similar", cat, "-k", "3", "--paths", index_dir=photo_index).stdout
    assert paths.splitlines() == [answer["path"] for answer in told]
    lines = mmsearch("similar", cat, "-k", "3", index_dir=photo_index).stdout.splitlines()
    assert [line.split()[1] for line in lines] == paths.splitlines()


def test_what_cannot_be_answered_is_a_sentence_and_an_exit_code(
    photos: Path, photo_index: Path, tmp_path: Path
) -> None:
    nothing = mmsearch(
        "similar", photos / "chelsea.png", "--in", photos / "chelsea.png", index_dir=photo_index
    )
    assert (nothing.returncode, nothing.stdout) == (1, "")
    missing = mmsearch("similar", tmp_path / "no.jpg", index_dir=photo_index)
    assert missing.returncode == 1 and "no.jpg cannot be read" in missing.stderr
    both = mmsearch("similar", "x.jpg", "--json", "--paths", index_dir=photo_index)
    assert both.returncode == 2
    wrong = mmsearch("similar", "x.jpg", "--filter", "camra:X", index_dir=photo_index)
    assert wrong.returncode == 2 and "camra" in wrong.stderr
