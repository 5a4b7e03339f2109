"""The example that `make demo` runs: questions in, one page of answers out."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.gallery import main
from samples.photos import copy_photos


def test_the_page_shows_every_question_with_its_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_photos(tmp_path / "photos")
    page = tmp_path / "page.html"
    questions = ["a cat", "a <rocket>"]
    main([str(tmp_path / "photos"), str(tmp_path / "index"), str(page), *questions])
    written = page.read_text("utf-8")
    assert "a cat" in written
    assert "a &lt;rocket&gt;" in written
    assert written.count("data:image/jpeg;base64,") >= 2
    assert "chelsea.png" in capsys.readouterr().out.split("a <rocket>")[0]


def test_answers_to_what_no_picture_shows_are_called_weak(
    photos: Path, photo_index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    questions = ["a cat", "a motorcycle", "a dog on a beach"]
    main([str(photos), str(photo_index), str(page), *questions])
    said = capsys.readouterr().out
    assert said.count("Weak:") == page.read_text("utf-8").count("Weak:") == 1
    assert "Weak:" in said.split("a dog on a beach")[1]


def test_too_few_words_print_how_it_is_used() -> None:
    with pytest.raises(SystemExit, match="PAGE"):
        main(["photos"])
