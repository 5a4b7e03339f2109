"""Runs the command line in forked processes, so that hundreds of runs take a minute.

A process that has loaded every library waits for jobs, forks for each, and the child calls
`cli.main.main` as a person's shell would. Started with the layer it can bring up faults there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import traceback
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.faults.calls import count_calls, kill_at
from benchmarks.faults.layer import Fault, arm, counts
from retrieval.storage.closing import Closing

BATCH_SIZE = 4


@dataclass(frozen=True)
class Ended:
    """How a run ended: exit code or minus the signal, what it printed, operations and faults."""

    code: int
    out: str
    err: str
    operations: int = 0
    failed: int = 0
    calls: dict[str, int] | None = None


class Server(Closing):
    """Hands jobs to the process that forks; `layer` is the compiled layer or None."""

    def __init__(self, layer: Path | None) -> None:
        environment = dict(os.environ)
        if layer is not None:
            environment["LD_PRELOAD"] = os.fspath(layer)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.faults.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def run(
        self,
        index_dir: Path,
        *arguments: str | os.PathLike[str],
        fault: Fault | None = None,
        call: tuple[str, int, bool] | None = None,
        count: bool = False,
    ) -> Ended:
        """Run `mmsearch --index-dir INDEX_DIR ARGUMENTS` to its end.

        `fault` comes up in the index folder; `call` is a step, at which call, and whether after.
        """
        job = {
            "index_dir": os.fspath(index_dir),
            "arguments": [os.fspath(argument) for argument in arguments],
            "fault": None if fault is None else asdict(fault),
            "call": call,
            "count": count,
        }
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return Ended(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def _serve() -> None:
    for name in (
        "faiss",
        "cli.commands.index",
        "cli.commands.remove",
        "cli.commands.repair",
        "indexer.maintenance.repair",
    ):
        import_module(name)
    import indexer.maintenance.repair
    import indexer.pipeline.run
    import retrieval.search.engine
    from tests.support.small_encoder import ColorEncoder

    for module in (indexer.pipeline.run, indexer.maintenance.repair, retrieval.search.engine):
        setattr(module, "load_encoder", lambda *_arguments: ColorEncoder())  # noqa: B010
    indexer.pipeline.run.BATCH_SIZE = BATCH_SIZE
    for line in sys.stdin:
        sys.stdout.write(json.dumps(asdict(_run(json.loads(line)))) + "\n")
        sys.stdout.flush()


def _run(job: dict[str, Any]) -> Ended:
    with tempfile.TemporaryDirectory() as folder:
        out, err, told = (Path(folder) / name for name in ("out", "err", "told"))
        child = os.fork()
        if child == 0:
            _be_the_child(job, out, err, told)
        _, status = os.waitpid(child, 0)
        facts = json.loads(told.read_text()) if told.exists() else {}
        said, complained = (
            path.read_text(errors="replace") if path.exists() else "" for path in (out, err)
        )
        return Ended(os.waitstatus_to_exitcode(status), said, complained, **facts)


def _be_the_child(job: dict[str, Any], out: Path, err: Path, told: Path) -> None:
    from cli.main import main

    code: object = 1
    try:
        for path, stream in ((out, 1), (err, 2)):
            os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY), stream)
        sys.argv = ["mmsearch", "--index-dir", job["index_dir"], *job["arguments"]]
        calls = count_calls() if job["count"] else None
        if job["call"] is not None:
            step, at, after = job["call"]
            kill_at(step, at, after=after)
        if job["fault"] is not None:
            arm(Fault(**job["fault"]), Path(job["index_dir"]))
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        except BaseException:
            traceback.print_exc()
        # As at the end of any process: what is still open is closed.
        import gc

        gc.collect()
        facts: dict[str, Any] = {"calls": None if calls is None else calls()}
        if job["fault"] is not None:
            facts["operations"], facts["failed"] = counts()
        told.write_text(json.dumps(facts))
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    _serve()
