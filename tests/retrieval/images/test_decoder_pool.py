"""Decoding in processes that die: what becomes of the file, of the others, and of the run."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer import index_folders
from retrieval.catalog import Catalog
from retrieval.errors import ImageError, MmsearchError
from retrieval.images import decoder_pool as decoders_module
from retrieval.images import formats as picture_files
from retrieval.images.decode import decode
from retrieval.images.decoder_pool import DecoderPool
from retrieval.images.preprocess import Preprocessing
from retrieval.images.worker import DecodingLimits
from tests.support.raw_photos import dng
from tests.support.small_encoder import ColorEncoder

SQUASH = Preprocessing(64, "squash", "bicubic")
REPOSITORY = Path(__file__).parents[3]

# No decoder here crashes or hangs on demand, so a process is started that does on certain bytes.
_FAULTS = """
import os, signal, time
from contextlib import contextmanager
from retrieval.images import worker as decoding_process
opening = decoding_process.opening
@contextmanager
def faulty(data, side):
    if data.startswith(b"crash"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if data.startswith(b"compute"):
        while True: pass
    if data.startswith(b"sleep"):
        time.sleep(3600)
    if data.startswith(b"garble"):
        os.write(4, b"x" * 100); os._exit(0)
    if data.startswith(b"once:"):
        marker, data = data.split(b"\\n", 1)
        try:
            os.close(os.open(marker[5:], os.O_CREAT | os.O_EXCL))
            os.kill(os.getpid(), signal.SIGKILL)
        except FileExistsError:
            pass
    with opening(data, side) as file:
        yield file
decoding_process.opening = faulty
"""


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> None:
    start = decoders_module._START.replace("main(Dec", f"exec({_FAULTS!r})\nmain(Dec")
    monkeypatch.setattr(decoders_module, "_START", start)


@pytest.fixture
def decoders() -> Iterator[DecoderPool]:
    made = DecoderPool(2, DecodingLimits(cpu_s=1))
    yield made
    made.close()


def files(photos: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(photos.iterdir())[:8]}


def test_another_process_decodes_to_the_same_pixels(photos: Path, decoders: DecoderPool) -> None:
    with ThreadPoolExecutor(4) as pool:
        data = list(files(photos).values())
        for theirs, mine in zip(
            pool.map(lambda one: decoders.decode(one, SQUASH), data),
            (decode(one, SQUASH) for one in data),
            strict=True,
        ):
            np.testing.assert_array_equal(theirs.pixels, mine.pixels)
            assert (theirs.width_px, theirs.height_px) == (mine.width_px, mine.height_px)


def test_what_is_wrong_with_a_file_comes_out_as_when_it_is_decoded_here(
    photos: Path, decoders: DecoderPool
) -> None:
    jpeg = (photos / "china.jpg").read_bytes()
    for data in (b"", b"Dear diary", jpeg[:5000], b"GIF89a"):
        with pytest.raises(ImageError) as theirs:
            decoders.decode(data, SQUASH)
        with pytest.raises(ImageError) as mine:
            decode(data, SQUASH)
        assert (theirs.value.kind, theirs.value.reason) == (mine.value.kind, mine.value.reason)
    assert decoders.deaths == 0


def test_a_decoding_process_imports_no_more_than_it_needs() -> None:
    code = "import retrieval.images.worker, sys; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    heavy = {"numpy", "torch", "onnxruntime", "faiss", "sqlalchemy", "PIL.ImageCms", "pi_heif"}
    assert not heavy & set(found.stdout.split())


@pytest.mark.usefixtures("faults")
@pytest.mark.parametrize("fault", ["crash", "garble"])
def test_a_file_that_ends_its_process_twice_has_crashed_and_the_next_one_is_decoded(
    photos: Path, decoders: DecoderPool, fault: str
) -> None:
    with pytest.raises(ImageError) as caught:
        decoders.decode(fault.encode(), SQUASH)
    assert caught.value.kind == "crashed"
    assert fault == "garble" or "SIGSEGV" in caught.value.reason
    assert decoders.deaths == 2
    jpeg = (photos / "china.jpg").read_bytes()
    assert decoders.decode(jpeg, SQUASH).width_px == 640


@pytest.mark.usefixtures("faults")
def test_a_file_whose_process_dies_once_is_decoded_when_tried_alone(
    photos: Path, tmp_path: Path, decoders: DecoderPool
) -> None:
    jpeg = (photos / "china.jpg").read_bytes()
    data = b"once:" + os.fsencode(tmp_path / "marker") + b"\n" + jpeg
    assert decoders.decode(data, SQUASH).width_px == 640
    assert decoders.deaths == 1


def test_processes_that_are_ended_while_idle_cost_no_file(
    photos: Path, decoders: DecoderPool
) -> None:
    jpeg = (photos / "china.jpg").read_bytes()
    for _ in range(3):
        assert decoders.decode(jpeg, SQUASH).width_px == 640
        for process in decoders._idle:
            os.kill(process._process.pid, signal.SIGKILL)
            process._process.wait()
    assert decoders.deaths == 0


@pytest.mark.usefixtures("faults")
@pytest.mark.parametrize("fault", ["compute", "sleep"])
def test_a_file_that_takes_for_ever_is_a_timeout_and_not_tried_again(
    fault: str, decoders: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders_module, "_WALL_S_A_CPU_S", 30 if fault == "compute" else 1)
    started = time.monotonic()
    with pytest.raises(ImageError, match="more than 1 second") as caught:
        decoders.decode(fault.encode(), SQUASH)
    assert caught.value.kind == "timeout"
    assert time.monotonic() - started < 200
    assert decoders.deaths == 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such limit")
def test_a_real_picture_that_does_not_fit_in_the_memory_of_a_process_is_too_large(
    photos: Path,
) -> None:
    out = io.BytesIO()
    Image.new("RGB", (12_000, 10_000), "red").save(out, "PNG", compress_level=1)
    small = DecoderPool(1, DecodingLimits(memory_bytes=300 * 2**20))
    try:
        with pytest.raises(ImageError) as caught:
            small.decode(out.getvalue(), SQUASH)
        assert caught.value.kind == "too-large"
        assert small.deaths == 0
        jpeg = (photos / "china.jpg").read_bytes()
        assert small.decode(jpeg, SQUASH).width_px == 640
    finally:
        small.close()


def test_pictures_too_large_for_a_share_of_the_memory_wait_for_their_turn(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders_module, "_SHARE_BYTES", 1000)
    monkeypatch.setattr(decoders_module, "PIXEL_BUDGET_BYTES", 200_000)
    narrow = DecoderPool(3)
    data = list(files(photos).values()) * 2
    try:
        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(lambda one: narrow.decode(one, SQUASH), data))
    finally:
        narrow.close()
    for theirs, mine in zip(found, [decode(one, SQUASH) for one in data], strict=True):
        np.testing.assert_array_equal(theirs.pixels, mine.pixels)


@pytest.mark.usefixtures("faults")
def test_a_run_goes_on_past_files_that_crash_or_hang_and_records_them(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "library"
    library.mkdir()
    for number, (name, data) in enumerate(files(photos).items()):
        (library / f"{number}-{name}").write_bytes(data)
    (library / "3-crash.jpg").write_bytes(b"crash")
    (library / "4-hang.jpg").write_bytes(b"compute")
    monkeypatch.setattr(
        "indexer.pipeline.run.DecoderPool",
        lambda: DecoderPool(2, DecodingLimits(cpu_s=1)),
        raising=True,
    )
    summary = index_folders([library], tmp_path / "index", encoder=ColorEncoder())
    assert (summary.new, summary.failed) == (8, 2)
    with Catalog.open(tmp_path / "index" / "catalog.sqlite") as catalog:
        kinds = {failure.path.name: failure.kind for failure in catalog.failures()}
    assert kinds == {"3-crash.jpg": "crashed", "4-hang.jpg": "timeout"}
    again = index_folders([library], tmp_path / "index", encoder=ColorEncoder())
    assert (again.unchanged, again.failed, again.encoded) == (8, 2, 0)


@pytest.mark.usefixtures("faults")
def test_rows_come_in_the_order_of_names_however_long_each_file_takes(
    photos: Path, tmp_path: Path
) -> None:
    # The first file of all takes longest, since its process has to be started twice.
    library = tmp_path / "library"
    library.mkdir()
    jpeg = (photos / "china.jpg").read_bytes()
    marker = b"once:" + os.fsencode(tmp_path / "marker") + b"\n"
    (library / "0.jpg").write_bytes(marker + jpeg)
    for number, data in enumerate(files(photos).values(), start=1):
        (library / f"{number}.jpg").write_bytes(data)
    index_folders([library], tmp_path / "index", encoder=ColorEncoder())
    with Catalog.open(tmp_path / "index" / "catalog.sqlite") as catalog:
        ids = sorted(catalog.ids_within(library).tolist())
        names = [catalog.items([id_])[id_].path.name for id_ in ids]
    assert names == [f"{number}.jpg" for number in range(9)]


def test_raw_files_wait_unread_for_what_reads_them_and_are_kept_when_it_goes(
    photos: Path, tmp_path: Path
) -> None:
    pytest.importorskip("rawpy")
    library, index_dir = tmp_path / "library", tmp_path / "index"
    library.mkdir()
    with Image.open(photos / "chelsea.png") as photo:
        (library / "early.dng").write_bytes(dng(photo))
        (library / "late.dng").write_bytes(dng(photo.rotate(180)))

    def run() -> tuple[int, int, int]:
        summary = index_folders([library], index_dir, encoder=ColorEncoder())
        return summary.new, summary.unchanged, summary.failed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(picture_files, "can_read_raw", lambda: False)
        assert run() == (0, 0, 2)
        assert run() == (0, 0, 2)
    assert run() == (2, 0, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(picture_files, "can_read_raw", lambda: False)
        assert run() == (0, 2, 0)
        os.utime(library / "late.dng", ns=(1, 1))
        assert run() == (0, 1, 1)
    with Catalog.open(index_dir / "catalog.sqlite") as catalog:
        assert catalog.count_items() == 2
    assert run() == (0, 2, 0)


@pytest.mark.usefixtures("faults")
def test_closing_ends_what_is_being_decoded() -> None:
    endless = DecoderPool(1)
    threading.Timer(1, endless.close).start()
    started = time.monotonic()
    with pytest.raises(ImageError, match="interrupted"):
        endless.decode(b"sleep", SQUASH)
    assert time.monotonic() - started < 100


def test_a_process_that_cannot_start_is_an_error_and_no_file_is_blamed(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders_module, "_START", "raise SystemExit(3)")
    broken = DecoderPool(1)
    with pytest.raises(MmsearchError, match="exit code 3") as caught:
        broken.decode(b"anything", SQUASH)
    assert not isinstance(caught.value, ImageError)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(MmsearchError, match="No process for decoding"):
        broken.decode(b"anything", SQUASH)
    broken.close()


_RUN = """
import signal, sys
# Tests that run in the background inherit that Ctrl-C is passed over.
signal.signal(signal.SIGINT, signal.default_int_handler)
from indexer import index_folders
from retrieval.images import decoder_pool as decoders
from tests.support.small_encoder import ColorEncoder
decoders._START = sys.argv[3]
print("ready", flush=True)
encoder = ColorEncoder(pause_s=float(sys.argv[4]))
print(index_folders([sys.argv[1]], sys.argv[2], encoder=encoder).interrupted, flush=True)
"""


def start_run(folder: Path, data: bytes, pause_s: float = 0) -> subprocess.Popen[bytes]:
    """A run over one file; its decoder writes its process id into `folder / "pids"`."""
    library, index_dir, pids = folder / "library", folder / "index", folder / "pids"
    library.mkdir()
    (library / "endless.jpg").write_bytes(data)
    note = f"import os\nwith open({str(pids)!r}, 'w') as file: file.write(str(os.getpid()))\n"
    start = decoders_module._START.replace("main(Dec", f"exec({_FAULTS!r})\n{note}main(Dec")
    paths = os.pathsep.join([str(REPOSITORY), str(Path(__file__).parent)])
    child = subprocess.Popen(
        [sys.executable, "-c", _RUN, library, index_dir, start, str(pause_s)],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while not (pids.exists() and pids.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    return child


def is_gone(pid: int, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").exists() and (
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        ):
            return True
        time.sleep(0.05)
    return False


def interrupt(child: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """Press Ctrl-C, and again: Python loses the one that meets a callback of its own."""
    for _ in range(3):
        os.killpg(child.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return child.communicate(timeout=30)
    pytest.fail("the run goes on after three interrupts")


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent otherwise there")
def test_ctrl_c_ends_a_run_at_once_though_a_file_hangs(tmp_path: Path) -> None:
    child = start_run(tmp_path, b"sleep")
    out, errors = interrupt(child)
    assert (child.returncode, out, errors) == (0, b"ready\nTrue\n", b"")
    assert is_gone(int((tmp_path / "pids").read_text()), within_s=60)


@pytest.mark.skipif(os.name != "posix", reason="there is no such signal")
def test_no_decoding_process_outlives_a_run_that_is_killed(photos: Path, tmp_path: Path) -> None:
    child = start_run(tmp_path, (photos / "china.jpg").read_bytes(), pause_s=60)
    assert child.poll() is None
    child.kill()
    child.communicate()
    assert is_gone(int((tmp_path / "pids").read_text()), within_s=60)
