"""`mmsearch ask`: what it prints, and what it says where it cannot."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from cli.commands.ask import in_words
from cli.commands.eval import command as eval_command
from retrieval.answering.base import Answer
from samples.photos import CAPTIONS
from tests.support.program import mmsearch


def test_a_file_is_asked_without_an_index(photos: Path, tmp_path: Path) -> None:
    cat = photos / "chelsea.png"
    one = mmsearch("ask", "Is there a cat?", cat, index_dir=tmp_path / "none")
    assert one.returncode == 0 and one.stdout.startswith("yes (")
    told = mmsearch(
        "ask", "is there a cat?", cat, tmp_path / "gone.jpg", "--json", index_dir=tmp_path / "none"
    )
    assert told.returncode == 0 and "gone.jpg cannot be read" in told.stderr
    found = json.loads(told.stdout)
    assert [record["path"] for record in found] == [str(cat)]
    assert found[0]["answer"] == "yes" and found[0]["kind"] == "yes/no" and found[0]["sure"]
    assert 0.5 < found[0]["confidence"] <= 1


def test_indexed_pictures_are_asked(photo_index: Path) -> None:
    told = mmsearch("ask", "which of my photos has a cat?", "--json", index_dir=photo_index)
    assert "chelsea.png" in told.stdout and {r["answer"] for r in json.loads(told.stdout)} == {
        "yes"
    }
    lines = mmsearch(
        "ask", "is there a cat?", "--in-results", "a cat", "-k", "2", index_dir=photo_index
    ).stdout.splitlines()
    assert len(lines) == 2 and "chelsea.png: yes (" in lines[0]


def test_what_cannot_be_asked_is_a_sentence_and_an_exit_code(
    photos: Path, photo_index: Path, tmp_path: Path
) -> None:
    cat = photos / "chelsea.png"
    for arguments, code, words in (
        (("why is it so?", cat), 2, "`--answerer blip` takes any question"),
        (("how many cats?",), 2, "--in-results"),
        (("how many cats?", cat, "--in-results", "cats"), 2, "two sets of pictures"),
        (("how many cats?", cat, "--after", "2020"), 2, "leave the files out"),
        (("how many cats?", cat, "--answerer", "oracle"), 4, "no answerer called oracle"),
        (("how many cats?", tmp_path / "gone.jpg"), 1, "gone.jpg cannot be read"),
    ):
        told = mmsearch("ask", *arguments, index_dir=photo_index)
        assert told.returncode == code and words in told.stderr, told


def test_an_unsure_answer_says_so() -> None:
    sure = Answer("2", 0.91, True, "number", (("3", 0.05),))
    assert in_words(sure) == "2 (91 %)"
    unsure = Answer("2", 0.41, False, "number", (("3", 0.3), ("1", 0.2)))
    assert in_words(unsure) == "not sure; perhaps 2 (41 %) or 3 (30 %)"


def test_answers_are_measured_by_eval(photos: Path) -> None:
    def run(*more: str) -> str:
        result = CliRunner().invoke(
            eval_command,
            [str(CAPTIONS), "--images", str(photos), "--task", "vqa", *more],
            catch_exceptions=False,
        )
        assert result.exit_code == 0, result.output
        return result.output

    assert "right when sure" in run() and "object" in run()
    assert {"kind", "accuracy", "majority", "sure"} <= set(json.loads(run("--json"))["kinds"][0])
