"""`mmsearch query -` answers each line of its input with one line of JSON."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from cli.many_questions import read_lines


def ask(
    index_dir: Path, text: bytes, *options: str | Path
) -> tuple[int, list[dict[str, object]], bytes]:
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "--index-dir", index_dir, "query", "-", *options],
        input=text,
        capture_output=True,
        check=False,
        timeout=120,
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_each_line_is_answered_and_what_is_no_question_is_told_in_its_place(
    photo_index: Path,
) -> None:
    lines = [b"a cat", b"", b"a cup rating:lots", b"caf\xe9", b"name:coffee*", b"a rocket -name:r*"]
    code, records, errors = ask(photo_index, b"\n".join(lines), "-k", "2")
    assert code == 1 and errors == b""
    shown = [line.decode("utf-8", "backslashreplace") for line in lines]
    assert [record["question"] for record in records] == shown
    assert ["error" in record for record in records] == [False, True, True, True, False, False]
    hits = [record.get("hits", []) for record in records]
    paths = [[Path(hit["path"]).stem for hit in some] for some in hits]  # type: ignore[union-attr, index]
    assert paths[0][0] == "chelsea" and len(paths[0]) == 2
    assert paths[4] == ["coffee"]
    assert "rocket" not in paths[5]


def test_answers_are_those_of_a_question_alone_with_the_same_options(photo_index: Path) -> None:
    options = ("-k", "2", "--offset", "1", "--not", "people", "--rerank", "off")
    code, (record,), _ = ask(photo_index, b"a person\r\n", *options)
    alone = subprocess.run(
        [
            sys.executable, "-m", "cli.main", "--index-dir", photo_index, "query", "a person",
            "--json", *options,
        ],
        capture_output=True,
        check=True,
    )  # fmt: skip
    assert code == 0
    assert record["hits"] == json.loads(alone.stdout)


def test_an_answer_comes_before_the_next_question(photo_index: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "--index-dir", photo_index, "query", "-", "-k", "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdin is not None and process.stdout is not None
        for question, answer in (("a cat", "chelsea"), ("a cup of coffee", "coffee")):
            process.stdin.write(question.encode() + b"\n")
            process.stdin.flush()
            (hit,) = json.loads(process.stdout.readline())["hits"]
            assert Path(hit["path"]).stem == answer
        process.stdin.close()
        assert process.wait(60) == 0


def test_what_makes_no_sense_for_many_questions_is_wrong_usage(photo_index: Path) -> None:
    code, records, errors = ask(photo_index, b"a cat\n", "--paths")
    assert (code, records) == (2, [])
    assert b"leave out" in errors
    code, records, errors = ask(photo_index, b"a cat\n", "--rerank", "clairvoyant")
    assert (code, records) == (4, [])
    assert b"Traceback" not in errors


@settings(deadline=None)
@given(st.lists(st.binary().filter(lambda line: b"\n" not in line), max_size=5), st.booleans())
def test_lines_are_read_whole_whatever_is_in_them(lines: list[bytes], is_ended: bool) -> None:
    text = b"\n".join(lines) + (b"\n" if is_ended and lines else b"")
    found = [line for some in read_lines(io.BytesIO(text)) for line in some]
    expected = text.split(b"\n")
    assert found == (expected[:-1] if expected[-1] == b"" else expected)
