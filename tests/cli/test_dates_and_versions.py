"""Dates as filters, and indexes of older and newer programs, as a person meets them."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image

from retrieval.catalog.schema import SCHEMA_VERSION
from retrieval.search.engine import SearchEngine
from tests.cli.test_command_line import mmsearch
from tests.support.old_catalogs import to_version_1


@pytest.fixture(scope="module")
def dated_index(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures: of July 2021, of January 2022, and of a time that is not known."""
    folder = tmp_path_factory.mktemp("dated")
    for name, taken in [("coffee", "2021:07:18 16:04:05"), ("rocket", "2022:01:01 00:00:00")]:
        source = next(photos.glob(f"{name}.*"))
        exif = Image.Exif()
        exif[0x8769] = {0x9003: taken}
        with Image.open(source) as image:
            image.convert("RGB").save(folder / f"{name}.jpg", exif=exif)
    shutil.copyfile(photos / "camera.png", folder / "camera.png")
    index_dir = tmp_path_factory.mktemp("index")
    assert mmsearch("index", folder, index_dir=index_dir).returncode == 0
    return index_dir


def found(index_dir: Path, *options: str) -> dict[str, str | None]:
    """The names that a question finds, each with the time at which it was taken."""
    answer = mmsearch("query", "a picture", "--json", *options, index_dir=index_dir)
    assert answer.returncode == 0, answer.stderr
    return {Path(hit["path"]).stem: hit["taken_at"] for hit in json.loads(answer.stdout)}


def test_a_question_is_kept_to_pictures_of_a_time(dated_index: Path) -> None:
    assert found(dated_index, "--after", "2021-07-18") == {
        "coffee": "2021-07-18T16:04:05",
        "rocket": "2022-01-01T00:00:00",
    }
    assert set(found(dated_index, "--after", "2021-07", "--before", "2022")) == {"coffee"}


def test_pictures_without_a_date_are_counted_where_one_is_asked_for(dated_index: Path) -> None:
    asked = mmsearch("query", "a picture", "--after", "2021", index_dir=dated_index)
    assert asked.stderr.decode() == "1 picture has no known date and cannot be found by it.\n"
    assert mmsearch("query", "a picture", index_dir=dated_index).stderr == b""


@pytest.mark.parametrize(
    ("after", "before", "names"),
    [
        (None, None, {"coffee", "rocket", "camera"}),
        (datetime(2021, 7, 19), None, {"rocket"}),
        (None, datetime(2022, 1, 1), {"coffee"}),
        (datetime(2021, 8, 1), datetime(2022, 1, 1), set()),
    ],
)
def test_the_library_keeps_to_pictures_of_a_time(
    dated_index: Path, after: datetime | None, before: datetime | None, names: set[str]
) -> None:
    with SearchEngine.open(dated_index) as engine:
        hits = engine.search("a picture", after=after, before=before)
        assert {hit.path.stem for hit in hits} == names
        assert engine.search_many(["a picture"], after=after, before=before) == [hits]


def test_what_is_no_date_is_wrong_usage(dated_index: Path) -> None:
    answer = mmsearch("query", "a cat", "--after", "yesterday", index_dir=dated_index)
    assert answer.returncode == 2
    assert b"yesterday" in answer.stderr


def as_version_1(index_dir: Path, copy: Path) -> Path:
    """A copy of an index, as the first version would have made it."""
    shutil.copytree(index_dir, copy)
    to_version_1(copy / "catalog.sqlite")
    return copy


def test_an_old_index_answers_at_once_and_learns_dates_with_the_next_run(
    dated_index: Path, tmp_path: Path
) -> None:
    old = as_version_1(dated_index, tmp_path / "old")
    assert set(found(old)) == {"coffee", "rocket", "camera"}
    refused = mmsearch("query", "a cat", "--after", "2021", index_dir=old)
    assert refused.returncode == 6
    assert b"mmsearch index" in refused.stderr
    run = mmsearch("index", "--json", index_dir=old)
    assert run.returncode == 0
    assert b"catalog.v1.sqlite" in run.stderr
    summary = json.loads(run.stdout)
    assert (summary["unchanged"], summary["encoded"]) == (3, 0)
    assert set(found(old, "--after", "2021")) == {"coffee", "rocket"}


@pytest.mark.parametrize("arguments", [["query", "a cat"], ["index"], ["remove", "--yes", "/"]])
def test_an_index_of_a_newer_program_is_refused_and_left_alone(
    dated_index: Path, tmp_path: Path, arguments: list[str]
) -> None:
    newer = tmp_path / "newer"
    shutil.copytree(dated_index, newer)
    with closing(sqlite3.connect(newer / "catalog.sqlite")) as connection, connection:
        connection.execute(
            "UPDATE info SET value = ? WHERE key = 'schema_version'", (SCHEMA_VERSION + 1,)
        )
    before = (newer / "catalog.sqlite").read_bytes()
    refused = mmsearch(*arguments, index_dir=newer)
    assert refused.returncode == 6
    assert b"update mmsearch" in refused.stderr
    assert b"Traceback" not in refused.stderr
    assert (newer / "catalog.sqlite").read_bytes() == before


def test_a_question_to_an_old_index_loads_no_migration(dated_index: Path, tmp_path: Path) -> None:
    old = as_version_1(dated_index, tmp_path / "old")
    code = (
        "import sys; from retrieval import SearchEngine\n"
        "with SearchEngine.open(sys.argv[1]) as engine: assert engine.search('a cat')\n"
        "sys.exit('alembic' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, old], check=True)
