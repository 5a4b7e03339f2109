"""The command lines of all pages run, in the order in which they stand there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from indexer import index_folders
from samples.clips import Shot, write_clip
from samples.own_words import write_pieces
from samples.photos import CAPTIONS
from tests.docs.test_pages import PAGES, ROOT, blocks

# No line that asks another machine runs here: one that downloads a model, or names a server.
ELSEWHERE = re.compile(r"laion2b|webli|vit-bert:|\.example\b")
# What goes on until it is stopped, or until its input ends.
LASTING = re.compile("mmsearch (watch|serve|mcp)")
# A question without an answer ends with 1, and what is stopped with 130, as their pages say.
QUESTIONS = re.compile("mmsearch (query|run|similar|ask|duplicates)")
PROGRAM = 'mmsearch() { "$PYTHON" -m mmsearch "$@"; }\n'


def lines_of(page: Path) -> list[str]:
    return [
        line
        for block in blocks("(?:sh|console)", page)
        for line in block.splitlines()
        if line.startswith("mmsearch ") and not ELSEWHERE.search(line)
    ]


@pytest.fixture
def home(photos: Path, tmp_path: Path) -> Path:
    """What the pages speak of: photographs, some in folders of their own, and a few small files."""
    own = tmp_path / "photos"
    shutil.copytree(photos, own)
    shutil.copyfile(own / "chelsea.png", own / "cat.jpg")
    for name, photo in {"phone": "coins", "private": "page", "2023": "camera"}.items():
        (own / name).mkdir()
        shutil.copyfile(own / f"{photo}.png", own / name / "a.png")
    (tmp_path / "Downloads").mkdir()
    shutil.copyfile(own / "china.jpg", tmp_path / "Downloads" / "beach.jpg")
    for name in ("old-disk", "sunsets"):
        (tmp_path / name).mkdir()
    write_clip(tmp_path / "holiday" / "lake.mp4", [Shot(own / "coffee.png", 1.0, "still")])
    (tmp_path / "questions.txt").write_text("a cat\na rocket -name:cat*\n")
    (tmp_path / "labels.txt").write_text("pets: a cat or a dog\nspace\n")
    (tmp_path / "token").write_text("0123456789abcdef0123456789abcdef\n")
    shutil.copyfile(CAPTIONS, tmp_path / "captions.tsv")
    index_folders([own], tmp_path / "index")
    return tmp_path


@pytest.mark.parametrize(
    "page", [page for page in PAGES if lines_of(page)], ids=lambda page: str(page.relative_to(ROOT))
)
def test_the_command_lines_of_a_page_run(page: Path, home: Path) -> None:
    environment = os.environ | {
        "PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
        "HOME": str(home),
        "MMSEARCH_INDEX_DIR": str(home / "index"),
        "BROWSER": "true",
    }
    if page.name == "train-encoder.md":
        write_pieces(home / "photos", home / "products")
    for line in lines_of(page):
        command = line.replace("/mnt/", "./")
        if command.startswith("mmsearch move"):
            (home / "photos").rename(home / "new-disk")
        if command.startswith("mmsearch restore"):
            shutil.rmtree(home / "index")
        if LASTING.match(command):
            command = "timeout --signal=INT --preserve-status 3 $PYTHON -m " + command
        run = subprocess.run(
            ["bash", "-o", "pipefail", "-c", PROGRAM + command],
            cwd=home, env=environment, capture_output=True, text=True, timeout=240, check=False,
            # The answer to whether pictures are to be forgotten.
            input="y\n" if command.startswith("mmsearch remove") else "",
        )  # fmt: skip
        allowed = {1} if QUESTIONS.match(line) else {130} if LASTING.match(line) else set()
        assert run.returncode in {0} | allowed, f"{line}\n{run.stdout}{run.stderr}"
