"""`mmsearch cluster`: groups for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.program import mmsearch


def test_groups_are_shown_and_told(photo_index: Path) -> None:
    told = json.loads(
        mmsearch("cluster", "-k", "3", "--json", "--members", index_dir=photo_index).stdout
    )
    assert len(told) == 3
    for group in told:
        assert group["name"] == ", ".join(group["terms"])
        assert group["pictures"] == len(group["members"])
        assert group["examples"] == group["members"][:3]
    shown = mmsearch("cluster", "-k", "3", "--examples", "1", index_dir=photo_index).stdout
    lines = [line.strip() for line in shown.splitlines()]
    assert lines[1::2] == [group["examples"][0] for group in told]
    assert lines[0].endswith(told[0]["name"])


def test_what_cannot_be_grouped_is_said(photo_index: Path) -> None:
    many = mmsearch("cluster", "-k", "500", index_dir=photo_index)
    assert many.returncode == 1 and "ask for fewer groups" in many.stderr
    none = mmsearch("cluster", "--filter", "name:nothing", index_dir=photo_index)
    assert (none.returncode, none.stdout) == (1, "")
    assert mmsearch("cluster", "--members", index_dir=photo_index).returncode == 2
