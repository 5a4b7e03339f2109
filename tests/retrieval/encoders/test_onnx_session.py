"""Graphs that load ahead of the question: the same answers, and errors where they can be told."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from retrieval.encoders.base import Encoder, Preloadable
from retrieval.encoders.compact import COMPACT_DIR, CompactEncoder
from retrieval.encoders.onnx.session import OnnxSession
from retrieval.rerankers.compact import CompactReranker


def graph_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "load-graph"]


def test_loaded_ahead_it_answers_the_same() -> None:
    cold, ahead = CompactEncoder(), CompactEncoder()
    ahead.preload()
    assert isinstance(ahead, Preloadable)
    assert isinstance(ahead, Encoder)
    text = ["a dog on a beach"]
    assert np.array_equal(cold.encode_texts(text).vectors, ahead.encode_texts(text).vectors)


def test_a_graph_is_loaded_once_however_often_it_is_asked_for() -> None:
    session = OnnxSession(COMPACT_DIR / "reranker.onnx")
    for _ in range(3):
        session.preload()
    loaded = session.load()
    for thread in graph_threads():
        thread.join()
    assert session.load() is loaded


def test_a_damaged_graph_is_told_at_the_first_run_only(tmp_path: Path) -> None:
    damaged = tmp_path / "text.onnx"
    damaged.write_bytes((COMPACT_DIR / "text.onnx").read_bytes()[:5000])
    session = OnnxSession(damaged)
    session.preload()
    for thread in graph_threads():
        thread.join()
    with pytest.raises(Exception, match=r"text\.onnx|[Pp]rotobuf"):
        session.run(["embedding"], {})


def test_the_reranker_loads_ahead_as_well() -> None:
    assert isinstance(CompactReranker.built_in(CompactEncoder()), Preloadable)


def test_a_program_that_ends_while_graphs_load_ends_well(photo_index: Path) -> None:
    script = (
        "import sys\n"
        "from retrieval import SearchEngine\n"
        "SearchEngine.open(sys.argv[1])\n"
        "raise SystemExit(7)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, photo_index],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (7, "")
