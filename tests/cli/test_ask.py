"""`mmsearch ask`: what it prints, and what it says where it cannot."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from click.testing import CliRunner

from cli.commands.ask import in_words
from cli.commands.eval import command as eval_command
from indexer import index_folders
from retrieval.answering.base import Answer
from samples.clips import Shot, write_clip
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
        (("how many?", cat), 2, "cannot answer 'how many?'"),
        (("how many cats?", "--in-results", ""), 2, "Error: The question is empty"),
        (("how many cats?", "--in-results", "  "), 2, "Error: The question is empty"),
        (("how many cats?", "--in-results", "cats \udce9"), 2, "Error: The question is not UTF-8."),
        (("how many cats \udce9?", cat), 2, "Error: The question is not UTF-8."),
        (("how many cats?", "--in-results", "tyep:png"), 2, "did you mean 'type'?"),
        (
            ("how many cats?", "--in-results", "cats", "--in", tmp_path / "none"),
            1,
            f"No picture below {tmp_path / 'none'} is indexed: check the folder's name.",
        ),
        (("how many cats?", "--in-results", "cats", "--after", "2021", "--before", "2020"), 2,
         "--after is not earlier than --before"),
        (("how many cats?", "/dev/zero"), 1, "/dev/zero cannot be used: it is no regular file."),
    ):  # fmt: skip
        told = mmsearch("ask", *arguments, index_dir=photo_index)
        assert told.returncode == code and words in told.stderr, told
        assert "Traceback" not in told.stderr


def test_text_is_read_as_query_reads_it(photo_index: Path) -> None:
    for text, suffixes in (
        ("type:jpg a cat", {".jpg"}),
        ("type:jpg", {".jpg"}),
        ("a cat -type:png", {".jpg"}),
    ):
        told = mmsearch(
            "ask", "is there a cat?", "--in-results", text, "--json", index_dir=photo_index
        )
        assert told.returncode == 0, told
        assert {Path(one["path"]).suffix for one in json.loads(told.stdout)} == suffixes, text


def test_of_files_and_of_results_too_those_are_listed_that_are_meant(
    photos: Path, photo_index: Path
) -> None:
    files = [photos / name for name in ("chelsea.png", "rocket.jpg", "coffee.png")]
    which = "which of my photos has a cat?"
    told = mmsearch("ask", which, *files, index_dir=photo_index)
    assert told.returncode == 0 and "chelsea.png: yes (" in told.stdout
    assert len(told.stdout.splitlines()) == 1
    without = mmsearch("ask", "which of these photos has no cat?", *files, index_dir=photo_index)
    assert "chelsea" not in without.stdout and len(without.stdout.splitlines()) == 2
    none = mmsearch("ask", which, *files[1:], index_dir=photo_index)
    assert none.returncode == 1 and "No picture fits." in none.stderr
    found = mmsearch("ask", which, "--in-results", "an animal", index_dir=photo_index)
    assert found.returncode == 0 and "chelsea.png: yes (" in found.stdout
    assert "rocket" not in found.stdout and ": no (" not in found.stdout


def test_a_moment_of_a_video_is_told_with_its_time(photos: Path, tmp_path: Path) -> None:
    index_dir, folder = tmp_path / "index", tmp_path / "clips"
    clip, other = folder / "clip.mp4", tmp_path / "other.mp4"
    shots = [Shot(photos / name, 1.5, "still") for name in ("rocket.jpg", "chelsea.png")]
    write_clip(clip, shots)
    write_clip(other, shots[:1])
    index_folders([folder], index_dir)
    found = mmsearch("ask", "which of my photos has a cat?", index_dir=index_dir)
    line = found.stdout.splitlines()[0]
    assert re.match(r".*clip\.mp4 @ 00:00:0[12]: yes \(", line), found
    told = mmsearch("ask", "is there a cat?", clip, "--json", index_dir=index_dir)
    records = json.loads(told.stdout)
    assert [one["answer"] for one in records] == ["no", "yes"]
    assert [one["path"] for one in records] == [str(clip)] * 2
    assert records[0]["time_ms"] < 1500 <= records[1]["time_ms"] < 3000
    assert records[0]["time"] == "00:00:00"
    both = mmsearch("ask", "is there a cat?", other, photos / "chelsea.png", index_dir=index_dir)
    assert both.returncode == 0 and "chelsea.png: yes (" in both.stdout
    assert "other.mp4 is a video that is not indexed as it is now" in both.stderr
    for index in (index_dir, tmp_path / "none"):
        none = mmsearch("ask", "is there a cat?", other, index_dir=index)
        assert none.returncode == 1 and "other.mp4 is a video that is not indexed" in none.stderr
    shutil.copy(other, clip)
    changed = mmsearch("ask", "is there a cat?", clip, index_dir=index_dir)
    assert changed.returncode == 1 and "is not indexed as it is now" in changed.stderr


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
