"""Several indexers write to one catalogue: nothing is lost and nothing is there twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer import index_folders
from retrieval import SearchEngine
from retrieval.catalog import Catalog
from retrieval.catalog.postgres import lease
from retrieval.catalog.postgres.work_queue import Task, WorkQueue
from retrieval.errors import CatalogError
from retrieval.storage.catalog_url import CatalogUrl
from tests.support.rows import bound_catalog
from tests.support.small_encoder import ColorEncoder

PICTURES = 150


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many small pictures, no two alike."""
    folder = tmp_path_factory.mktemp("library")
    colors = np.random.default_rng(0).integers(0, 256, (PICTURES, 4, 4, 3), dtype=np.uint8)
    for number, pixels in enumerate(colors):
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return folder


def indexer(
    index_dir: Path, url: str, library: Path, pause_s: float, lease_s: float = 60
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.support.indexer_process",
            str(index_dir),
            url,
            str(library),
            str(pause_s),
            str(lease_s),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )


def summary_of(process: subprocess.Popen[str]) -> dict[str, int]:
    told, _ = process.communicate(timeout=200)
    assert process.returncode == 0
    summary: dict[str, int] = json.loads(told)
    return summary


def require_whole(url: str, library: Path) -> None:
    """Every picture is in the catalogue once, with its vector, and no work is left."""
    with Catalog.open(CatalogUrl.parse(url)) as catalog:
        (root,) = catalog.roots()
        assert set(dict(catalog.known_files(root.id))) == {path.name for path in library.iterdir()}
        ids = catalog.item_ids().tolist()
        assert len(ids) == len(catalog.vectors(ids)) == PICTURES
        assert catalog.failures() == []
        assert catalog.raw_rows("SELECT count(*) FROM work", ()) == [(0,)]


def claimed(url: str) -> int:
    try:
        with Catalog.open(CatalogUrl.parse(url)) as catalog:
            statement = "SELECT count(*) FROM work WHERE claimed_by IS NOT NULL"
            return int(catalog.raw_rows(statement, ())[0][0])
    except Exception:
        # Not made yet.
        return 0


def test_two_indexers_share_the_work_and_do_none_twice(
    library: Path, tmp_path: Path, postgres_url: str
) -> None:
    # In one index folder, and from another one: as processes of one machine, and of two.
    folders = [tmp_path / "one", tmp_path / "one", tmp_path / "two"]
    processes = [indexer(folder, postgres_url, library, 0.3) for folder in folders]
    summaries = [summary_of(process) for process in processes]
    assert sum(summary["new"] for summary in summaries) == PICTURES
    assert sum(summary["encoded"] for summary in summaries) == PICTURES
    require_whole(postgres_url, library)
    for folder in {*folders}:
        with SearchEngine.open(folder, encoder=ColorEncoder()) as engine:
            assert len({hit.path for hit in engine.search("anything", k=PICTURES)}) == PICTURES


@pytest.mark.parametrize("fate", [signal.SIGKILL, signal.SIGSTOP])
def test_the_files_of_one_that_is_killed_or_held_up_are_taken_over(
    fate: signal.Signals, library: Path, tmp_path: Path, postgres_url: str
) -> None:
    ill = indexer(tmp_path / "ill", postgres_url, library, 1.0, lease_s=1)
    try:
        until = time.monotonic() + 100
        while not claimed(postgres_url) and time.monotonic() < until:
            time.sleep(0.05)
        assert claimed(postgres_url)
        ill.send_signal(fate)
        well = index_folders(
            [library], tmp_path / "well", encoder=ColorEncoder(), catalog=postgres_url
        )
        assert well.new > 0
        require_whole(postgres_url, library)
        if fate == signal.SIGSTOP:
            # It wakes up with files in hand that are not its own any more.
            ill.send_signal(signal.SIGCONT)
            told, _ = ill.communicate(timeout=200)
            # Held up inside of a transaction, it is told that the server has undone that.
            assert ill.returncode or json.loads(told)["new"] + well.new == PICTURES
            require_whole(postgres_url, library)
    finally:
        ill.kill()
        ill.wait()


def test_a_file_is_finished_by_the_one_that_holds_its_lease(postgres_url: str) -> None:
    with bound_catalog(CatalogUrl.parse(postgres_url)) as catalog:
        with catalog.transaction() as change:
            root = change.add_root(Path("/r"))
        slow, quick = (WorkQueue(catalog._database, root.id, "") for _ in range(2))
        tasks = [Task(name, 1, 2) for name in ("a", "b", "c")]
        slow.add(tasks)
        quick.add(tasks)
        assert slow.claim(2) == tasks[:2]
        assert quick.claim(9) == tasks[2:]
        # As when it has not renewed it for long.
        slow.lease_s = -1
        slow.renew()
        assert quick.claim(9) == tasks[:2]
        slow.renew()
        slow.release()
        with catalog.transaction() as change:
            assert change.finish_work(slow, ["a", "b", "c"]) == set()
            assert change.finish_work(quick, ["a", "c"]) == {"a", "c"}
        assert not quick.is_empty()
        # What was begun and undone stays to be done.
        with pytest.raises(ZeroDivisionError), catalog.transaction() as change:
            change.finish_work(quick, ["b"])
            raise ZeroDivisionError
        quick.forget_unclaimed()
        assert not quick.is_empty()
        quick.release()
        assert quick.claim(1) == tasks[1:2]


def test_what_an_interrupted_run_left_is_not_read_where_it_is_gone(postgres_url: str) -> None:
    with bound_catalog(CatalogUrl.parse(postgres_url)) as catalog:
        with catalog.transaction() as change:
            root = change.add_root(Path("/r"))
        queue = WorkQueue(catalog._database, root.id, "below")
        queue.add([Task("below/a", 1, 2), Task("beside", 1, 2)])
        queue.forget_unclaimed()
        assert queue.is_empty()
        assert WorkQueue(catalog._database, root.id, "").claim(5) == [Task("beside", 1, 2)]


def test_one_that_is_held_up_while_it_writes_does_not_hold_up_the_others(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = CatalogUrl.parse(postgres_url)
    with bound_catalog(where) as ill, Catalog.open(where) as well:
        monkeypatch.setattr(lease, "LEASE_S", 0.5)
        with pytest.raises(CatalogError, match="held up"), ill.transaction() as change:
            change.add_root(Path("/ill"))
            # As if it had been stopped here: the other's turn comes all the same.
            with well.transaction() as other:
                other.add_root(Path("/well"))
        assert [root.path for root in well.roots()] == [Path("/well")]
