"""By how much a process of its own grows, for memory that one graph needs beside another."""

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["process_peak", "process_peaks"]

RETURNED = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
"""Settings of glibc, in bytes: larger pieces go back to the system when they are freed."""


def process_peaks(script: str, *arguments: object) -> tuple[int, int]:
    """Peaks of ``script`` called with "ours" and with "plain", each followed by ``arguments``; see ``process_peak``."""
    return process_peak(script, "ours", *arguments), process_peak(script, "plain", *arguments)


def process_peak(script: str, *arguments: object) -> int:
    """In bytes, what ``script`` prints in a process of its own with one thread; Linux only.

    Args:
        script: beside this file; it takes ``arguments`` and prints by how much it grew at most.
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | dict.fromkeys(RETURNED, "65536")
    command = [sys.executable, str(Path(__file__).with_name(script)), *map(str, arguments)]
    return int(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)
