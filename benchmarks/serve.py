"""How many questions a second does a server answer, how long does each wait, does memory stay flat?

A server of its own process, on loopback, over an index of made-up vectors and patch tokens. Clients
ask one question after the other, each a caption with a number in it, so that no answer is one that
was kept; the server's other work, thumbnails say, rests.

    python -m benchmarks.serve [--pictures 100000] [--seconds 15] [--questions 10000] [--tiny]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np

from benchmarks.indexing import machine
from benchmarks.many_questions import fill
from benchmarks.support.results import publish
from retrieval.evaluation.captions import read_captions
from samples.photos import CAPTIONS

CLIENTS = (1, 8, 64)
_READY = re.compile(r"http://\S+/")
_TIMEOUT_S = 120.0


@contextmanager
def running_server(index_dir: Path) -> Iterator[tuple[str, int]]:
    """A server for the length of the block; its address and process id."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mmsearch", "--index-dir", str(index_dir), "serve", "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        told = process.stderr.readline()
        found = _READY.search(told)
        if found is None:
            raise SystemExit(f"The server does not start: {told}")
        yield found[0], process.pid
    finally:
        process.terminate()
        process.wait(60)


def resident_mb(process_id: int) -> float:
    """Resident memory in MB, from Linux's /proc; nan elsewhere."""
    try:
        status = Path(f"/proc/{process_id}/status").read_text()
    except OSError:
        return float("nan")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1000 if found else float("nan")


async def load(
    address: str, questions: Iterator[str], rerank: str, clients: int, seconds: float, most: int
) -> tuple[list[float], float]:
    """Seconds that each question took, and all together; ends after a time or so many questions."""
    took: list[float] = []
    started = time.perf_counter()
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(
        base_url=address, timeout=_TIMEOUT_S, limits=limits, trust_env=False
    ) as http:

        async def ask() -> None:
            while time.perf_counter() - started < seconds and len(took) < most:
                asked_at = time.perf_counter()
                answer = await http.get(
                    "/api/search",
                    params={"q": next(questions), "k": 50, "rerank": rerank, "fold": False},
                )
                if answer.status_code == 429:
                    # As a client should: the server says when.
                    await asyncio.sleep(float(answer.headers["retry-after"]))
                    continue
                answer.raise_for_status()
                took.append(time.perf_counter() - asked_at)

        await asyncio.gather(*(ask() for _ in range(clients)))
    return took, time.perf_counter() - started


def table(address: str, questions: Iterator[str], seconds: float) -> list[str]:
    """A row for each number of clients, with and without reranking."""
    lines = [
        "| clients | reranking | questions/s | p50 ms | p95 ms | p99 ms |",
        "|---|---|---|---|---|---|",
    ]
    for rerank, clients in itertools.product(("off", "auto"), CLIENTS):
        took, whole = asyncio.run(load(address, questions, rerank, clients, seconds, sys.maxsize))
        p50, p95, p99 = (1000 * np.percentile(took, share) for share in (50, 95, 99))
        lines.append(
            f"| {clients} | {rerank} | {len(took) / whole:.1f} | {p50:.1f} | {p95:.1f} "
            f"| {p99:.1f} |"
        )
    return lines


def memory(address: str, process_id: int, questions: Iterator[str], count: int) -> list[str]:
    """Resident memory after parts of so many questions."""
    lines = ["| questions | resident MB |", "|---|---|", f"| 0 | {resident_mb(process_id):.0f} |"]
    for part in range(1, 6):
        asyncio.run(load(address, questions, "off", 8, float("inf"), count // 5))
        lines.append(f"| {part * count // 5} | {resident_mb(process_id):.0f} |")
    return lines


def report(folder: Path, pictures: int, seconds: float, count: int) -> str:
    """All figures, as Markdown."""
    fill(folder, pictures)
    captions = [text for picture in read_captions(CAPTIONS) for text in picture.captions]
    numbered = (
        f"{text} {number}"
        for number, text in zip(itertools.count(), itertools.cycle(captions), strict=False)
    )
    with running_server(folder) as (address, process_id):
        asyncio.run(load(address, numbered, "auto", 4, 60.0, 20))
        rows = table(address, numbered, seconds)
        flat = memory(address, process_id, numbered, count)
    return "\n".join(
        [
            "# Questions to a server",
            "",
            f"`python -m benchmarks.serve --pictures {pictures} --seconds {seconds:g} "
            f"--questions {count}` on {machine()}.",
            f"{pictures:,} pictures, 50 answers a question, server and clients on one machine.",
            "",
            *rows,
            "",
            "Memory of the server, after the rows above:",
            "",
            *flat,
            "",
        ]
    )


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=15.0, help="for each row")
    parser.add_argument("--questions", type=int, default=10_000, help="for memory")
    parser.add_argument("--tiny", action="store_true", help="only show that it runs")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.tiny:
            print(report(Path(folder), 200, 0.5, 10))
            return
        text = report(Path(folder), args.pictures, args.seconds, args.questions)
    publish(text, "serve")


if __name__ == "__main__":
    main()
