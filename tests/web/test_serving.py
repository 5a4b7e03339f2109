"""The server as a whole: many clients at once, its end, and what it keeps on disk."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from mmsearch import Client, SearchEngine
from retrieval.images.decoder_pool import DecoderPool
from web.pictures import Pictures
from web.thumbnails import Thumbnails

QUESTIONS = ["a cat", "a cup of coffee", "a rocket", "a person", "something round", "a wall"]


def test_questions_that_come_together_get_the_answers_that_they_get_alone(
    web_index: Path, address: str
) -> None:
    asked = [(text, rerank) for text in QUESTIONS for rerank in ("auto", "off")] * 3
    with SearchEngine.open(web_index) as engine:
        alone = {(text, rerank): engine.search(text, 5, rerank=rerank) for text, rerank in asked}
    with Client(address) as client, ThreadPoolExecutor(16) as threads:
        together = threads.map(lambda one: client.search(one[0], 5, rerank=one[1]), asked)
        for one, hits in zip(asked, together, strict=True):
            assert hits == alone[one]


def test_one_bad_question_among_others_fails_alone(address: str) -> None:
    def ask(text: str) -> int:
        # Of equal options, so that they are answered together.
        return httpx.get(
            f"{address}/api/search", params={"q": text, "relevant": True}, timeout=60
        ).status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(ask, ["a cat", "rating:many", "a rocket"] * 4))
    assert statuses[1::3] == [400] * 4
    assert len(set(statuses[0::3] + statuses[2::3])) == 1


def test_a_server_ends_soon_though_a_page_listens(web_index: Path) -> None:
    command = [sys.executable, "-m", "mmsearch", "--index-dir", str(web_index), "serve"]
    process = subprocess.Popen([*command, "--port", "0"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        told = re.search(r"http://\S+/", process.stderr.readline())
        assert told is not None
        with httpx.stream("GET", f"{told[0]}api/events", timeout=60) as events:
            assert next(events.iter_lines())
            started = time.monotonic()
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            assert time.monotonic() - started < 20
        assert process.returncode in (0, -signal.SIGTERM)
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.wait()


def test_no_answer_waits_until_its_beginning_was_acknowledged(web_index: Path) -> None:
    command = [sys.executable, "-m", "mmsearch", "--index-dir", str(web_index), "serve"]
    process = subprocess.Popen([*command, "--port", "0"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        told = re.search(r"http://\S+/", process.stderr.readline())
        assert told is not None
        took = []
        with httpx.Client(base_url=told[0], timeout=60) as client:
            for _ in range(60):
                started = time.perf_counter()
                assert client.get("healthz").status_code == 200
                took.append(time.perf_counter() - started)
        # A kernel acknowledges the first few at once, and others after forty milliseconds.
        assert sorted(took[30:])[7] < 0.035
    finally:
        process.kill()
        process.wait()


def test_a_host_that_others_reach_needs_a_token(web_index: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("short\n")
    command = [sys.executable, "-m", "mmsearch", "--index-dir", str(web_index), "serve"]
    for more, said in (([], "token"), (["--token-file", str(tmp_path / "token")], "16 letters")):
        done = subprocess.run(
            [*command, "--host", "0.0.0.0", *more], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr


def test_thumbnails_stay_under_their_limit(web_index: Path, tmp_path: Path) -> None:
    limit = 40_000
    decoders = DecoderPool(1)
    thumbnails = Thumbnails(tmp_path / "thumbnails", decoders, limit)
    try:
        with SearchEngine.open(web_index) as engine:
            for item_id in engine.catalog.item_ids().tolist():
                data, form, _ = thumbnails.get(engine, Pictures(), item_id, 180, avif=False)
                assert data and form == "webp"
                kept = sum(path.stat().st_size for path in (tmp_path / "thumbnails").glob("*/*"))
                assert kept <= limit
    finally:
        decoders.close()
