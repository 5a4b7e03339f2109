"""Videos in indexing runs: many items a file, and all that can be wrong with a file."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import av
import numpy as np
import pytest

from cli.commands.index import summary_lines
from indexer import IndexReport, check_index, fix_index, index_folders, move_root, remove_folder
from indexer.pipeline import videos
from retrieval.catalog import Catalog
from retrieval.catalog.moments import moments_of_file
from retrieval.errors import ImageError
from retrieval.index import Index
from retrieval.storage.index_dir import resolve_index_dir
from samples.clips import ClipFormat, Shot, write_clip
from tests.support.small_encoder import ColorEncoder

SHOTS = ("chelsea.png", "coffee.png", "rocket.jpg")


class _SharpColors(ColorEncoder):
    """Colours without their mean, so that two photographs are far apart."""

    def encode_images(self, pixels):  # type: ignore[no-untyped-def]
        encoding = super().encode_images(pixels)
        blocks = pixels.reshape(len(pixels), 4, 8, 4, 8, 3).mean(axis=(2, 4)).astype(np.float32)
        vectors = (blocks - 128).reshape(len(pixels), -1)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-6
        return type(encoding)(np.ascontiguousarray(vectors), encoding.patch_tokens)


@pytest.fixture(scope="module")
def clip(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shots of two seconds each."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    write_clip(path, [Shot(photos / name) for name in SHOTS])
    return path


@pytest.fixture
def library(tmp_path: Path, clip: Path) -> Path:
    folder = tmp_path / "library"
    folder.mkdir()
    shutil.copy(clip, folder / "clip.mp4")
    return folder


@pytest.fixture
def index_dir(tmp_path: Path) -> Path:
    return tmp_path / "index"


def run(*paths: Path, index_dir: Path, stop: threading.Event | None = None) -> IndexReport:
    return index_folders(paths, index_dir, encoder=_SharpColors(), stop=stop)


def times_of(index_dir: Path) -> dict[str, list[int | None]]:
    """The times of all items by the name of their file, in their order."""
    found: dict[str, list[int | None]] = {}
    with Catalog.open(resolve_index_dir(index_dir).catalog) as catalog:
        for item in catalog.items(catalog.item_ids().tolist()).values():
            found.setdefault(item.path.name, []).append(item.time_ms)
    return {name: sorted(times, key=lambda time: time or 0) for name, times in found.items()}


def failures_of(index_dir: Path) -> dict[str, str]:
    with Catalog.open(resolve_index_dir(index_dir).catalog) as catalog:
        return {failure.path.name: failure.kind for failure in catalog.failures()}


def tokens_of(index_dir: Path) -> set[int]:
    with Index.open(index_dir, encoder=_SharpColors()) as index:
        kept = index.patch_tokens.ids()
        assert kept is not None
        return set(kept.tolist())


def ids_of(index_dir: Path) -> list[int]:
    with Catalog.open(resolve_index_dir(index_dir).catalog) as catalog:
        return catalog.item_ids().tolist()


def test_a_video_is_one_file_of_many_items_one_in_each_shot(library: Path, index_dir: Path) -> None:
    report = run(library, index_dir=index_dir)
    assert (report.new, report.failed) == (1, 0)
    times = times_of(index_dir)["clip.mp4"]
    assert [sum(start <= time < start + 2000 for time in times) for start in (0, 2000, 4000)] == [
        1, 1, 1,
    ]  # fmt: skip
    assert tokens_of(index_dir) == set(ids_of(index_dir))
    assert run(library, index_dir=index_dir).unchanged == 1


def test_pictures_beside_videos_are_indexed_as_before(
    library: Path, index_dir: Path, photos: Path
) -> None:
    shutil.copy(photos / "chelsea.png", library)
    assert run(library, index_dir=index_dir).new == 2
    assert times_of(index_dir)["chelsea.png"] == [None]


def test_a_moved_video_keeps_its_items_and_a_copy_gets_its_own(
    library: Path, index_dir: Path
) -> None:
    run(library, index_dir=index_dir)
    before = ids_of(index_dir)
    (library / "clip.mp4").rename(library / "moved.mp4")
    report = run(library, index_dir=index_dir)
    assert (report.moved, report.encoded, ids_of(index_dir)) == (1, 0, before)
    shutil.copy(library / "moved.mp4", library / "copy.mp4")
    report = run(library, index_dir=index_dir)
    assert (report.new, report.encoded) == (1, 0)
    times = times_of(index_dir)
    assert times["copy.mp4"] == times["moved.mp4"]
    assert tokens_of(index_dir) == set(ids_of(index_dir))
    shutil.move(library, library.with_name("elsewhere"))
    move_root(library, library.with_name("elsewhere"), index_dir)
    assert run(library.with_name("elsewhere"), index_dir=index_dir).unchanged == 2


def test_a_changed_video_has_the_items_of_its_new_content_alone(
    library: Path, index_dir: Path, photos: Path
) -> None:
    run(library, index_dir=index_dir)
    write_clip(library / "clip.mp4", [Shot(photos / "coffee.png", 1.0, "still")])
    assert run(library, index_dir=index_dir).changed == 1
    assert len(times_of(index_dir)["clip.mp4"]) == 1
    assert tokens_of(index_dir) == set(ids_of(index_dir))


def test_a_video_that_is_gone_or_removed_leaves_nothing(library: Path, index_dir: Path) -> None:
    shutil.copy(library / "clip.mp4", library / "other.mp4")
    run(library, index_dir=index_dir)
    (library / "clip.mp4").unlink()
    assert run(library, index_dir=index_dir).removed == 1
    assert list(times_of(index_dir)) == ["other.mp4"]
    remove_folder(library / "other.mp4", index_dir)
    assert not ids_of(index_dir) and not tokens_of(index_dir)


def test_what_is_cut_off_goes_on_after_the_last_moment_that_was_committed(
    library: Path, index_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(library, index_dir=index_dir)
    whole = times_of(index_dir)["clip.mp4"]
    remove_folder(library, index_dir)
    monkeypatch.setattr(videos, "_COMMIT_FRAMES", 1)
    stop = threading.Event()
    written = videos.VideoWriter.write

    def write_and_stop(self, chosen, *, is_last):  # type: ignore[no-untyped-def]
        written(self, chosen, is_last=is_last)
        stop.set()

    monkeypatch.setattr(videos.VideoWriter, "write", write_and_stop)
    monkeypatch.setattr(videos.VideoReader, "sample", _two_at_a_time(videos.VideoReader.sample))
    stopped = run(library, index_dir=index_dir, stop=stop)
    assert stopped.interrupted
    assert summary_lines(stopped)[0].startswith("Interrupted; what was done is kept: 1 new (")
    assert times_of(index_dir)["clip.mp4"] == whole[:1]
    with Catalog.open(resolve_index_dir(index_dir).catalog) as catalog:
        file_id = catalog.file_ids_of(catalog.item_ids().tolist())[0]
        assert len(moments_of_file(catalog.raw_rows, file_id)) == 1
    # What is there already is found, is no copy of anything, and is sound.
    shutil.copy(library / "clip.mp4", library / "copy.mp4")
    monkeypatch.setattr(videos.VideoWriter, "write", written)
    report = run(library, index_dir=index_dir)
    assert (report.changed, report.new) == (1, 1)
    assert times_of(index_dir) == {"clip.mp4": whole, "copy.mp4": whole}
    assert run(library, index_dir=index_dir).unchanged == 2


def test_what_is_given_up_after_its_first_part_is_a_failure_alone(
    library: Path, index_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(videos, "_COMMIT_FRAMES", 1)
    two = _two_at_a_time(videos.VideoReader.sample)

    def then_damaged(self, *args, **options):  # type: ignore[no-untyped-def]
        yield from list(two(self, *args, **options))[:-1]
        raise ImageError("damaged", "the rest cannot be decoded")

    monkeypatch.setattr(videos.VideoReader, "sample", then_damaged)
    report = run(library, index_dir=index_dir)
    assert (report.new, report.changed, report.failed) == (0, 0, 1)
    assert times_of(index_dir) == {}


def test_a_run_that_is_stopped_at_once_has_done_nothing_so_far(
    library: Path, index_dir: Path
) -> None:
    stop = threading.Event()
    stop.set()
    line = summary_lines(run(library, index_dir=index_dir, stop=stop))[0]
    assert line.startswith("Interrupted; what was done is kept: nothing so far (")


def _two_at_a_time(sample):  # type: ignore[no-untyped-def]
    """Parts of two frames, which the decoding process would only make of a long video."""

    def parts(self, *args, **options):  # type: ignore[no-untyped-def]
        from dataclasses import replace

        for part in sample(self, *args, **options):
            for start in range(0, len(part.frames), 2):
                yield replace(part, frames=part.frames[start : start + 2])

    return parts


def test_lost_vectors_and_tokens_of_moments_are_made_again_from_their_frames(
    library: Path, index_dir: Path
) -> None:
    run(library, index_dir=index_dir)
    ids = ids_of(index_dir)
    with Index.writing(index_dir, encoder=_SharpColors()) as index:
        before = index.catalog.vectors(ids)
        tokens = index.patch_tokens.get(ids)
        with index.catalog.transaction() as change:
            change.drop_vectors(ids[1:2])
        index.patch_tokens.remove(ids[:2])
    assert check_index(index_dir, with_content=True, encoder=_SharpColors()).findings
    done = fix_index(index_dir, encoder=_SharpColors())
    assert (done.encoded, done.with_tokens) == (1, 2)
    with Index.open(index_dir, encoder=_SharpColors()) as index:
        after = index.catalog.vectors(ids)
        assert all((after[id_] == before[id_]).all() for id_ in ids)
        again = index.patch_tokens.get(ids)
        assert all((again[id_] == tokens[id_]).all() for id_ in ids)


def test_what_is_no_video_is_a_failure_with_its_reason(
    library: Path, index_dir: Path, clip: Path
) -> None:
    data = clip.read_bytes()
    (library / "empty.mp4").write_bytes(b"")
    (library / "nonsense.mkv").write_bytes(bytes(range(256)) * 64)
    (library / "playlist.mov").write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
    (library / "headless.mp4").write_bytes(data[: len(data) // 2])
    _write_sound(library / "sound.mp4")
    report = run(library, index_dir=index_dir)
    assert (report.new, report.failed) == (1, 5)
    assert failures_of(index_dir) == {
        "empty.mp4": "empty",
        "nonsense.mkv": "damaged",
        "playlist.mov": "damaged",
        "headless.mp4": "damaged",
        "sound.mp4": "not-a-picture",
    }


def test_of_a_damaged_video_what_can_be_read_is_indexed(
    library: Path, index_dir: Path, photos: Path
) -> None:
    whole = library / "clip.mkv"
    write_clip(whole, [Shot(photos / name) for name in SHOTS], ClipFormat(options={"g": "12"}))
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) * 2 // 3])
    (library / "clip.mp4").unlink()
    report = run(library, index_dir=index_dir)
    assert (report.new, report.failed) == (1, 0)
    assert times_of(index_dir)["clip.mkv"]


def test_the_moving_half_of_a_live_photo_has_no_items_of_its_own(
    library: Path, index_dir: Path, photos: Path
) -> None:
    shots = [Shot(photos / "coffee.png", 1.0)]
    write_clip(library / "IMG_0001.MOV", shots)
    shutil.copy(photos / "rocket.jpg", library / "IMG_0001.JPG")
    write_clip(library / "IMG_0002.MOV", shots)
    run(library, index_dir=index_dir)
    assert set(times_of(index_dir)) == {"clip.mp4", "IMG_0001.JPG", "IMG_0002.MOV"}
    assert run(library, index_dir=index_dir).unchanged == 4


def _write_sound(path: Path) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 8000), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 8000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
