"""A photo of 100 megapixels needs its own 300 MB and one more copy of at most 400 MB, in and out."""

import subprocess
import sys
from pathlib import Path

import pytest

WRITE = """
import resource, sys
import numpy as np
from restorekit.core.image.files import write_image
tile = np.random.default_rng(0).normal(128, 4, (500, 500, 3)).astype(np.uint8)
samples = np.tile(tile, (20, 20, 1))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
write_image(sys.argv[1], samples)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
READ = """
import resource, sys
from restorekit.core.image.files import read_image
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert read_image(sys.argv[1]).samples.shape == (10_000, 10_000, 3)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_files_of_100_megapixels_need_one_copy_besides_the_picture(suffix: str, tmp_path: Path) -> None:
    path = str(tmp_path / f"large{suffix}")
    written, read = (
        int(subprocess.run([sys.executable, "-c", script, path], capture_output=True, check=True, text=True).stdout)
        for script in (WRITE, READ)
    )
    megabyte = 1e6 / 1024
    assert read < (300 + 400 + 60) * megabyte
    assert written < (400 + 200) * megabyte  # the file itself is up to 200 MB
