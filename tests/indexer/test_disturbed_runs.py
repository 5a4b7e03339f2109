"""Runs that are killed, meet a full or failing disk, or one another: nothing is lost.

The scripts in `benchmarks` do the same at hundreds of points.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import concurrency, disk_faults, kill_points
from benchmarks.faults.layer import Fault, compile_layer
from benchmarks.faults.library import paint, require_sound, state_of
from benchmarks.faults.server import Server
from benchmarks.faults.trials import Tally, require_finished, require_kept, scenarios
from indexer import index_folders
from retrieval.errors import DamagedCatalogError, IndexBusyError, StorageError
from retrieval.storage.patch_tokens import PatchTokenStore
from tests.support.program import mmsearch
from tests.support.small_disks import grow, small_disk
from tests.support.small_encoder import ColorEncoder


def test_a_run_killed_at_any_point_loses_nothing_and_the_next_one_ends_it(tmp_path: Path) -> None:
    tally = Tally()
    kill_points.try_points(tmp_path / "points", 16, 1, tally)
    assert sum(tally.tried.values()) == 16
    assert tally.wrong == []


def test_a_disk_that_fails_at_any_point_is_told_in_a_sentence_and_loses_nothing(
    tmp_path: Path,
) -> None:
    layer = compile_layer(tmp_path)
    if layer is None:
        pytest.skip("faults need Linux and a C compiler")
    tally, injected = disk_faults.bring_up(tmp_path, layer, 24, 1)
    assert injected > 0
    assert tally.wrong == []


@pytest.mark.parametrize("at", [22, 23, 24])
def test_a_single_failed_reading_of_the_tokens_costs_none_of_them(tmp_path: Path, at: int) -> None:
    layer = compile_layer(tmp_path)
    if layer is None:
        pytest.skip("faults need Linux and a C compiler")
    with Server(layer) as server:
        scenario = next(
            one for one in scenarios(tmp_path, server, has_layer=True) if one.name == "remove"
        )
        fault = Fault("unreadable", at, at, "")
        index_dir = tmp_path / "index"
        shutil.copytree(scenario.base, index_dir)
        ended = server.run(index_dir, *scenario.arguments, fault=fault)
        assert ended.failed == 1
        require_kept(scenario, index_dir)
        require_finished(scenario, index_dir, server)


def test_readers_and_a_second_writer_live_with_a_writer_that_is_killed(tmp_path: Path) -> None:
    seen, kills, images = concurrency.run_together(tmp_path, readers=2, seconds=6)
    assert [one.wrong for one in seen] == [[], [], []]
    assert kills >= 1 and images > 8
    assert all(one.done > 0 and one.states > 0 for one in seen if one.role == "reader")


def test_a_full_disk_is_told_answers_are_still_given_and_the_run_goes_on_with_more_space(
    tmp_path: Path, photos: Path
) -> None:
    with small_disk(tmp_path / "disk", "420k") as disk:
        index_dir = disk / "index"
        full = mmsearch("index", photos, index_dir=index_dir)
        assert full.returncode == 7, full
        told = [line for line in full.stderr.splitlines() if line.startswith("Error")]
        assert len(told) == 1 and "Traceback" not in full.stderr
        assert f"The disk is full where the index is, {index_dir}: make space" in told[0]
        kept = state_of(index_dir).pictures
        grow(disk, "40m")
        again = mmsearch("index", photos, "--json", index_dir=index_dir)
        assert again.returncode == 0, again.stderr
        assert json.loads(again.stdout)["failed"] == 0
        require_sound(index_dir)
        whole = state_of(index_dir)
        assert kept.items() <= whole.pictures.items()
        assert len(whole.pictures) == len(whole.tokens) == len(list(photos.iterdir()))


def test_tokens_that_cannot_be_removed_keep_the_new_vector_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, index_dir = tmp_path / "library", tmp_path / "index"
    paint(library / "a.png", 1)
    index_folders([library], index_dir, encoder=ColorEncoder())
    before = state_of(index_dir)
    paint(library / "a.png", 2)
    with PatchTokenStore.open(index_dir / "tokens.sqlite", "c0") as other:
        # Another program holds the file for longer than anyone waits.
        other._connection.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr("retrieval.storage.patch_tokens.WAIT_S", 0.1)
        with pytest.raises(StorageError, match=r"tokens\.sqlite"):
            index_folders([library], index_dir, encoder=ColorEncoder())
        other._connection.execute("ROLLBACK")
    assert state_of(index_dir) == before
    assert index_folders([library], index_dir, encoder=ColorEncoder()).changed == 1
    assert state_of(index_dir).tokens != before.tokens


def test_lost_tokens_are_made_again_by_the_next_run(tmp_path: Path) -> None:
    library, index_dir = tmp_path / "library", tmp_path / "index"
    for seed in range(5):
        paint(library / f"{seed}.png", seed)
    index_folders([library], index_dir, encoder=ColorEncoder())
    before = state_of(index_dir)
    with PatchTokenStore.open(index_dir / "tokens.sqlite", "c0") as tokens:
        tokens.put([777], state_tokens(tokens))
        tokens.remove([2, 4])
    index_folders([library], index_dir, encoder=ColorEncoder())
    assert state_of(index_dir) == before
    for path in index_dir.glob("tokens*"):
        path.unlink()
    index_folders([library], index_dir, encoder=ColorEncoder())
    assert state_of(index_dir) == before
    with PatchTokenStore.open(index_dir / "tokens.sqlite", "c0") as tokens:
        ids = tokens.ids()
    assert ids is not None and ids.tolist() == [1, 2, 3, 4, 5]


def state_tokens(tokens: PatchTokenStore) -> object:
    return tokens.get([1])[1][None]


def test_the_lock_of_a_killed_writer_is_free_at_once_and_its_name_is_not_told(
    tmp_path: Path,
) -> None:
    library, index_dir = tmp_path / "library", tmp_path / "index"
    paint(library / "a.png", 1)
    code = (
        "import sys, time\n"
        "from retrieval.storage.writer_lock import writer_lock\n"
        "from retrieval.storage.index_dir import resolve_index_dir\n"
        "with writer_lock(resolve_index_dir(sys.argv[1])):\n"
        "    print('held', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, index_dir], stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    with pytest.raises(IndexBusyError, match=f"Process {holder.pid} is writing"):
        index_folders([library], index_dir, encoder=ColorEncoder())
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    assert (index_dir / "writer.pid").read_text() == str(holder.pid)
    started = time.monotonic()
    assert index_folders([library], index_dir, encoder=ColorEncoder()).new == 1
    assert time.monotonic() - started < 30
    assert not (index_dir / "writer.pid").exists()


def test_damage_is_looked_for_after_a_writer_was_cut_off(tmp_path: Path) -> None:
    from benchmarks.faults.library import damage_catalog

    library, index_dir = tmp_path / "library", tmp_path / "index"
    for seed in range(40):
        paint(library / f"{seed}.png", seed)
    index_folders([library], index_dir, encoder=ColorEncoder())
    damage_catalog(index_dir)
    (index_dir / "writer.pid").write_text(str(os.getpid()))
    with pytest.raises(DamagedCatalogError, match="is damaged"):
        index_folders([library], index_dir, encoder=ColorEncoder())


def test_an_emptied_catalogue_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    library, index_dir = tmp_path / "library", tmp_path / "index"
    paint(library / "a.png", 1)
    index_folders([library], index_dir, encoder=ColorEncoder())
    (index_dir / "catalog.sqlite").write_bytes(b"")
    for _ in range(2):
        with pytest.raises(DamagedCatalogError, match="its tables are gone"):
            index_folders([library], index_dir, encoder=ColorEncoder())
    shutil.rmtree(index_dir)
    index_dir.mkdir()
    (index_dir / "catalog.sqlite").write_bytes(b"")  # a first run that was cut off at once
    assert index_folders([library], index_dir, encoder=ColorEncoder()).new == 1
