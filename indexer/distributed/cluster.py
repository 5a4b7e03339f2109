"""The Ray cluster that a run uses: one that is there, or one of this machine's processors."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from retrieval.encoders.requirements import require_packages
from retrieval.errors import MmsearchError, first_line

# The address that stands for a cluster of this machine's own.
LOCAL = "local"
_NAMED_ERROR = re.compile(r"^(?!ray\.)(?:\w+\.)*\w*(?:Error|Exception): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class ClusterSettings:
    """Where to encode, and with what.

    `address`: `ray://HOST:PORT`, `auto` for the cluster that this machine is in, `local` for one
    that is started for the run. `workers`: how many encode at once, as many as there are
    processors, or GPUs, where it is None. `device`: what a worker takes of the cluster.
    `precision` is as `load_encoder` takes it. `object_store_bytes` is for a local cluster.
    """

    address: str = LOCAL
    workers: int | None = None
    device: Literal["cpu", "gpu"] = "cpu"
    precision: str = "auto"
    object_store_bytes: int = 200 * 2**20

    @property
    def options(self) -> dict[str, Any]:
        """What one worker takes, as Ray's options; a worker that is lost is started again."""
        taken = {"num_gpus": 1} if self.device == "gpu" else {"num_cpus": 1}
        return {**taken, "max_restarts": -1, "max_task_retries": -1}


@contextmanager
def connected(settings: ClusterSettings) -> Iterator[Any]:
    """Ray, connected for the length of the block; a connection that is there is used and kept.

    Raises UnknownModelError where Ray is not installed, MmsearchError where the cluster cannot be
    reached.
    """
    require_packages("Distributed indexing", "ray", "ray")
    # Neither of what a run does nor that it runs is told to anyone.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # On a machine with much else to do, half a minute to start is not enough.
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")
    import ray

    if ray.is_initialized():
        yield ray
        return
    # Of `local` Ray makes a cluster of its own, whatever else runs on the machine.
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    options["address"] = settings.address
    if settings.address == LOCAL:
        options["num_cpus"] = settings.workers or os.cpu_count()
        options["include_dashboard"] = False
        options["object_store_memory"] = settings.object_store_bytes
    try:
        ray.init(**options)
    except Exception as error:  # Ray raises many kinds.
        raise MmsearchError(
            f"The Ray cluster at {settings.address} cannot be reached ({first_line(error)}).",
            code="no-cluster",
            address=settings.address,
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def count_workers(ray: Any, settings: ClusterSettings) -> int:
    """How many workers the cluster has room for, unless it is said. Raises MmsearchError."""
    resource = "GPU" if settings.device == "gpu" else "CPU"
    there = int(ray.cluster_resources().get(resource, 0))
    if there < 1:
        raise MmsearchError(
            f"The Ray cluster at {settings.address} has no {resource}.", code="no-cluster"
        )
    return settings.workers or there


def worker_error(error: Exception) -> MmsearchError:
    """What a worker failed of, from what Ray raised for it.

    Where Ray gives a worker's error as text alone, its last line of the form `KindError: what`
    tells; where there is none, as when a worker was killed, the first line does.
    """
    cause = getattr(error, "cause", None)
    if isinstance(cause, MmsearchError):
        return cause
    named = _NAMED_ERROR.findall(str(error))
    told = named[-1] if named else first_line(cause or error)
    return MmsearchError(f"The workers cannot encode ({told}).", code="no-cluster")
