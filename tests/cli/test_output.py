"""What is done with answers: sorted, copied, linked, as a table, with small pictures."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.main import group
from cli.output.place import place
from cli.output.previews import is_able, renderable, shows_previews
from retrieval.errors import MmsearchError
from tests.support.program import mmsearch


def ask(index: Path, *arguments: str) -> tuple[int, str, str]:
    """`mmsearch query a cat ARGUMENTS` within this process: exit code, stdout, stderr."""
    done = CliRunner().invoke(group, ["--index-dir", str(index), "query", "a cat", *arguments])
    return done.exit_code, done.stdout, done.stderr


def paths(index: Path, *arguments: str) -> list[str]:
    code, out, err = ask(index, "--paths", *arguments)
    assert code == 0, err
    return out.splitlines()


def test_answers_are_sorted_by_score_or_date_and_turned_round(photo_index: Path) -> None:
    by_score = paths(photo_index, "-k", "18")
    assert paths(photo_index, "-k", "18", "--reverse") == by_score[::-1]
    code, out, _ = ask(photo_index, "-k", "18", "--sort", "date", "--json")
    times = [answer["taken_at"] for answer in json.loads(out)]
    dated = [time for time in times if time]
    assert code == 0
    assert dated == sorted(dated, reverse=True)
    assert times == dated + [None] * (len(times) - len(dated))
    assert sorted(paths(photo_index, "-k", "18", "--sort", "date")) == sorted(by_score)


def test_a_table_has_the_documented_columns(photo_index: Path) -> None:
    code, out, _ = ask(photo_index, "-k", "3", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    assert rows[0]["path"].endswith("chelsea.png")
    assert float(rows[0]["score"]) > 0 and rows[0]["keywords"] == ""


@pytest.mark.parametrize(
    "arguments",
    [("--csv", "--json"), ("--csv", "--paths"), ("--copy-to", "a", "--link-to", "b")],
)
def test_outputs_that_exclude_one_another_are_refused(
    photo_index: Path, arguments: tuple[str, ...]
) -> None:
    code, _, err = ask(photo_index, *arguments)
    assert code == 2
    assert "Choose one of" in err


def test_files_are_copied_and_linked_and_nothing_is_overwritten(
    photo_index: Path, tmp_path: Path
) -> None:
    target = tmp_path / "found"
    target.mkdir()
    (target / "chelsea.png").write_text("mine")
    code, _, err = ask(photo_index, "-k", "3", "--copy-to", str(target))
    assert (code, err) == (0, f"3 copies in {target}.\n")
    assert (target / "chelsea.png").read_text() == "mine"
    found = paths(photo_index, "-k", "3")
    assert (target / "chelsea-2.png").read_bytes() == Path(found[0]).read_bytes()
    assert len(list(target.iterdir())) == 4
    _, _, err = ask(photo_index, "-k", "3", "--copy-to", str(target))
    assert err == f"0 copies in {target}, 3 there already.\n"
    links = tmp_path / "links"
    for told in ("2 links", "0 links"):
        _, _, err = ask(photo_index, "-k", "2", "--link-to", str(links))
        assert err.startswith(told)
    assert {str(path.readlink()) for path in links.iterdir()} == set(found[:2])


def test_a_file_that_is_gone_is_said_after_the_others_were_copied(tmp_path: Path) -> None:
    (tmp_path / "there.jpg").write_bytes(b"1")
    files = [tmp_path / "gone.jpg", tmp_path / "there.jpg"]
    for links in (False, True):
        folder = tmp_path / f"to-{links}"
        with pytest.raises(MmsearchError, match=r"1 file could not be .*gone.jpg \(No such file"):
            place(files, folder, links=links)
        assert [path.name for path in folder.iterdir()] == ["there.jpg"]
    with pytest.raises(MmsearchError, match="cannot be made"):
        place(files, tmp_path / "there.jpg" / "below", links=False)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), max_size=8))
def test_every_content_is_in_the_folder_once(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("place")
    sources = []
    for number, (name, content) in enumerate(files):
        source = folder / str(number) / f"{name}.jpg"
        source.parent.mkdir()
        source.write_text(content)
        sources.append(source)
    place(sources, folder / "to", links=False)
    there = [(path.name[0], path.read_text()) for path in (folder / "to").iterdir()]
    assert sorted(there) == sorted(set(files))


@pytest.mark.parametrize(
    ("environment", "able"),
    [
        ({"TERM": "xterm-kitty"}, True),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, True),
        ({"TERM_PROGRAM": "iTerm.app"}, True),
        ({"TERM": "foot"}, True),
        ({"TERM": "xterm-256color"}, False),
        ({"TERM": "screen-256color", "TERM_PROGRAM": "iTerm.app", "TMUX": "/tmp/x"}, False),
        ({}, False),
    ],
)
def test_terminals_that_show_pictures_are_known_by_name(
    environment: dict[str, str], able: bool
) -> None:
    assert is_able(environment) is able


def test_previews_are_pictures_and_never_in_a_pipe(photos: Path, photo_index: Path) -> None:
    from rich.console import Console

    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system="truecolor")
    with console.capture() as captured:
        console.print(renderable(photos / "chelsea.png"))
    assert len(captured.get().splitlines()) >= 8
    assert not shows_previews(None)
    assert not shows_previews(False)
    # A plain question in a pipe does without the library.
    assert len(paths(photo_index, "-k", "2")) == 2
    code, out, _ = ask(photo_index, "-k", "1", "--previews")
    assert code == 0 and len(out.splitlines()) > 4


def test_a_copy_that_finds_no_answers_is_no_error(photo_index: Path, tmp_path: Path) -> None:
    done = mmsearch(
        "query", "cat", "--match", "words", "--copy-to", tmp_path / "to", index_dir=photo_index
    )
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, f"0 copies in {tmp_path / 'to'}.")
