"""People see copies and bursts as one answer; scripts see every answer unless they ask."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from indexer import index_folders
from samples.photos import copy_photos
from tests.support.program import mmsearch
from tests.support.terminals import on_a_terminal

ASKED = ("query", "a cat", "-k", "6")


@pytest.fixture(scope="module")
def index_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, the cat in four sizes."""
    folder = tmp_path_factory.mktemp("copies")
    copy_photos(folder / "photos")
    with Image.open(folder / "photos" / "chelsea.png") as image:
        for side in (300, 290, 280):
            small = image.convert("RGB").resize((side, side * image.height // image.width))
            small.save(folder / "photos" / f"cat{side}.jpg", quality=90)
    index_folders([folder / "photos"], folder / "index")
    return folder / "index"


def test_a_terminal_folds_and_a_pipe_does_not(index_dir: Path) -> None:
    shown = on_a_terminal("--index-dir", str(index_dir), *ASKED).decode()
    answers = [line for line in shown.splitlines() if "/photos/" in line]
    assert len(answers) == 6
    assert "+3 like this" in answers[0]
    assert "like this" not in on_a_terminal("--index-dir", str(index_dir), *ASKED, "--all").decode()
    piped = mmsearch(*ASKED, index_dir=index_dir).stdout
    assert len(piped.splitlines()) == 6 and "like this" not in piped
    assert "+3 like this" in mmsearch(*ASKED, "--fold", index_dir=index_dir).stdout


def test_json_and_paths_hide_nothing_unless_asked(index_dir: Path) -> None:
    plain = json.loads(mmsearch(*ASKED, "--json", index_dir=index_dir).stdout)
    assert len(plain) == 6 and all("like" not in answer for answer in plain)
    paths = mmsearch(*ASKED, "--paths", index_dir=index_dir).stdout.splitlines()
    assert paths == [answer["path"] for answer in plain]
    folded = json.loads(mmsearch(*ASKED, "--json", "--fold", index_dir=index_dir).stdout)
    cats = [folded[0], *folded[0]["like"]]
    assert {Path(answer["path"]).stem for answer in cats} == {
        "chelsea",
        "cat300",
        "cat290",
        "cat280",
    }
    assert len(folded) == 6


def test_a_gallery_folds_and_lists_what_it_folded(index_dir: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert mmsearch(*ASKED, "--gallery", page, index_dir=index_dir).returncode == 0
    text = page.read_text("utf-8")
    assert "+3 like this" in text and text.count('class="folded"') == 3
    assert mmsearch(*ASKED, "--gallery", page, "--all", index_dir=index_dir).returncode == 0
    assert "like this" not in page.read_text("utf-8")


def test_diverse_answers_and_what_makes_no_sense(index_dir: Path) -> None:
    paths = mmsearch(*ASKED, "--paths", index_dir=index_dir).stdout
    diverse = mmsearch(*ASKED, "--paths", "--diverse", "--lambda", "0.2", index_dir=index_dir)
    assert diverse.returncode == 0
    assert sum("cat" in line or "chelsea" in line for line in diverse.stdout.splitlines()) < sum(
        "cat" in line or "chelsea" in line for line in paths.splitlines()
    )
    for options in (["--lambda", "0.5"], ["--diverse", "--lambda", "2"]):
        refused = mmsearch(*ASKED, *options, index_dir=index_dir)
        assert refused.returncode == 2 and "Traceback" not in refused.stderr
