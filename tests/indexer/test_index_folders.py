"""Indexing runs on real files: what is found, what is done again, what is forgotten."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer import IndexReport, index_folders, move_root, remove_folder
from retrieval.catalog import Catalog
from retrieval.errors import (
    EncoderMismatchError,
    ImageError,
    IndexBusyError,
    IndexMissingError,
    MmsearchError,
    UnknownModelError,
)
from retrieval.storage.index_dir import resolve_index_dir
from retrieval.storage.patch_tokens import PatchTokenStore
from retrieval.storage.writer_lock import writer_lock
from retrieval.vectors.faiss.store import FaissStore
from tests.support.small_encoder import ColorEncoder


def paint(path: Path, seed: int) -> Path:
    """A small picture that no other seed gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((48, 40)).save(path)
    return path


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    for seed in range(6):
        paint(folder / ("old" if seed % 2 else "new") / f"{seed}.png", seed)
    return folder


@pytest.fixture
def index_dir(tmp_path: Path) -> Path:
    return tmp_path / "index"


def run(*paths: Path, index_dir: Path, encoder: ColorEncoder | None = None) -> IndexReport:
    return index_folders(paths, index_dir, encoder=encoder or ColorEncoder())


def catalog_of(index_dir: Path) -> Catalog:
    return Catalog.open(index_dir / "catalog.sqlite")


def shown(index_dir: Path) -> dict[Path, int]:
    """The ids of all indexed pictures by path; checks that each has a vector."""
    with catalog_of(index_dir) as catalog:
        ids = catalog.ids_within(Path("/")).tolist()
        assert len(set(ids)) == len(ids) == catalog.count_items()
        assert set(catalog.vectors(ids)) == set(ids)
        images = catalog.items(ids)
    paths = {image.path: id_ for id_, image in images.items()}
    assert len(paths) == len(ids)
    return paths


def failure_kinds(index_dir: Path) -> dict[Path, str]:
    with catalog_of(index_dir) as catalog:
        return {failure.path: failure.kind for failure in catalog.failures()}


def test_every_picture_below_a_folder_is_indexed_with_the_vector_of_its_pixels(
    library: Path, index_dir: Path
) -> None:
    summary = run(library, index_dir=index_dir)
    assert (summary.new, summary.encoded, summary.failed) == (6, 6, 0)
    paths = shown(index_dir)
    assert set(paths) == set(library.rglob("*.png"))
    encoder = ColorEncoder()
    with catalog_of(index_dir) as catalog:
        for path, item_id in paths.items():
            with Image.open(path) as image:
                pixels = np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR))
            expected = encoder.encode_images(pixels[np.newaxis]).vectors[0]
            np.testing.assert_allclose(catalog.vectors([item_id])[item_id], expected, atol=1e-3)
        assert FaissStore(index_dir).manifest().generation == catalog.generation  # type: ignore[union-attr]


def test_a_second_run_reads_nothing_and_changes_nothing(library: Path, index_dir: Path) -> None:
    run(library, index_dir=index_dir)
    before = catalog_of(index_dir).generation
    encoder = ColorEncoder()
    summary = run(library, index_dir=index_dir, encoder=encoder)
    assert (summary.unchanged, summary.new, encoder.seen) == (6, 0, 0)
    assert catalog_of(index_dir).generation == before


def test_an_unchanged_re_scan_loads_neither_models_nor_faiss(
    photos: Path, photo_index: Path, tmp_path: Path
) -> None:
    shutil.copytree(photo_index, tmp_path / "index")
    code = (
        "import sys; from indexer import index_folders\n"
        "summary = index_folders([sys.argv[1]], sys.argv[2])\n"
        "assert summary.unchanged and not summary.new, summary\n"
        "heavy = {'torch', 'onnxruntime', 'open_clip', 'faiss', 'transformers'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, photos, tmp_path / "index"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_changed_file_is_encoded_again_under_its_old_id(library: Path, index_dir: Path) -> None:
    run(library, index_dir=index_dir)
    before = shown(index_dir)
    paint(library / "new" / "0.png", 100)
    summary = run(library, index_dir=index_dir)
    assert (summary.changed, summary.unchanged, summary.encoded) == (1, 5, 1)
    assert shown(index_dir) == before


def test_a_touched_file_is_not_encoded_again(library: Path, index_dir: Path) -> None:
    run(library, index_dir=index_dir)
    os.utime(library / "new" / "0.png", ns=(1, 1))
    assert run(library, index_dir=index_dir).encoded == 0
    assert run(library, index_dir=index_dir).unchanged == 6


def test_a_moved_file_keeps_its_id_and_is_not_encoded_again(library: Path, index_dir: Path) -> None:
    run(library, index_dir=index_dir)
    before = shown(index_dir)
    (library / "old" / "1.png").rename(library / "elsewhere.png")
    summary = run(library, index_dir=index_dir)
    assert (summary.moved, summary.encoded, summary.removed) == (1, 0, 0)
    assert shown(index_dir)[library / "elsewhere.png"] == before[library / "old" / "1.png"]


def test_a_file_moved_to_a_folder_that_is_looked_at_later_keeps_its_id(
    library: Path, index_dir: Path
) -> None:
    folders = (library / "old", library / "new")
    for source, target in (folders, folders[::-1]):
        run(*folders, index_dir=index_dir)
        before = shown(index_dir)
        moved = sorted(source.iterdir())[0]
        moved.rename(target / f"from {source.name}.png")
        summary = run(*folders, index_dir=index_dir)
        assert (summary.moved, summary.encoded, summary.removed) == (1, 0, 0)
        assert shown(index_dir)[target / f"from {source.name}.png"] == before[moved]


def test_copies_stand_on_their_own_and_are_encoded_once(library: Path, index_dir: Path) -> None:
    for number in range(40):
        shutil.copy(library / "new" / "0.png", library / f"copy {number}.png")
    summary = run(library, index_dir=index_dir)
    assert (summary.new, summary.encoded) == (46, 6)
    shutil.copy(library / "new" / "0.png", library / "late.png")
    assert run(library, index_dir=index_dir).encoded == 0
    paths = shown(index_dir)
    (library / "new" / "0.png").unlink()
    assert run(library, index_dir=index_dir).removed == 1
    assert shown(index_dir) == {p: i for p, i in paths.items() if p.name != "0.png"}
    with PatchTokenStore.open(index_dir / "tokens.sqlite", "c0") as tokens:
        assert set(tokens.get(list(paths.values()))) == set(shown(index_dir).values())


def test_two_files_that_swap_names_swap_vectors(tmp_path: Path, index_dir: Path) -> None:
    library = tmp_path / "library"
    # More than a batch between the two, so that one is written before the other is looked at.
    for seed in range(80):
        paint(library / f"{seed:02}.png", seed)
    run(library, index_dir=index_dir)
    ids = shown(index_dir)
    first, last = ids[library / "00.png"], ids[library / "79.png"]
    before = catalog_of(index_dir).vectors([first, last])
    (library / "00.png").rename(library / "x")
    (library / "79.png").rename(library / "00.png")
    (library / "x").rename(library / "79.png")
    for path in library.iterdir():
        os.utime(path)
    assert run(library, index_dir=index_dir).failed == 0
    after = catalog_of(index_dir).vectors([first, last])
    np.testing.assert_allclose(after[first], before[last], atol=1e-3)
    np.testing.assert_allclose(after[last], before[first], atol=1e-3)


def test_a_deleted_file_is_forgotten(library: Path, index_dir: Path) -> None:
    run(library, index_dir=index_dir)
    (library / "old" / "3.png").unlink()
    assert run(library, index_dir=index_dir).removed == 1
    assert library / "old" / "3.png" not in shown(index_dir)


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


def test_bad_files_are_recorded_with_their_kind_and_the_run_goes_on(
    library: Path, index_dir: Path, photos: Path
) -> None:
    jpeg = (photos / "china.jpg").read_bytes()
    bad = {
        "truncated.jpg": (jpeg[: len(jpeg) // 2], "damaged"),
        "text.jpg": (b"Dear diary", "not-a-picture"),
        "empty.jpg": (b"", "empty"),
        "bomb.png": (png_header(50_000, 50_000), "too-large"),
    }
    for name, (data, _kind) in bad.items():
        (library / name).write_bytes(data)
    (library / "dangling.jpg").symlink_to(library / "nothing.jpg")
    summary = run(library, index_dir=index_dir)
    assert (summary.new, summary.failed) == (6, 4)
    assert failure_kinds(index_dir) == {library / name: kind for name, (_d, kind) in bad.items()}
    again = run(library, index_dir=index_dir)
    assert (again.failed, again.unchanged) == (4, 6)
    (library / "truncated.jpg").write_bytes(jpeg)
    (library / "text.jpg").unlink()
    mended = run(library, index_dir=index_dir)
    assert (mended.new, mended.failed) == (1, 2)
    assert set(failure_kinds(index_dir)) == {library / "empty.jpg", library / "bomb.png"}


def test_a_picture_that_became_damaged_is_no_longer_found(library: Path, index_dir: Path) -> None:
    run(library, index_dir=index_dir)
    (library / "new" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert run(library, index_dir=index_dir).failed == 1
    assert library / "new" / "0.png" not in shown(index_dir)


def test_a_picture_that_cannot_be_read_for_now_is_kept_and_tried_again(
    library: Path, index_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tests may run as root, who may read everything: refuse at the one place that opens files.
    import indexer.pipeline.read

    run(library, index_dir=index_dir)
    path = library / "new" / "0.png"
    os.utime(path, ns=(1, 1))

    def refuse(file: Path) -> bytes:
        raise ImageError("unreadable", "reading it is not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(indexer.pipeline.read, "read_known_file", refuse)
        assert run(library, index_dir=index_dir).failed == 1
        assert run(library, index_dir=index_dir).failed == 1
    assert path in shown(index_dir)
    assert failure_kinds(index_dir) == {path: "unreadable"}
    assert run(library, index_dir=index_dir).unchanged == 6
    assert failure_kinds(index_dir) == {}


def test_a_file_that_vanishes_while_it_is_read_is_recorded_and_then_forgotten(
    library: Path, index_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import indexer.pipeline.read

    read = indexer.pipeline.read.read_known_file

    def lose(file: Path) -> bytes:
        if file.name == "0.png":
            file.unlink()
        return read(file)

    with monkeypatch.context() as patch:
        patch.setattr(indexer.pipeline.read, "read_known_file", lose)
        summary = run(library, index_dir=index_dir)
    assert (summary.new, summary.failed) == (5, 1)
    assert failure_kinds(index_dir) == {library / "new" / "0.png": "vanished"}
    assert run(library, index_dir=index_dir).failed == 0
    assert failure_kinds(index_dir) == {}


def test_names_of_any_bytes_are_indexed(tmp_path: Path, index_dir: Path) -> None:
    library = tmp_path / "library"
    names = [
        b"caf\xe9.png",
        b"two\nlines.png",
        b'it\'s "quoted".png',
        "снимок 📷.png".encode(),
        b"100%.png",
    ]
    for seed, name in enumerate(names):
        paint(library / "tmp.png", seed).rename(library / os.fsdecode(name))
    assert run(library, index_dir=index_dir).new == len(names)
    assert {os.fsencode(path.name) for path in shown(index_dir)} == set(names)
    assert run(library, index_dir=index_dir).unchanged == len(names)


def test_hidden_files_and_folders_are_passed_over(library: Path, index_dir: Path) -> None:
    paint(library / ".thumbnails" / "a.png", 50)
    paint(library / ".hidden.png", 51)
    assert run(library, index_dir=index_dir).new == 6


def test_a_link_that_leads_back_up_is_a_failure_of_kind_loop(
    library: Path, index_dir: Path
) -> None:
    (library / "old" / "again").symlink_to(library, target_is_directory=True)
    summary = run(library, index_dir=index_dir)
    assert (summary.new, summary.failed) == (6, 1)
    assert failure_kinds(index_dir) == {library / "old" / "again": "loop"}
    generation = catalog_of(index_dir).generation
    run(library, index_dir=index_dir)
    assert catalog_of(index_dir).generation == generation


def test_a_linked_folder_is_entered_once_and_under_its_own_name(
    library: Path, index_dir: Path, tmp_path: Path
) -> None:
    paint(tmp_path / "outside" / "x.png", 60)
    (library / "a link").symlink_to(library / "old", target_is_directory=True)
    (library / "b link").symlink_to(tmp_path / "outside", target_is_directory=True)
    (library / "c link").symlink_to(tmp_path / "outside", target_is_directory=True)
    assert run(library, index_dir=index_dir).new == 7
    assert library / "b link" / "x.png" in shown(index_dir)
    assert library / "old" / "1.png" in shown(index_dir)


def test_an_absent_root_is_reported_and_its_pictures_are_kept(
    library: Path, index_dir: Path, tmp_path: Path
) -> None:
    run(library, index_dir=index_dir)
    library.rename(tmp_path / "unplugged")
    summary = run(library, index_dir=index_dir)
    assert (summary.absent_roots, summary.removed) == ([library], 0)
    library.mkdir()  # an empty mount point
    for path in (library, library / "old", library / "old" / "1.png"):
        summary = run(path, index_dir=index_dir)
        assert (summary.absent_roots, summary.removed) == ([library], 0)
    assert len(shown(index_dir)) == 6


def test_pictures_of_an_unplugged_disk_are_not_taken_for_moved(
    library: Path, index_dir: Path, tmp_path: Path
) -> None:
    run(library, index_dir=index_dir)
    before = shown(index_dir)
    shutil.copytree(library, tmp_path / "copy")
    library.rename(tmp_path / "unplugged")
    library.mkdir()
    summary = run(tmp_path / "copy", index_dir=index_dir)
    assert (summary.new, summary.moved, summary.encoded) == (6, 0, 0)
    assert before.items() <= shown(index_dir).items()


def test_an_unplugged_folder_inside_an_indexed_folder_loses_no_pictures(
    tmp_path: Path, index_dir: Path
) -> None:
    disk = tmp_path / "mnt" / "disk"
    paint(disk / "a.png", 1)
    paint(tmp_path / "mnt" / "b.png", 2)
    run(disk, index_dir=index_dir)
    disk.rename(tmp_path / "unplugged")
    disk.mkdir()
    assert run(tmp_path / "mnt", index_dir=index_dir).removed == 0
    assert len(shown(index_dir)) == 2
    disk.rmdir()
    (tmp_path / "unplugged").rename(disk)
    assert run(tmp_path / "mnt", index_dir=index_dir).unchanged == 2
    assert [root.path for root in catalog_of(index_dir).roots()] == [tmp_path / "mnt"]


def test_a_folder_inside_a_root_is_scanned_alone(library: Path, index_dir: Path) -> None:
    run(library, index_dir=index_dir)
    (library / "old" / "1.png").unlink()
    (library / "new" / "0.png").unlink()
    summary = run(library / "old", index_dir=index_dir)
    assert (summary.removed, summary.unchanged) == (1, 2)
    assert library / "new" / "0.png" in shown(index_dir)
    assert [root.path for root in catalog_of(index_dir).roots()] == [library]


def test_a_folder_around_roots_takes_them_in(library: Path, index_dir: Path) -> None:
    run(library / "old", library / "new", index_dir=index_dir)
    before = shown(index_dir)
    summary = run(library, index_dir=index_dir)
    assert (summary.unchanged, summary.encoded) == (6, 0)
    assert shown(index_dir) == before
    assert [root.path for root in catalog_of(index_dir).roots()] == [library]


def test_paths_that_overlap_are_counted_once(library: Path, index_dir: Path) -> None:
    summary = run(library / "old", library, library / "old", index_dir=index_dir)
    assert summary.new == 6
    assert len(shown(index_dir)) == 6


def test_a_single_file_can_be_indexed(library: Path, index_dir: Path) -> None:
    assert run(library / "old" / "1.png", index_dir=index_dir).new == 1
    assert list(shown(index_dir)) == [library / "old" / "1.png"]


def test_a_path_that_is_not_there_is_an_error_and_makes_no_index(
    tmp_path: Path, index_dir: Path
) -> None:
    with pytest.raises(MmsearchError, match="There is nothing at"):
        run(tmp_path / "typo", index_dir=index_dir)
    assert not index_dir.exists()


def test_another_model_or_other_weights_are_refused(library: Path, index_dir: Path) -> None:
    run(library, index_dir=index_dir)
    with pytest.raises(EncoderMismatchError, match=r"colours.*compact"):
        index_folders([library], index_dir, model="compact")
    paint(library / "x.png", 70)
    with pytest.raises(EncoderMismatchError, match="colours"):
        run(library, index_dir=index_dir, encoder=ColorEncoder(fingerprint="c1"))
    assert len(shown(index_dir)) == 6


def test_a_second_writer_is_told_who_the_first_is(library: Path, index_dir: Path) -> None:
    with (
        writer_lock(resolve_index_dir(index_dir)),
        pytest.raises(IndexBusyError, match=f"Process {os.getpid()} "),
    ):
        run(library, index_dir=index_dir)
    assert run(library, index_dir=index_dir).new == 6


class StopAfterABatch:
    """Progress that interrupts the run when the first batch is written."""

    def __init__(self, stop: threading.Event | None) -> None:
        self.stop = stop
        self.finished = False

    def start(self, total: int) -> None:
        assert total == 80

    def advance(self, files: int) -> None:
        if self.stop is None:
            raise KeyboardInterrupt
        self.stop.set()

    def finish(self) -> None:
        self.finished = True


@pytest.mark.parametrize("stop", [None, threading.Event()], ids=["Ctrl-C", "stop event"])
def test_an_interrupted_run_keeps_what_was_committed_and_the_next_one_ends_it(
    tmp_path: Path, index_dir: Path, stop: threading.Event | None
) -> None:
    library = tmp_path / "library"
    for seed in range(80):
        paint(library / f"{seed:02}.png", seed)
    progress = StopAfterABatch(stop)
    summary = index_folders(
        [library], index_dir, encoder=ColorEncoder(), progress=progress, stop=stop
    )
    assert (summary.interrupted, summary.new, progress.finished) == (True, 32, True)
    assert FaissStore(index_dir).manifest().count == len(shown(index_dir)) == 32  # type: ignore[union-attr]
    assert run(library, index_dir=index_dir).new == 48


def test_a_run_gives_the_same_rows_and_vectors_every_time(library: Path, tmp_path: Path) -> None:
    for number in range(3):
        shutil.copy(library / "new" / "0.png", library / f"copy {number}.png")
    results = []
    for name in ("one", "two"):
        run(library, index_dir=tmp_path / name)
        ids = shown(tmp_path / name)
        vectors = catalog_of(tmp_path / name).vectors(list(ids.values()))
        results.append((ids, {id_: vector.tobytes() for id_, vector in vectors.items()}))
    assert results[0] == results[1]


def test_remove_forgets_a_folder_and_leaves_its_files(library: Path, index_dir: Path) -> None:
    run(library, index_dir=index_dir)
    assert remove_folder(library / "old", index_dir) == 3
    assert len(shown(index_dir)) == 3
    assert remove_folder(library, index_dir) == 3
    assert catalog_of(index_dir).roots() == []
    assert len(list(library.rglob("*.png"))) == 6
    with pytest.raises(MmsearchError, match="knows nothing of"):
        remove_folder(library, index_dir)


def test_move_re_roots_a_library_without_encoding(library: Path, index_dir: Path) -> None:
    run(library, index_dir=index_dir)
    before = shown(index_dir)
    new = library.with_name("moved")
    with pytest.raises(MmsearchError, match="no folder at"):
        move_root(library, new, index_dir)
    library.rename(new)
    assert move_root(library, new, index_dir) == 6
    assert shown(index_dir) == {
        new / path.relative_to(library): id_ for path, id_ in before.items()
    }
    assert run(new, index_dir=index_dir).unchanged == 6
    with pytest.raises(MmsearchError, match="not one of the indexed folders"):
        move_root(library, new, index_dir)


def test_real_photographs_are_indexed_with_the_built_in_model_and_found_by_themselves(
    photos: Path, photo_index: Path
) -> None:
    from retrieval import SearchEngine

    with SearchEngine.open(photo_index) as engine:
        assert engine.encoder.space.name == "compact"
        assert engine.catalog.failures() == []
        hit = engine.search(photos / "china.jpg", k=1)[0]
    assert hit.path == photos / "china.jpg"
    assert hit.similarity > 0.99


def test_a_run_killed_at_any_moment_loses_nothing_that_was_committed(
    tmp_path: Path, index_dir: Path
) -> None:
    library = tmp_path / "library"
    count = 200
    for seed in range(count):
        paint(library / f"{seed:03}.png", seed)
    code = (
        "import sys; from indexer.pipeline import run\n"
        "from tests.support.small_encoder import ColorEncoder\n"
        "run.BATCH_SIZE = 4\n"
        "print('ready', flush=True)\n"
        "run.index_folders([sys.argv[1]], sys.argv[2], encoder=ColorEncoder(pause_s=0.02))"
    )
    repository = Path(__file__).parents[2]
    paths = os.pathsep.join([str(repository), str(Path(__file__).parent)])
    moments = random.Random(7)
    seen: dict[Path, int] = {}
    for _ in range(10):
        child = subprocess.Popen(
            [sys.executable, "-c", code, library, index_dir],
            env={**os.environ, "PYTHONPATH": paths},
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        time.sleep(moments.uniform(0.02, 0.6))
        child.kill()
        child.wait()
        child.stdout.close()
        try:
            present = shown(index_dir)
        except IndexMissingError:
            present = {}  # killed before there was anything
        assert seen.items() <= present.items()
        seen = present
        assert not seen or catalog_of(index_dir).check_integrity() == []
    summary = run(library, index_dir=index_dir)
    assert summary.new + summary.unchanged == count
    assert set(shown(index_dir)) == set(library.iterdir())
    with catalog_of(index_dir) as catalog:
        manifest = FaissStore(index_dir).manifest()
        assert manifest is not None
        assert (manifest.count, manifest.generation) == (count, catalog.generation)


class UnavailableEncoder(ColorEncoder):
    """A model whose weights cannot be downloaded."""

    def __init__(self) -> None:
        super().__init__()
        del self.preprocessing

    def __getattr__(self, name: str) -> object:
        if name == "preprocessing":
            raise UnknownModelError("The weights cannot be had.")
        raise AttributeError(name)


def test_a_model_that_is_not_to_be_had_is_told_before_any_file_is_read(
    library: Path, index_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    monkeypatch.setattr("indexer.pipeline.read.read_known_file", read.append)
    with pytest.raises(UnknownModelError):
        index_folders([library], index_dir, encoder=UnavailableEncoder())
    assert read == []
