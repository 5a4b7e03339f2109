"""A damaged catalogue is told, left as it is, and saved as far as it can be read."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.faults.library import State, make_library, require_sound, state_of
from indexer import index_folders, move_root, remove_folder, repair_catalog
from retrieval.catalog import Catalog
from retrieval.catalog.sqlite.pages import leaf_rows
from retrieval.errors import DamagedCatalogError
from retrieval.vectors.faiss.store import MANIFEST
from tests.support.program import mmsearch
from tests.support.small_encoder import ColorEncoder

PAGE = 4096


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    make_library(folder, 120)
    return folder


@pytest.fixture(scope="module")
def sound_index(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of 121 pictures in many pages; to be read only."""
    index_dir = tmp_path_factory.mktemp("sound")
    index_folders([library], index_dir, encoder=ColorEncoder())
    return index_dir


@pytest.fixture
def index_dir(sound_index: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound_index, tmp_path / "index")
    return tmp_path / "index"


@pytest.fixture(autouse=True)
def colours_can_be_loaded_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "indexer.maintenance.repair.load_encoder", lambda *_arguments: ColorEncoder()
    )


def indexed_folders(index_dir: Path) -> set[Path]:
    with Catalog.open(index_dir / "catalog.sqlite") as catalog:
        return {root.path for root in catalog.roots()}


def pages_of(index_dir: Path, table: str) -> list[int]:
    """The numbers of the leaf pages of a table or index, from 1."""
    return [number for number, name in _pages(index_dir / "catalog.sqlite") if name == table]


def _pages(path: Path) -> list[tuple[int, str]]:
    """Each page with the table it is of, told by a rowid that stands on it."""
    found = []
    with sqlite3.connect(path) as connection:
        roots = dict(connection.execute("SELECT rootpage, name FROM sqlite_master").fetchall())
    connection.close()
    data = path.read_bytes()

    def walk(number: int, name: str) -> None:
        page = data[(number - 1) * PAGE : number * PAGE]
        kind = page[100 if number == 1 else 0]
        found.append((number, name))
        if kind in (2, 5):
            start = 100 if number == 1 else 0
            cells = int.from_bytes(page[start + 3 : start + 5], "big")
            walk(int.from_bytes(page[start + 8 : start + 12], "big"), name)
            for cell in range(cells):
                at = int.from_bytes(page[start + 12 + 2 * cell : start + 14 + 2 * cell], "big")
                walk(int.from_bytes(page[at : at + 4], "big"), name)

    for root, name in roots.items():
        if root:
            walk(root, name)
    return found


def overwrite(index_dir: Path, *numbers: int, filler: bytes = b"\xa5") -> None:
    with (index_dir / "catalog.sqlite").open("r+b") as file:
        for number in numbers:
            file.seek((number - 1) * PAGE)
            file.write(filler * (PAGE // len(filler)))


def require_saved(index_dir: Path, before: State, *, lost: int) -> None:
    require_sound(index_dir)
    after = state_of(index_dir)
    assert len(before.pictures) - len(after.pictures) == lost
    assert after.pictures.items() <= before.pictures.items()
    assert after.vectors.items() <= before.vectors.items()
    assert after.tokens.items() <= before.tokens.items()


def test_a_sound_catalogue_is_left_as_it_is(index_dir: Path) -> None:
    before = (index_dir / "catalog.sqlite").read_bytes()
    summary = repair_catalog(index_dir)
    assert (summary.was_sound, summary.saved_pictures) == (True, 121)
    assert (index_dir / "catalog.sqlite").read_bytes() == before
    assert not list(index_dir.glob("catalog-damaged*"))


def test_all_rows_are_read_from_the_pages_of_a_sound_file(index_dir: Path) -> None:
    path = index_dir / "catalog.sqlite"
    with sqlite3.connect(path) as connection:
        expected = sorted(connection.execute("SELECT item_id, vector FROM embeddings"))
    connection.close()
    rows = [(rowid, values) for rowid, values in leaf_rows(path) if len(values) == 4]
    assert (
        sorted((values[0], values[3]) for _, values in rows if isinstance(values[0], int))
        == expected
    )


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False)),
            st.one_of(
                st.binary(max_size=30_000), st.text(max_size=300).filter(lambda t: "\0" not in t)
            ),
        ),
        max_size=30,
    ),
    page_bytes=st.sampled_from([512, 4096, 65536]),
)
def test_any_rows_are_read_from_their_pages(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[object, object]], page_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("any") / "any.sqlite"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA page_size = {page_bytes}")
    connection.execute("CREATE TABLE any (id INTEGER PRIMARY KEY, one, other)")
    connection.executemany("INSERT INTO any (one, other) VALUES (?, ?)", rows)
    connection.execute("DELETE FROM any WHERE id % 5 = 0")
    connection.commit()
    expected = connection.execute("SELECT id, one, other FROM any ORDER BY id").fetchall()
    connection.close()
    found = [(rowid, *v[1:]) for rowid, v in leaf_rows(path) if len(v) == 3 and v[0] is None]
    assert sorted(found, key=lambda row: row[0]) == expected


@pytest.mark.parametrize("table", ["embeddings", "items", "files", "sqlite_autoindex_files_1"])
def test_a_page_overwritten_in_the_middle_costs_the_rows_on_it_at_most(
    index_dir: Path, table: str
) -> None:
    before = state_of(index_dir)
    chosen = pages_of(index_dir, table)[len(pages_of(index_dir, table)) // 2]
    overwrite(index_dir, chosen)
    with Catalog.open(index_dir / "catalog.sqlite") as catalog:
        assert catalog.check_integrity()
    summary = repair_catalog(index_dir)
    # A vector has a copy in the index file, and what an index knew, its table knows too.
    lost = len(before.pictures) - summary.saved_pictures
    assert summary.lost_pictures == lost
    assert (lost > 0) == (table in ("items", "files"))
    # The rows of items are small, so that all of them stand on one page here.
    assert lost < 60 or table == "items"
    require_saved(index_dir, before, lost=lost)
    assert summary.damaged_file is not None
    kept = summary.damaged_file.read_bytes()
    assert kept[(chosen - 1) * PAGE : chosen * PAGE] == b"\xa5" * PAGE


def test_a_vector_without_a_copy_is_lost_and_an_indexing_run_makes_it_again(
    index_dir: Path, library: Path
) -> None:
    before = state_of(index_dir)
    (index_dir / MANIFEST).unlink()
    overwrite(index_dir, pages_of(index_dir, "embeddings")[2])
    summary = repair_catalog(index_dir)
    assert 0 < summary.lost_pictures < 60
    require_saved(index_dir, before, lost=summary.lost_pictures)
    index_folders([library], index_dir, encoder=ColorEncoder())
    assert state_of(index_dir) == before


@pytest.mark.parametrize("table", ["embeddings", "files"])
def test_rows_below_a_damaged_root_of_a_tree_are_saved(index_dir: Path, table: str) -> None:
    before = state_of(index_dir)
    overwrite(index_dir, pages_of(index_dir, table)[0])
    assert repair_catalog(index_dir).lost_pictures == 0
    require_saved(index_dir, before, lost=0)


def test_rows_of_a_file_without_its_first_page_are_saved(index_dir: Path) -> None:
    before = state_of(index_dir)
    overwrite(index_dir, 1, filler=b"\0")
    assert repair_catalog(index_dir).lost_pictures == 0
    require_saved(index_dir, before, lost=0)


def test_a_truncated_catalogue_gives_what_is_left(index_dir: Path) -> None:
    before = state_of(index_dir)
    path = index_dir / "catalog.sqlite"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 2 // 3 // PAGE * PAGE)
    summary = repair_catalog(index_dir)
    assert summary.lost_pictures + summary.saved_pictures == len(before.pictures)
    require_saved(index_dir, before, lost=summary.lost_pictures)


def test_what_was_committed_to_the_log_alone_is_saved(index_dir: Path, library: Path) -> None:
    before = state_of(index_dir)
    path = index_dir / "catalog.sqlite"
    holder = sqlite3.connect(path)
    holder.execute("PRAGMA wal_autocheckpoint = 0")
    holder.execute("DELETE FROM failures")
    holder.execute("UPDATE files SET mtime_ns = mtime_ns + 1 WHERE id = 1")
    holder.commit()
    copy = index_dir.with_name("copy")
    shutil.copytree(index_dir, copy)
    holder.close()
    # With the first page gone, SQLite cannot bring the log into the file.
    overwrite(copy, 1, filler=b"\0")
    summary = repair_catalog(copy)
    assert (summary.lost_pictures, summary.saved_failures) == (0, 0)
    changed = [p for p, facts in state_of(copy).pictures.items() if facts != before.pictures[p]]
    assert len(changed) == 1


def test_the_name_of_a_folder_is_known_from_two_places(index_dir: Path) -> None:
    before = state_of(index_dir)
    overwrite(index_dir, *pages_of(index_dir, "roots"))
    assert repair_catalog(index_dir).lost_folders == ()
    require_saved(index_dir, before, lost=0)


def test_pictures_of_a_folder_whose_name_is_lost_are_saved_and_can_be_moved_home(
    index_dir: Path, library: Path
) -> None:
    before = state_of(index_dir)
    for table in ("roots", "sqlite_autoindex_roots_1"):
        overwrite(index_dir, *pages_of(index_dir, table))
    summary = repair_catalog(index_dir)
    assert summary.saved_pictures == 121
    (stand_in,) = summary.lost_folders
    moved = mmsearch("move", stand_in, library, index_dir=index_dir)
    assert moved.returncode == 0, moved.stderr
    require_saved(index_dir, before, lost=0)


def test_a_catalogue_that_forgot_its_model_is_bound_to_the_one_that_made_its_tokens(
    index_dir: Path,
) -> None:
    before = state_of(index_dir)
    overwrite(index_dir, *pages_of(index_dir, "info"))
    assert repair_catalog(index_dir).lost_pictures == 0
    require_saved(index_dir, before, lost=0)
    with Catalog.open(index_dir / "catalog.sqlite") as catalog:
        assert catalog.encoder == ColorEncoder().space


def test_a_repair_is_not_undone_by_removed_pictures(index_dir: Path, library: Path) -> None:
    with Catalog.open(index_dir / "catalog.sqlite") as catalog, catalog.transaction() as change:
        change.remove_files(list(range(1, 60)))
    left = set(state_of(index_dir).pictures)
    overwrite(index_dir, 1, filler=b"\0")  # with it goes the list of free pages
    repair_catalog(index_dir)
    assert set(state_of(index_dir).pictures) == left


def flip_bits(path: Path, seed: int) -> None:
    dice = random.Random(seed)
    data = bytearray(path.read_bytes())
    for _ in range(40):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    path.write_bytes(data)


def fill_with_noise(path: Path, seed: int) -> None:
    dice = random.Random(seed)
    data = bytearray(path.read_bytes())
    start = dice.randrange(len(data) - 3 * PAGE)
    data[start : start + 3 * PAGE] = dice.randbytes(3 * PAGE)
    path.write_bytes(data)


def cut_off(path: Path, seed: int) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: random.Random(seed).randrange(1, len(data))])


@pytest.mark.parametrize("harm", [flip_bits, fill_with_noise, cut_off])
def test_any_damage_is_told_or_harmless_and_can_be_repaired(
    sound_index: Path, library: Path, tmp_path: Path, harm: Callable[[Path, int], None]
) -> None:
    before = state_of(sound_index)
    for seed in range(4):
        index_dir = tmp_path / f"index {seed}"
        shutil.copytree(sound_index, index_dir)
        path = index_dir / "catalog.sqlite"
        harm(path, seed)
        damaged = path.read_bytes()
        try:
            index_folders([library], index_dir, encoder=ColorEncoder())
        except DamagedCatalogError as error:
            assert "is damaged" in str(error)
            assert path.read_bytes() == damaged, "a damaged catalogue was written to"
        summary = repair_catalog(index_dir)
        if summary.damaged_file is not None:
            assert summary.damaged_file.stat().st_size == len(damaged)
        require_sound(index_dir)
        for folder in summary.lost_folders:
            # Where it was the name that was hit, unnoticed, the run has indexed the folder anew.
            if library in indexed_folders(index_dir):
                remove_folder(folder, index_dir)
            else:
                move_root(folder, library, index_dir)
        index_folders([library], index_dir, encoder=ColorEncoder())
        after = state_of(index_dir)
        assert after.vectors.keys() == before.vectors.keys()


def test_the_command_line_tells_damage_repairs_it_and_answers(
    photo_index: Path, photos: Path, tmp_path: Path
) -> None:
    index_dir = tmp_path / "index"
    shutil.copytree(photo_index, index_dir)
    overwrite(index_dir, *pages_of(index_dir, "files"))
    told = mmsearch("index", photos, index_dir=index_dir)
    assert told.returncode == 6
    assert told.stderr.count("\n") == 1 and "mmsearch repair" in told.stderr
    counts = json.loads(mmsearch("repair", "--json", index_dir=index_dir).stdout)
    assert (counts["saved_pictures"], counts["lost_pictures"]) == (0, 18)
    assert Path(counts["damaged_file"]).exists()
    assert mmsearch("index", photos, index_dir=index_dir).returncode == 0
    found = mmsearch("query", "--image", photos / "coffee.png", "-k", "1", index_dir=index_dir)
    assert found.stdout.strip().endswith("coffee.png"), found
    again = mmsearch("repair", index_dir=index_dir)
    assert again.stdout == "The catalogue is sound, with 18 pictures.\n"


def test_there_is_nothing_to_repair_without_a_catalogue(tmp_path: Path) -> None:
    assert mmsearch("repair", index_dir=tmp_path / "none").returncode == 2
