"""What benchmarks say of memory is a process's own, whoever started it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from benchmarks.memory import FamilyPeak, peak_mib, resident_mib

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="told by /proc")

_CHILD = """
import subprocess, sys
held = bytearray(b"x") * (int(sys.argv[1]) * 2**20)
if len(sys.argv) > 2:
    subprocess.run([sys.executable, "-c", sys.argv[2], sys.argv[1]], check=True)
from time import sleep
sleep(0.5)
"""


def test_a_large_benchmark_does_not_make_its_processes_large() -> None:
    held = np.ones(400 * 2**20, np.uint8)
    script = "from benchmarks.memory import peak_mib; print(peak_mib())"
    printed = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout
    assert peak_mib() > held.nbytes / 2**20
    assert 0 < float(printed) < 200


def test_a_family_s_peak_counts_all_its_members() -> None:
    command = [sys.executable, "-c", _CHILD, "100", _CHILD]
    with subprocess.Popen(command) as process, FamilyPeak(process.pid) as peak:
        process.wait()
    assert 200 < peak.mib < 300


def test_now_is_at_most_the_peak() -> None:
    assert 0 < resident_mib() <= peak_mib()


def test_of_a_process_that_is_gone_nothing_is_said() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    with FamilyPeak(process.pid) as peak:
        pass
    assert np.isnan(peak.mib)
    assert np.isnan(resident_mib(process.pid))
