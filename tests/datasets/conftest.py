"""Small copies of data sets, with every picture another one."""

from pathlib import Path

import cv2
import numpy as np
import pytest


class Writer:
    """Writes random pictures below a folder; each differs from all others."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.random = np.random.default_rng(0)

    def __call__(self, name, *, size=(8, 12), dtype="uint8", channels=3):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        peak = np.iinfo(dtype).max
        picture = self.random.integers(0, peak, (*size, channels), dtype=dtype, endpoint=True)
        if path.suffix == ".npy":
            np.save(path, picture)
        else:
            assert cv2.imwrite(str(path), picture)
        return picture

    def lol(self):
        """LOL v1, its test set."""
        for number in range(15):
            self(f"eval15/low/{number}.png")
            self(f"eval15/high/{number}.png")
        return self.root


@pytest.fixture
def write(tmp_path):
    return Writer(tmp_path / "set")
