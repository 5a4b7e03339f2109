"""How the command line treats people who type quickly."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.program import mmsearch


def test_a_question_needs_no_quotes(photo_index: Path) -> None:
    quoted = mmsearch("query", "a cup of coffee", "--json", index_dir=photo_index)
    bare = mmsearch("query", "a", "cup", "of", "coffee", "--json", index_dir=photo_index)
    assert bare.returncode == 0, bare.stderr
    assert json.loads(bare.stdout) == json.loads(quoted.stdout)


def test_a_mistyped_command_is_told_what_is_near(tmp_path: Path) -> None:
    done = mmsearch("qurey", "a dog", index_dir=tmp_path)
    assert done.returncode == 2
    assert "Did you mean `query`?" in done.stderr
    done = mmsearch("xylophone", index_dir=tmp_path)
    assert (done.returncode, "--help" in done.stderr) == (2, True)


@pytest.mark.parametrize("command", [[], ["query"], ["index"], ["status"]])
def test_h_is_help(tmp_path: Path, command: list[str]) -> None:
    done = mmsearch(*command, "-h", index_dir=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("Usage:")


@pytest.mark.parametrize(
    "options",
    [
        ("--json", "--paths"),
        ("--json", "-0"),
        ("--after", "2021", "--before", "2020"),
        ("--after", "2021", "--before", "2021"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    photo_index: Path, options: tuple[str, ...]
) -> None:
    done = mmsearch("query", "a cat", *options, index_dir=photo_index)
    assert done.returncode == 2
    assert options[0] in done.stderr and done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["query", b"caf\xe9"], "The question is not UTF-8."),
        (["query", "a cat", "--not", b"caf\xe9"], "--not is not UTF-8."),
        (["query", b"a cat tag:\xe9"], "a keyword is UTF-8"),
        (["save", b"n\xe9", "a cat"], "The name is not UTF-8."),
        (["query", "a cat", "--min-score", "nan"], "'nan' is no number"),
        (["query", "a cat", "--diverse", "--lambda", "nan"], "'nan' is no number"),
        (["query", "\u200b"], "The question is empty"),
        (["query", "a cat " + " or ".join(["name:a*"] * 1100)], "Too many conditions"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(
    photo_index: Path, arguments: list[str | bytes], told: str
) -> None:
    done = mmsearch(*arguments, index_dir=photo_index)
    assert done.returncode == 2
    assert told in done.stderr and "Traceback" not in done.stderr and done.stdout == ""


@pytest.mark.parametrize("option", ["--rerank", "--model"])
def test_names_too_long_for_a_file_are_unknown_ones(
    photo_index: Path, photos: Path, option: str
) -> None:
    command = ["query", "a cat"] if option == "--rerank" else ["index", photos]
    done = mmsearch(*command, option, "x" * 300, index_dir=photo_index)
    assert done.returncode in (3, 4)
    assert "Traceback" not in done.stderr


def test_an_error_about_the_picture_asked_with_names_it(photo_index: Path, tmp_path: Path) -> None:
    file = tmp_path / "torn.jpg"
    file.write_bytes(b"\xff\xd8\xff\xe0 torn")
    done = mmsearch("query", "--image", file, index_dir=photo_index)
    assert done.returncode == 1
    assert "torn.jpg" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [["query", "a cat", "-k", "18", "--json"], ["--help"], ["--version"]]
)
def test_a_reader_that_has_seen_enough_ends_it_quietly(
    photo_index: Path, arguments: list[str]
) -> None:
    run = [sys.executable, "-m", "cli.main", "--index-dir", str(photo_index)]
    command = subprocess.Popen(
        [*run, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert command.stdout is not None and command.stderr is not None
    command.stdout.close()
    assert command.wait(60) == 0
    assert command.stderr.read() == b""
    command.stderr.close()


def test_rerankers_are_listed_with_the_models(tmp_path: Path) -> None:
    done = mmsearch("models", "--json", index_dir=tmp_path)
    kinds = {one["name"]: one["kind"] for one in json.loads(done.stdout)}
    assert kinds["compact"] in ("encoder", "reranker")
    assert {"encoder", "reranker", "recommended"} == set(kinds.values())
    assert "blip" in mmsearch("models", index_dir=tmp_path).stdout
