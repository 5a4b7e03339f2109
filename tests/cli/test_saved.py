"""Questions that are saved with their options, and asked again; and a session of questions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import group
from indexer.saved import remove_saved_search, save_search, saved_search, saved_searches
from retrieval.catalog import Catalog
from retrieval.catalog.sqlite.recover import salvage
from retrieval.errors import MmsearchError
from retrieval.storage.index_dir import IndexDir
from retrieval.storage.writer_lock import writer_lock

STORED = Path(__file__).parents[1] / "data" / "catalogs"


@pytest.fixture
def index(photo_index: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "index"
    shutil.copytree(photo_index, copy)
    return copy


def run(index: Path, *arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(group, ["--index-dir", str(index), *arguments], input=stdin)


def test_a_saved_question_answers_as_it_did(index: Path, photos: Path) -> None:
    typed = [
        "a", "cat", "name:*.png", "-type:gif", "-k", "3", "--not", "people", "--not", "dogs",
        "--in", str(photos), "--like", str(photos / "coffee.png"), "--all", "--min-score", "-0.5",
        "--sort", "date", "--paths",
    ]  # fmt: skip
    asked = run(index, "query", *typed)
    assert asked.exit_code == 0 and len(asked.stdout.splitlines()) == 3
    assert run(index, "save", "cats at home", *typed).exit_code == 0
    again = run(index, "run", "cats at home")
    assert (again.exit_code, again.stdout) == (0, asked.stdout)
    one = run(index, "run", "cats at home", "-k", "1")
    assert len(one.stdout.splitlines()) == 1
    (listed,) = json.loads(run(index, "saved", "--json").stdout)
    assert listed["name"] == "cats at home"
    assert listed["question"] == "a cat name:*.png not type:gif"
    assert listed["options"]["unwanted"] == ["people", "dogs"]
    assert listed["options"]["limit"] == 3 and listed["options"]["fold"] is False
    assert "--not people --not dogs" in run(index, "saved").stdout


def test_only_what_can_be_asked_is_saved(index: Path) -> None:
    for typed, told in [
        (["a dog", "near:nowhere"], "near:"),
        (["a dog", "-k", "none"], "not a valid integer"),
        (["a dog", "--no-such-option"], "No such option"),
        ([" "], "question is empty"),
    ]:
        refused = run(index, "save", "x", *typed)
        message = str(refused.exception) + refused.stderr
        assert refused.exit_code != 0 and told in message
    assert saved_searches(index) == []


def test_a_name_is_kept_once_unless_it_is_replaced_and_can_be_forgotten(index: Path) -> None:
    assert run(index, "save", "x", "a dog").exit_code == 0
    with pytest.raises(MmsearchError, match="'x' is saved already") as error:
        save_search("x", "a cat", {}, index)
    assert error.value.code == "search-exists"
    assert run(index, "save", "--replace", "x", "a cat").exit_code == 0
    assert saved_search("x", index).question == "a cat"
    save_search("holiday", "a beach", {"limit": 5}, index)
    with pytest.raises(MmsearchError, match="did you mean 'holiday'"):
        saved_search("holidays", index)
    assert [search.name for search in saved_searches(index)] == ["holiday", "x"]
    assert run(index, "saved", "--remove", "x").exit_code == 0
    with pytest.raises(MmsearchError, match="No search called 'x'"):
        remove_saved_search("x", index)
    with pytest.raises(ValueError, match="name"):
        save_search(" ", "a dog", {}, index)


def test_a_search_is_saved_while_another_process_writes_and_changes_no_generation(
    index: Path,
) -> None:
    with Catalog.open(index / "catalog.sqlite") as catalog:
        before = catalog.generation
    with writer_lock(IndexDir(index)):
        save_search("x", "a dog", {}, index)
    with Catalog.open(index / "catalog.sqlite") as catalog:
        assert catalog.generation == before
        assert [search.name for search in catalog.saved_searches()] == ["x"]


def test_an_older_index_saves_searches_as_well(tmp_path: Path) -> None:
    for version in (2, 3):
        folder = tmp_path / str(version)
        folder.mkdir()
        shutil.copyfile(STORED / f"v{version}.sqlite", folder / "catalog.sqlite")
        assert saved_searches(folder) == []
        save_search("x", "a dog", {"limit": 3}, folder)
        assert saved_search("x", folder).options == {"limit": 3}


def test_saved_searches_outlive_the_repair_of_a_damaged_index(index: Path, tmp_path: Path) -> None:
    save_search("x", "a dog", {"limit": 3}, index)
    salvage(index / "catalog.sqlite", tmp_path / "new.sqlite", tmp_path / "scratch.sqlite")
    with Catalog.open(tmp_path / "new.sqlite") as catalog:
        (search,) = catalog.saved_searches()
        assert (search.name, search.question, search.options) == ("x", "a dog", {"limit": 3})
        assert len(catalog.full_text.names_with_part("chelsea", 5)) == 1


def test_an_option_that_is_no_more_is_said_so(index: Path) -> None:
    save_search("x", "a dog", {"turbo": True}, index)
    done = run(index, "run", "x")
    assert done.exit_code == 2 and "does not know (turbo)" in done.stderr


def test_a_session_answers_line_after_line(index: Path) -> None:
    lines = [
        "a cat -k 2 --paths", ":more", ":open 9", ":save cats", ":run cats", ":nonsense",
        "near:nowhere", "-k 3", "the dog's ball --paths -k 1", ":help", "", ":quit", "never asked",
    ]  # fmt: skip
    done = run(index, "shell", stdin="\n".join(lines))
    assert done.exit_code == 0, done.output
    out = done.stdout.splitlines()
    first, following = out[:2], out[2:4]
    assert Path(first[0]).stem == "chelsea"
    assert len({*first, *following}) == 4
    # The saved one, then the dog's ball.
    assert out[4:6] == first and len(out) == 7
    for told in (
        "no answer 9",
        ":nonsense is no command",
        "near:nowhere",
        "Say what is to be seen",
    ):
        assert told in done.stderr
    assert saved_search("cats", index).options == {"limit": 2, "only_paths": True}


def test_a_session_needs_an_index(tmp_path: Path) -> None:
    done = run(tmp_path / "none", "shell", stdin="a cat\n")
    assert isinstance(done.exception, MmsearchError)
