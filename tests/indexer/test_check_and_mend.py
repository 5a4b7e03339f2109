"""A check finds what differs between the parts of an index; mending makes it whole again."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.remedies import of_finding
from indexer import check_index, fix_index, index_folders
from retrieval.catalog import Catalog
from retrieval.errors import IndexBusyError, IndexMissingError
from retrieval.storage.index_dir import IndexDir
from retrieval.storage.patch_tokens import PatchTokenStore
from retrieval.storage.writer_lock import writer_lock
from retrieval.vectors.faiss.store import MANIFEST, FaissStore
from tests.support.small_encoder import ColorEncoder

PICTURES = 6


def paint(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((48, 40)).save(path)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A library and its index; to be read only."""
    folder = tmp_path_factory.mktemp("whole")
    for seed in range(PICTURES):
        paint(folder / "library" / f"{seed}.png", seed)
    index_folders([folder / "library"], folder / "index", encoder=ColorEncoder())
    return folder / "library", folder / "index"


@pytest.fixture
def index(whole: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the index, whose files are the module's own library."""
    shutil.copytree(whole[1], tmp_path / "index")
    return tmp_path / "index"


@pytest.fixture
def own(tmp_path: Path) -> tuple[Path, Path]:
    """A library and an index that a test may change."""
    for seed in range(PICTURES):
        paint(tmp_path / "library" / f"{seed}.png", seed)
    index_folders([tmp_path / "library"], tmp_path / "index", encoder=ColorEncoder())
    return tmp_path / "library", tmp_path / "index"


def kinds(index: Path, *, with_content: bool = False) -> dict[str, int]:
    report = check_index(index, with_content=with_content, encoder=ColorEncoder())
    return {finding.kind: finding.count for finding in report.findings}


def sql(statement: str, database: str = "catalog.sqlite") -> Callable[[Path], None]:
    def damage(index: Path) -> None:
        with closing(sqlite3.connect(index / database)) as connection, connection:
            connection.executescript(statement)

    return damage


def cut(name: str) -> Callable[[Path], None]:
    def damage(index: Path) -> None:
        (path,) = index.glob(name)
        path.write_bytes(path.read_bytes()[:-1] + b"\0\0")

    return damage


def drop(name: str) -> Callable[[Path], None]:
    def damage(index: Path) -> None:
        for path in index.glob(name):
            path.unlink()

    return damage


def stale_copy(index: Path) -> None:
    """The vector index shows another state of the catalogue than it says."""
    with closing(sqlite3.connect(index / "catalog.sqlite")) as connection, connection:
        connection.execute("DELETE FROM embeddings WHERE item_id = 2")
        connection.execute("DELETE FROM items WHERE id = 2")
    with PatchTokenStore.open(index / "tokens.sqlite", "c0") as tokens:
        tokens.remove([2])


DAMAGES: list[tuple[str, Callable[[Path], None], dict[str, int]]] = [
    ("none", lambda _index: None, {}),
    (
        "vectors missing",
        sql("DELETE FROM embeddings WHERE item_id IN (1, 3)"),
        {"no-vector": 2, "vector-index": 2},
    ),
    (
        "vectors of another dimension",
        sql("UPDATE embeddings SET vector = x'0011' WHERE item_id = 2"),
        {"wrong-dimension": 1},
    ),
    (
        "vectors of no length",
        sql("UPDATE embeddings SET vector = zeroblob(96) WHERE item_id = 2"),
        {"wrong-length": 1},
    ),
    (
        "vectors that are no numbers",
        sql(f"UPDATE embeddings SET vector = x'00fe{'00' * 94}' WHERE item_id = 2"),
        {"no-numbers": 1},
    ),
    (
        "vectors without a picture",
        sql("INSERT INTO embeddings SELECT 99, 1, generation, vector FROM embeddings LIMIT 1"),
        {"orphan-vectors": 1, "vector-index": 1},
    ),
    ("a vector index of another state", stale_copy, {"vector-index": 1}),
    ("a damaged vector index", cut("vectors-*.faiss"), {"vector-index": 1}),
    ("no vector index", drop("vectors-*.faiss"), {"vector-index": 1}),
    ("no manifest", drop(MANIFEST), {"vector-index": 1}),
    ("a damaged manifest", cut(MANIFEST), {"vector-index": 1}),
    (
        "tokens missing",
        sql("DELETE FROM tokens WHERE picture_id = 4", "tokens.sqlite"),
        {"no-tokens": 1},
    ),
    ("no token cache", drop("tokens.sqlite*"), {"no-tokens": PICTURES}),
    (
        "a damaged token cache",
        lambda index: (index / "tokens.sqlite").write_bytes(b"damaged" * 1000) and None,
        {"tokens-damaged": 1},
    ),
    (
        "tokens of another size",
        sql(
            "UPDATE tokens SET tokens = x'0102', patches = 1 WHERE picture_id = 4", "tokens.sqlite"
        ),
        {"odd-tokens": 1},
    ),
    (
        "tokens without a picture",
        sql("INSERT INTO tokens SELECT 77, patches, tokens FROM tokens LIMIT 1", "tokens.sqlite"),
        {"orphan-tokens": 1},
    ),
]


@pytest.mark.parametrize(
    ("damage", "found"), [row[1:] for row in DAMAGES], ids=[row[0] for row in DAMAGES]
)
def test_every_damage_is_found_and_mended(
    index: Path, whole: tuple[Path, Path], damage: Callable[[Path], None], found: dict[str, int]
) -> None:
    damage(index)
    shown = {path: path.read_bytes() for path in index.iterdir() if path.suffix != ".sqlite-shm"}
    assert kinds(index) == found
    # A check changes nothing.
    assert {path: path.read_bytes() for path in shown if path.exists()} == shown
    mended = fix_index(index, encoder=ColorEncoder())
    assert mended.left.findings == ()
    assert kinds(index, with_content=True) == {}
    with (
        Catalog.open(index / "catalog.sqlite") as catalog,
        Catalog.open(whole[1] / "catalog.sqlite") as before,
    ):
        ids = catalog.vector_ids().tolist()
        for item_id, vector in before.vectors(ids).items():
            np.testing.assert_array_equal(catalog.vectors([item_id])[item_id], vector)
        assert FaissStore(index).load(catalog).generation == catalog.generation


def test_files_that_are_gone_or_changed_are_named_and_left_to_the_next_run(
    own: tuple[Path, Path],
) -> None:
    library, index = own
    (library / "0.png").unlink()
    paint(library / "1.png", 99)
    os.utime(library / "2.png", (1, 1))
    report = check_index(index, encoder=ColorEncoder())
    assert {finding.kind: finding.count for finding in report.findings} == {
        "missing": 1,
        "changed": 2,
    }
    assert report.findings[0].paths == (library / "0.png",)
    mended = fix_index(index, encoder=ColorEncoder())
    assert len(mended.left.findings) == 2
    with Catalog.open(index / "catalog.sqlite") as catalog:
        assert catalog.count_items() == PICTURES
    index_folders([library], index, encoder=ColorEncoder())
    assert kinds(index) == {}


def test_content_that_changed_behind_the_same_size_and_time_is_read_again(
    own: tuple[Path, Path],
) -> None:
    library, index = own
    changed = library / "3.png"
    other = paint(library.with_name("other.png"), 77)
    length = max(changed.stat().st_size, other.stat().st_size)
    # What follows a PNG's end is no part of the picture, so that any can be as long as another.
    changed.write_bytes(changed.read_bytes().ljust(length, b"\0"))
    index_folders([library], index, encoder=ColorEncoder())
    stamp = changed.stat().st_mtime_ns
    changed.write_bytes(other.read_bytes().ljust(length, b"\0"))
    os.utime(changed, ns=(stamp, stamp))
    assert kinds(index) == {}
    assert kinds(index, with_content=True) == {"altered": 1}
    assert fix_index(index, with_content=True, encoder=ColorEncoder()).marked == 1
    summary = index_folders([library], index, encoder=ColorEncoder())
    assert (summary.changed, summary.unchanged) == (1, PICTURES - 1)
    assert kinds(index, with_content=True) == {}


def test_a_folder_that_is_away_is_no_difference(own: tuple[Path, Path]) -> None:
    library, index = own
    library.rename(library.with_name("elsewhere"))
    report = check_index(index, encoder=ColorEncoder())
    assert (report.findings, report.absent_roots) == ((), (library,))


def test_what_cannot_be_made_again_stays(own: tuple[Path, Path]) -> None:
    library, index = own
    sql("DELETE FROM embeddings WHERE item_id = 1")(index)
    # What is no vector is as good as none.
    sql("UPDATE embeddings SET vector = x'0011' WHERE item_id = 2")(index)
    sql(f"UPDATE embeddings SET vector = x'00fe{'00' * 94}' WHERE item_id = 3")(index)
    sql("DELETE FROM tokens", "tokens.sqlite")(index)
    library.rename(library.with_name("elsewhere"))
    left = fix_index(index, encoder=ColorEncoder()).left
    assert {finding.kind: finding.count for finding in left.findings} == {
        "no-vector": 3,
        "no-tokens": PICTURES,
    }
    assert left.images == PICTURES
    library.with_name("elsewhere").rename(library)
    assert fix_index(index, encoder=ColorEncoder()).left.findings == ()


def test_damage_of_the_catalogue_itself_is_told_and_nothing_else_is_touched(index: Path) -> None:
    path = index / "catalog.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    with closing(sqlite3.connect(path)) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'embeddings'")
        start = (page.fetchone()[0] - 1) * 4096
    data[start : start + 4096] = os.urandom(4096)
    path.write_bytes(data)
    others = {other: other.read_bytes() for other in index.glob("[tv]*") if other.is_file()}
    report = check_index(index, encoder=ColorEncoder())
    assert [finding.kind for finding in report.findings] == ["damage"]
    assert "mmsearch restore" in of_finding(report.findings[0].kind)
    fix_index(index, encoder=ColorEncoder())
    assert path.read_bytes() == bytes(data)
    assert {other: other.read_bytes() for other in others} == others


def test_an_empty_index_is_whole(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    index_folders([tmp_path / "empty"], tmp_path / "index", encoder=ColorEncoder())
    assert kinds(tmp_path / "index") == {}


def test_no_check_is_made_without_an_index_or_beside_a_writer(index: Path, tmp_path: Path) -> None:
    with pytest.raises(IndexMissingError):
        check_index(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    with writer_lock(IndexDir(index)), pytest.raises(IndexBusyError):
        check_index(index)
