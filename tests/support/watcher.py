"""A watch as a process of its own, with the small encoder; prints one JSON object a round."""

from __future__ import annotations

import json
import signal
import sys
import threading
from dataclasses import asdict

from indexer.watch.watch import Round, watch_folders
from tests.support.small_encoder import ColorEncoder


def main() -> None:
    index_dir, quiet, pause, *folders = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())

    def report(done: Round) -> None:
        facts = {key: value for key, value in asdict(done.summary).items() if key != "absent_roots"}
        absent = [str(root) for root in done.summary.absent_roots]
        print(json.dumps({"cause": done.cause, **facts, "absent_roots": absent}), flush=True)

    encoder = ColorEncoder(pause_s=float(pause))
    watch_folders(
        folders,
        index_dir,
        stop=stop,
        report=report,
        encoder=encoder,
        quiet_s=float(quiet),
        max_delay_s=5,
    )


if __name__ == "__main__":
    main()
