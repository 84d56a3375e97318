"""By how much a process of its own grows, for memory that one graph needs beside another."""

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["process_peaks"]

RETURNED = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
"""Settings of glibc, in bytes: larger pieces go back to the system when they are freed."""


def process_peaks(script: str, *arguments: object) -> tuple[int, int]:
    """In bytes, what ``script`` prints for "ours" and for "plain", each in a process with one thread; Linux only.

    Args:
        script: beside this file; it takes which of the two, then ``arguments``, and prints by how much it grew at most.
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | dict.fromkeys(RETURNED, "65536")
    path = str(Path(__file__).with_name(script))
    peaks = []
    for which in ("ours", "plain"):
        command = [sys.executable, path, which, *map(str, arguments)]
        peaks.append(int(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout))
    return peaks[0], peaks[1]
