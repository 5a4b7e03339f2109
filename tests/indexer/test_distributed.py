"""Encoding on a Ray cluster gives the same index, whichever worker is lost on the way."""

from __future__ import annotations

import http.server
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset

pytest.importorskip("ray", reason="Ray is not installed: distributed indexing is not tried")

from indexer import index_distributed, index_folders, index_shards
from indexer.distributed import shards
from indexer.distributed.cluster import ClusterSettings, connected
from indexer.distributed.shards import LIST, TAR, Shard, pictures_of
from indexer.pipeline.exclude import Exclusions
from retrieval.catalog import Catalog
from retrieval.catalog.transaction import put_info
from retrieval.encoders.base import ImageEncoding, Pixels
from retrieval.errors import EncoderMismatchError, MmsearchError
from retrieval.storage.index_dir import IndexDir
from tests.support.small_encoder import ColorEncoder

TWO = ClusterSettings(workers=2)


class MortalEncoder(ColorEncoder):
    """Ends the process that it is in, once for each of the marks that it is given."""

    def __init__(self, *marks: Path) -> None:
        super().__init__()
        self.marks = marks

    def encode_images(self, pixels: Pixels) -> ImageEncoding:
        for mark in self.marks:
            try:
                mark.touch(exist_ok=False)
            except FileExistsError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode_images(pixels)


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Any]:
    """One small cluster for all tests."""
    with connected(TWO) as ray:
        yield ray


@pytest.fixture(scope="module")
def library(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs in several batches, some of them copies, and files that are none."""
    folder = tmp_path_factory.mktemp("library")
    for number, path in enumerate(sorted(photos.iterdir()) * 3):
        content = path.read_bytes()
        # The same photograph as another file, but for the first two times.
        (folder / f"{number:03}{path.suffix}").write_bytes(content + b"\0" * (number // 36))
    (folder / "poison.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    (folder / "empty.png").touch()
    return folder


def stored(index_dir: Path) -> dict[str, bytes]:
    with Catalog.open(IndexDir(index_dir).catalog) as catalog:
        ids = catalog.item_ids().tolist()
        vectors = catalog.vectors(ids)
        found = {item.path.name: vectors[id_].tobytes() for id_, item in catalog.items(ids).items()}
        assert len(found) == len(ids)
        return found


@pytest.fixture(scope="module")
def expected(library: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    index_dir = tmp_path_factory.mktemp("expected")
    index_folders([library], index_dir, encoder=ColorEncoder())
    return stored(index_dir)


def test_the_index_is_that_of_one_process(
    library: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    encoder = ColorEncoder()
    run = index_distributed([library], tmp_path, settings=TWO, encoder=encoder)
    assert stored(tmp_path) == expected
    assert (run.new, run.failed) == (len(expected), 2) and run.encoded < run.new
    # Nothing of it was encoded here.
    assert encoder.seen == 0
    again = index_distributed([library], tmp_path, settings=TWO, encoder=encoder)
    assert (again.new, again.unchanged) == (0, len(expected))
    with Catalog.open(IndexDir(tmp_path).catalog) as catalog:
        assert {one.path.name for one in catalog.failures()} == {"poison.jpg", "empty.png"}


def test_workers_that_are_lost_lose_and_double_nothing(
    library: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    marks = [tmp_path / f"mark {number}" for number in range(2)]
    run = index_distributed(
        [library], tmp_path / "index", settings=TWO, encoder=MortalEncoder(*marks)
    )
    assert all(mark.exists() for mark in marks)
    assert stored(tmp_path / "index") == expected
    assert run.new == len(expected)


def test_what_is_cut_off_goes_on_where_it_was(
    library: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    class StopSoon:
        def __init__(self) -> None:
            self.stop = threading.Event()

        def start(self, total: int) -> None:
            assert total == len(expected) + 2

        def advance(self, files: int) -> None:
            self.stop.set()

        def finish(self) -> None:
            pass

    soon = StopSoon()
    first = index_distributed(
        [library], tmp_path, settings=TWO, encoder=ColorEncoder(), progress=soon, stop=soon.stop
    )
    assert first.interrupted and 0 < first.new < len(expected)
    second = index_distributed([library], tmp_path, settings=TWO, encoder=ColorEncoder())
    assert first.new + second.new == len(expected)
    assert stored(tmp_path) == expected


class DieSoon:
    """Ends the process that it is in as soon as something is done."""

    def start(self, total: int) -> None:
        pass

    def advance(self, files: int) -> None:
        if files:
            os.kill(os.getpid(), signal.SIGKILL)

    def finish(self) -> None:
        pass


def killed(run: Callable[..., object], source: Path, index_dir: Path) -> None:
    """Begin a run in a process of its own, with a cluster of its own, that does not end it."""
    process = multiprocessing.get_context("spawn").Process(
        target=run,
        args=([str(source)], index_dir),
        kwargs={"settings": TWO, "encoder": ColorEncoder(), "progress": DieSoon()},
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def test_a_run_that_is_killed_is_ended_by_the_next(
    library: Path, expected: dict[str, bytes], photos: Path, tmp_path: Path
) -> None:
    killed(index_distributed, library, tmp_path / "folders")
    before = len(stored(tmp_path / "folders"))
    assert 0 < before < len(expected)
    run = index_distributed([library], tmp_path / "folders", settings=TWO, encoder=ColorEncoder())
    assert (run.new, run.unchanged) == (len(expected) - before, before)
    assert stored(tmp_path / "folders") == expected

    tars = tmp_path / "tars"
    told = write_tars(tars, photos)
    killed(index_shards, tars, tmp_path / "shards")
    before = len(by_place(tmp_path / "shards", tars))
    assert 0 < before < len(told)
    index_shards([str(tars)], tmp_path / "shards", settings=TWO, encoder=ColorEncoder())
    assert by_place(tmp_path / "shards", tars).keys() == told.keys()


def test_a_worker_with_another_model_is_refused(library: Path, tmp_path: Path) -> None:
    class Other(ColorEncoder):
        """Is another one wherever it is sent."""

        def __reduce__(self) -> tuple[Any, ...]:
            return ColorEncoder, ("colours", "another")

    with pytest.raises(EncoderMismatchError, match="another on a worker"):
        index_distributed([library], tmp_path, settings=TWO, encoder=Other())
    assert stored(tmp_path) == {}


def test_a_cluster_that_is_not_there_is_told(tmp_path: Path, photos: Path) -> None:
    from indexer.distributed.cluster import count_workers

    class Nothing:
        @staticmethod
        def cluster_resources() -> dict[str, float]:
            return {"CPU": 2.0}

    with pytest.raises(MmsearchError, match="has no GPU"):
        count_workers(Nothing(), ClusterSettings(device="gpu"))


def write_tars(folder: Path, photos: Path) -> dict[str, Path]:
    """Tar files as img2dataset writes them; the pictures by the paths that they get."""
    folder.mkdir()
    told: dict[str, Path] = {}
    paths = sorted(photos.iterdir())
    for number in range(3):
        with webdataset.TarWriter(str(folder / f"{number:05}.tar"), encoder=False) as tar:
            for place, path in enumerate(paths[number::3]):
                key = f"{number:05}{place:04}"
                suffix = path.suffix[1:]
                record = json.dumps({"url": f"https://example.org/{path.name}", "width": 3})
                sample = {
                    "__key__": key,
                    suffix: path.read_bytes(),
                    "txt": f"a photograph called {path.stem}".encode(),
                    "json": record.encode(),
                }
                tar.write(sample)
                told[f"{number:05}/{key}.{suffix}"] = path
            if number == 1:
                tar.write({"__key__": "poison", "jpg": b"\xff\xd8\xff\xe0 no picture"})
    return told


def by_place(index_dir: Path, folder: Path) -> dict[str, tuple[bytes, str | None]]:
    base = index_dir / "shards" / str(folder).lstrip("/")
    with Catalog.open(IndexDir(index_dir).catalog) as catalog:
        ids = catalog.item_ids().tolist()
        vectors = catalog.vectors(ids)
        return {
            item.path.relative_to(base).as_posix(): (
                vectors[id_].tobytes(),
                item.metadata.caption,
            )
            for id_, item in catalog.items(ids).items()
        }


def test_tar_files_become_items_once_whoever_dies(
    photos: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    told = write_tars(tmp_path / "tars", photos)
    index_dir = tmp_path / "index"
    marks = [tmp_path / "mark"]
    run = index_shards(
        [str(tmp_path / "tars")], index_dir, settings=TWO, encoder=MortalEncoder(*marks)
    )
    assert all(mark.exists() for mark in marks)
    assert (run.new, run.failed) == (len(told), 1)
    found = by_place(index_dir, tmp_path / "tars")
    assert found.keys() == told.keys()
    names = [path.name for path in sorted(photos.iterdir())]
    for place, path in told.items():
        vector, caption = found[place]
        # As the same photograph in a folder has it.
        assert vector == expected[f"{names.index(path.name):03}{path.suffix}"]
        assert caption is not None
    assert any(caption == "a photograph called coffee" for _, caption in found.values())
    with Catalog.open(IndexDir(index_dir).catalog) as catalog:
        assert [one.path.name for one in catalog.failures()] == ["poison.jpg"]
        assert len(catalog.shards_done()) == 3
    again = index_shards([str(tmp_path / "tars")], index_dir, settings=TWO, encoder=ColorEncoder())
    assert (again.new, again.encoded) == (0, 0)
    # An ordinary run neither misses nor forgets them.
    looked = index_folders([index_dir / "shards"], index_dir, encoder=ColorEncoder())
    assert (looked.removed, looked.absent_roots) == (0, [])
    assert by_place(index_dir, tmp_path / "tars") == found


def test_a_run_over_shards_that_is_cut_off_does_the_rest_later(
    photos: Path, tmp_path: Path
) -> None:
    told = write_tars(tmp_path / "tars", photos)
    index_dir = tmp_path / "index"
    stop = threading.Event()
    stop.set()
    first = index_shards(
        [str(tmp_path / "tars" / "*.tar")],
        index_dir, settings=TWO, encoder=ColorEncoder(), stop=stop,
    )  # fmt: skip
    assert first.interrupted and 0 < first.new < len(told)
    second = index_shards([str(tmp_path / "tars")], index_dir, settings=TWO, encoder=ColorEncoder())
    assert first.new + second.new == len(told) == len(by_place(index_dir, tmp_path))


def test_what_a_worker_fails_of_over_shards_is_told_in_its_own_words(
    photos: Path, tmp_path: Path
) -> None:
    class Failing(ColorEncoder):
        def encode_images(self, pixels: Pixels) -> ImageEncoding:
            raise ValueError("the colours have run out\nsomewhere")

    write_tars(tmp_path / "tars", photos)
    with pytest.raises(MmsearchError) as told:
        index_shards([str(tmp_path / "tars")], tmp_path / "index", settings=TWO, encoder=Failing())
    assert str(told.value) == "The workers cannot encode (the colours have run out)."


def test_shards_that_an_older_catalogue_lists_as_done_stay_done(tmp_path: Path) -> None:
    with Catalog.create(IndexDir(tmp_path).catalog) as catalog:
        with catalog.transaction() as change:
            put_info(change._connection, "shards", json.dumps(["a.tar 1", "b%.tar 2"]))
        with catalog.transaction() as change:
            change.note_shard_done("c_.tar 3")
            change.note_shard_done("c_.tar 3")
        assert catalog.shards_done() == {"a.tar 1", "b%.tar 2", "c_.tar 3"}


def test_a_run_over_shards_takes_what_one_over_folders_does(photos: Path, tmp_path: Path) -> None:
    told = write_tars(tmp_path / "tars", photos)
    index_dir = tmp_path / "index"
    run = index_shards(
        [str(tmp_path / "tars")], index_dir, settings=TWO, encoder=ColorEncoder(),
        vector_index="sq8", vector_store="faiss", exclude=["*.png", "/00001*"],
    )  # fmt: skip
    kept = {
        path for path in told if not path.startswith("00001/00001") and not path.endswith(".png")
    }
    assert 0 < len(kept) < len(told)
    assert by_place(index_dir, tmp_path / "tars").keys() == kept
    assert run.new == len(kept)
    with Catalog.open(IndexDir(index_dir).catalog) as catalog:
        assert catalog.vector_index_choice == "sq8"
    for wrong in ({"exclude": ["!"]}, {"vector_index": "best"}):
        with pytest.raises(MmsearchError):
            index_shards([str(tmp_path / "tars")], tmp_path / "none", settings=TWO, **wrong)
    assert not (tmp_path / "none").exists()


def test_shards_that_are_called_alike_do_not_overwrite_each_other(
    photos: Path, tmp_path: Path
) -> None:
    folders = [tmp_path / "ours", tmp_path / "theirs"]
    told = [write_tars(folder, photos) for folder in folders]
    index_dir = tmp_path / "index"
    run = index_shards(
        [str(folder / "00000.tar") for folder in folders],
        index_dir, settings=TWO, encoder=ColorEncoder(),
    )  # fmt: skip
    expected = {
        f"{folder.name}/{name}"
        for folder, names in zip(folders, told, strict=True)
        for name in names
        if name.startswith("00000/")
    }
    assert by_place(index_dir, tmp_path).keys() == expected
    assert run.new == len(expected)


def test_a_shard_that_ends_early_costs_only_what_is_missing(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tars"
    told = write_tars(folder, photos)
    whole = (folder / "00000.tar").read_bytes()
    first = Path(next(path for name, path in told.items() if name.startswith("00000/")))
    (folder / "00000.tar").write_bytes(whole[: 512 * 10 + first.stat().st_size])
    (folder / "00001.tar").write_bytes(b"no tar at all" * 100)
    (folder / "00002.tar").write_bytes(b"")
    index_dir = tmp_path / "index"
    good = tmp_path / "00003.tar"
    with webdataset.TarWriter(str(good), encoder=False) as tar:
        tar.write({"__key__": "a", "jpg": first.read_bytes()})
    sources = [str(folder), str(good)]
    run = index_shards(sources, index_dir, settings=TWO, encoder=ColorEncoder())
    assert run.new == 2
    with Catalog.open(IndexDir(index_dir).catalog) as catalog:
        failures = {one.path.name: (one.kind, one.reason) for one in catalog.failures()}
        assert failures.keys() == {"00000.tar", "00001.tar", "00002.tar"}
        assert {kind for kind, _ in failures.values()} == {"damaged"}
        assert len(catalog.shards_done()) == 1
    # Mended, they are read anew; the rest is not.
    (folder / "00001.tar").unlink()
    (folder / "00002.tar").unlink()
    (folder / "00000.tar").write_bytes(whole)
    again = index_shards(sources, index_dir, settings=TWO, encoder=ColorEncoder())
    names = [name for name in told if name.startswith("00000/")]
    assert again.encoded == len(names)
    assert by_place(index_dir, tmp_path).keys() == {"00003/a.jpg", *(f"tars/{n}" for n in names)}
    with Catalog.open(IndexDir(index_dir).catalog) as catalog:
        assert "00000.tar" not in {one.path.name for one in catalog.failures()}


def test_what_is_too_large_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_MAX_PICTURE_BYTES", 2**20)
    large = tmp_path / "large.jpg"
    large.write_bytes(b"\xff\xd8" + bytes(2**20))
    with webdataset.TarWriter(str(tmp_path / "a.tar"), encoder=False) as tar:
        tar.write({"__key__": "b", "jpg": large.read_bytes(), "txt": b"too large"})
        tar.write({"__key__": "c", "png": b"small", "bin": bytes(2**20 + 1)})
    pq.write_table(pa.table({"url": [f"file://{large}"]}), tmp_path / "list.parquet")
    of_tar = list(pictures_of(Shard(TAR, f"file://{tmp_path}/a.tar", "mark")))
    of_list = list(pictures_of(Shard(LIST, f"file://{tmp_path}/list.parquet", "mark", 0, 1)))
    told = {one.name: one.failure and one.failure.kind for one in of_tar + of_list}
    assert told == {"b.jpg": "too-large", "c.png": None, f"file://{large}": "too-large"}


@pytest.mark.parametrize("rows_a_group", [1, 3, 10])
def test_stretches_of_a_list_are_its_rows_in_order(tmp_path: Path, rows_a_group: int) -> None:
    urls = [f"file://{tmp_path}/{row}.jpg" for row in range(10)]
    for row in range(10):
        (tmp_path / f"{row}.jpg").write_bytes(bytes([row]))
    table = pa.table({"key": range(10), "TEXT": [f"no. {row}" for row in range(10)], "url": urls})
    pq.write_table(table, tmp_path / "list.parquet", row_group_size=rows_a_group)
    found = [
        picture
        for begin, end in ((0, 4), (4, 5), (5, 10))
        for picture in pictures_of(Shard(LIST, f"{tmp_path}/list.parquet", "mark", begin, end))
    ]
    assert [picture.name for picture in found] == urls
    assert [picture.data for picture in found] == [bytes([row]) for row in range(10)]
    assert [picture.metadata.caption for picture in found] == [f"no. {row}" for row in range(10)]


def test_what_is_excluded_of_a_list_is_not_fetched(tmp_path: Path) -> None:
    urls = ["https://example.invalid/private/a.jpg", "https://example.invalid/b.gif"]
    pq.write_table(pa.table({"url": urls}), tmp_path / "list.parquet")
    shard = Shard(LIST, str(tmp_path / "list.parquet"), "mark", 0, 2)
    assert list(pictures_of(shard, Exclusions(("private/", "*.gif")))) == []


def test_lists_are_fetched_from_where_they_say(photos: Path, tmp_path: Path) -> None:
    paths = sorted(photos.iterdir())[:4]

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(photos))

        def log_message(self, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        urls = [f"{address}/{path.name}" for path in paths] + [f"{address}/none.jpg"]
        table = pa.table({"url": urls, "caption": [path.stem for path in paths] + ["gone"]})
        pq.write_table(table, tmp_path / "list.parquet")
        run = index_shards(
            [str(tmp_path / "list.parquet")], tmp_path / "index", settings=TWO,
            encoder=ColorEncoder(),
        )  # fmt: skip
        server.shutdown()
    assert (run.new, run.failed) == (4, 1)
    found = by_place(tmp_path / "index", Path())
    assert [place.rpartition("/")[2] for place in sorted(found)] == [path.name for path in paths]
    with Catalog.open(IndexDir(tmp_path / "index").catalog) as catalog:
        (failure,) = catalog.failures()
        assert failure.path.name == "none.jpg" and failure.kind == "unreadable"
    with pytest.raises(MmsearchError, match="no column url"):
        pq.write_table(pa.table({"path": ["x"]}), tmp_path / "other.parquet")
        index_shards([str(tmp_path / "other.parquet")], tmp_path / "index", settings=TWO)
