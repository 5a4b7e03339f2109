"""A watch, as a process, sees what happens to the files of its folders and indexes it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from PIL import Image

from indexer import check_index, index_folders
from retrieval.catalog import Catalog
from retrieval.errors import IndexBusyError
from retrieval.storage.index_dir import IndexDir
from retrieval.storage.writer_lock import writer_lock
from tests.indexer.test_check_and_mend import paint
from tests.support.small_encoder import ColorEncoder

WATCHER = "tests.support.watcher"
REPOSITORY = Path(__file__).parents[2]
# Far more than is needed, for machines that are busy with other things.
PATIENCE_S = 120.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="follows Linux's notifications")


class Watch:
    """A running watch and what it has said."""

    def __init__(self, index: Path, *folders: Path, quiet_s: float, pause_s: float) -> None:
        self.index = index
        self.rounds: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", WATCHER, index, str(quiet_s), str(pause_s), *folders],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=REPOSITORY,
        )
        self._reader = Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.rounds.append(json.loads(line))

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()
            assert time.monotonic() < end, (self.rounds, names(self.index))
            time.sleep(0.05)

    def until_shown(self, *expected: str) -> None:
        self.until(lambda: names(self.index) == set(expected))

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        self._reader.join()
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


def names(index: Path) -> set[str]:
    """The names of all indexed pictures."""
    if not (index / "catalog.sqlite").exists():
        return set()
    try:
        with Catalog.open(index / "catalog.sqlite") as catalog:
            ids = catalog.vector_ids().tolist()
            return {image.path.name for image in catalog.items(ids).values()}
    except Exception:  # Just being made.
        return set()


Start = Callable[..., Watch]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a watch of `library` and waits for its first round."""
    with ExitStack() as stack:

        def begin(*folders: Path, quiet_s: float = 0.2, pause_s: float = 0.0) -> Watch:
            watch = Watch(tmp_path / "index", *folders, quiet_s=quiet_s, pause_s=pause_s)
            stack.callback(watch.close)
            watch.until(lambda: bool(watch.rounds))
            return watch

        yield begin


@pytest.fixture
def library(tmp_path: Path) -> Path:
    for seed in range(2):
        paint(tmp_path / "library" / f"{seed}.png", seed)
    return tmp_path / "library"


def index_where_free(folder: Path, index: Path) -> bool:
    """Index a folder beside the watch; False while that is in one of its rounds."""
    try:
        index_folders([folder], index, encoder=ColorEncoder())
    except IndexBusyError:
        return False
    return True


def check(index: Path) -> None:
    assert check_index(index, with_content=True, encoder=ColorEncoder()).findings == ()


def test_what_happens_to_files_is_in_the_index_a_moment_later(
    start: Start, library: Path, tmp_path: Path
) -> None:
    watch = start(library)
    assert names(watch.index) == {"0.png", "1.png"}
    paint(library / "deep" / "down" / "2.png", 2)
    watch.until_shown("0.png", "1.png", "2.png")
    (library / "0.png").rename(library / "renamed.png")
    watch.until_shown("renamed.png", "1.png", "2.png")
    watch.until(lambda: watch.rounds[-1]["moved"] == 1)
    (library / "1.png").unlink()
    watch.until_shown("renamed.png", "2.png")
    paint(library / "renamed.png", 7)
    watch.until(lambda: watch.rounds[-1]["changed"] == 1)
    (library / "deep").rename(library / "deeper")
    watch.until(lambda: sum(done["moved"] for done in watch.rounds) == 2)
    shutil.rmtree(library / "deeper")
    watch.until_shown("renamed.png")
    paint(tmp_path / "outside" / "3.png", 3)
    (tmp_path / "outside").rename(library / "inside")
    watch.until_shown("renamed.png", "3.png")
    assert watch.stop() == 0
    check(watch.index)
    assert sum(done["encoded"] for done in watch.rounds) == 5


def test_what_is_no_picture_or_hidden_or_came_and_went_makes_no_round(
    start: Start, library: Path
) -> None:
    watch = start(library, quiet_s=1.0)
    (library / "notes.txt").write_text("no picture")
    paint(library / ".hidden" / "2.png", 2)
    paint(library / ".3.png", 3)
    paint(library / "4.png", 4).unlink()
    time.sleep(3.0)
    assert len(watch.rounds) == 1
    paint(library / "5.png", 5)
    watch.until_shown("0.png", "1.png", "5.png")
    assert watch.stop() == 0


def test_an_index_inside_the_folder_does_not_wake_its_own_watch(
    library: Path, start: Start, tmp_path: Path
) -> None:
    watch = start(tmp_path)
    paint(library / "2.png", 2)
    watch.until_shown("0.png", "1.png", "2.png")
    watch.until(lambda: len(watch.rounds) > 1)
    # A file that is being written may make two rounds, a watch that wakes itself makes many.
    time.sleep(3.0)
    assert len(watch.rounds) <= 3


def test_a_burst_of_thousands_of_files_is_taken_in_whole(start: Start, library: Path) -> None:
    watch = start(library)
    bitmap = BytesIO()
    Image.new("RGB", (4, 4)).save(bitmap, "BMP")
    head = bitmap.getvalue()[:54]
    for folder in range(4):
        (library / str(folder)).mkdir()
        for number in range(500):
            pixels = number.to_bytes(2, "big") + bytes([folder]) * 46
            (library / str(folder) / f"{folder}-{number}.bmp").write_bytes(head + pixels)
    watch.until(lambda: len(names(watch.index)) == 2002)
    assert watch.stop() == 0
    assert sum(done["encoded"] for done in watch.rounds) == 2002


def test_changes_that_the_system_could_not_tell_of_are_found(start: Start, library: Path) -> None:
    watch = start(library)
    os.kill(watch.process.pid, signal.SIGSTOP)
    # More notifications than the system keeps, of files that do not matter; then one that does.
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for number in range(limit // 2 + 1000):
        passing = library / f"{number % 100}.tmp"
        passing.touch()
        passing.unlink()
    paint(library / "2.png", 2)
    (library / "0.png").unlink()
    os.kill(watch.process.pid, signal.SIGCONT)
    watch.until_shown("1.png", "2.png")
    # What is made after the overflow, in a folder whose making went unseen, is followed too.
    paint(library / "later" / "3.png", 3)
    watch.until_shown("1.png", "2.png", "3.png")
    assert watch.stop() == 0


def test_a_folder_that_goes_and_comes_back_is_followed_again(
    start: Start, library: Path, tmp_path: Path
) -> None:
    watch = start(library)
    library.rename(tmp_path / "away")
    time.sleep(3)
    assert names(watch.index) == {"0.png", "1.png"}
    paint(tmp_path / "away" / "2.png", 2)
    (tmp_path / "away").rename(library)
    watch.until_shown("0.png", "1.png", "2.png")
    paint(library / "3.png", 3)
    watch.until_shown("0.png", "1.png", "2.png", "3.png")
    assert watch.stop() == 0
    check(watch.index)


def test_pictures_are_kept_when_a_disk_goes_from_its_mount_point(
    start: Start, library: Path, tmp_path: Path
) -> None:
    paint(library / "folder" / "2.png", 2)
    watch = start(library)
    library.rename(tmp_path / "away")
    library.mkdir()
    time.sleep(3)
    assert names(watch.index) == {"0.png", "1.png", "2.png"}
    assert watch.stop() == 0


def test_changes_wait_while_another_process_writes(start: Start, library: Path) -> None:
    watch = start(library)
    with writer_lock(IndexDir(watch.index)):
        paint(library / "2.png", 2)
        time.sleep(1.5)
        assert names(watch.index) == {"0.png", "1.png"}
    watch.until_shown("0.png", "1.png", "2.png")
    # Between its rounds the index is free.
    paint(library.with_name("other") / "3.png", 3)
    watch.until(lambda: index_where_free(library.with_name("other"), watch.index))
    assert names(watch.index) == {"0.png", "1.png", "2.png", "3.png"}
    assert watch.stop() == 0


def test_without_paths_all_indexed_folders_are_followed_also_later_ones(
    start: Start, library: Path, tmp_path: Path
) -> None:
    index_folders([library], tmp_path / "index", encoder=ColorEncoder())
    watch = start()
    other = paint(tmp_path / "other" / "2.png", 2).parent
    watch.until(lambda: index_where_free(other, watch.index))
    time.sleep(3)
    paint(other / "3.png", 3)
    watch.until_shown("0.png", "1.png", "2.png", "3.png")
    assert watch.stop() == 0


def test_a_watch_that_is_told_to_stop_keeps_what_it_has_done(start: Start, library: Path) -> None:
    watch = start(library, pause_s=0.2)
    for seed in range(10, 410):
        paint(library / f"{seed}.png", seed)
    watch.until(lambda: len(names(watch.index)) > 40)
    assert watch.stop() == 0
    assert watch.rounds[-1]["interrupted"]
    shown = names(watch.index)
    assert 40 < len(shown) < 402
    assert len(shown) == sum(done["new"] for done in watch.rounds)
    check(watch.index)
    index_folders([library], watch.index, encoder=ColorEncoder())
    assert len(names(watch.index)) == 402
