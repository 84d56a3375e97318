"""What the tests of the refinement module share: the plain reference, weights in general position, small inputs."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from restorekit.refine.config import RefinementConfig
from restorekit.refine.module import RefinementModule

spec = importlib.util.spec_from_file_location("released", Path(__file__).with_name("released.py"))
released_file = importlib.util.module_from_spec(spec)
spec.loader.exec_module(released_file)

AS_RELEASED = {"compose": "residual", "parity": "official"}


@pytest.fixture
def released():
    return released_file


@pytest.fixture
def build():
    """A module in float64 with weights in general position."""

    def make(**options):
        return released_file.shaken(RefinementModule(RefinementConfig(**options))).double().eval()

    return make


@pytest.fixture
def pair():
    """Our module as released, and the plain one with equal weights, both in float64."""
    ours = released_file.shaken(RefinementModule(RefinementConfig(**AS_RELEASED))).double().eval()
    plain = released_file.Released().double()
    plain.load_state_dict(released_file.weights_of(ours.state_dict(), plain.state_dict()))
    return SimpleNamespace(ours=ours, plain=plain)


@pytest.fixture
def draw():
    """(restored, degraded, prior) in float64; restored leaves [0, 1] now and then."""

    def make(batch=1, height=32, width=40, *, planes=(3, 3), prior=(512,)):
        generator = torch.Generator().manual_seed(batch + height + width)

        def random(*shape):
            return torch.rand(batch, *shape, generator=generator, dtype=torch.float64)

        vector = torch.nn.functional.normalize(random(*prior) - 0.5, dim=1)
        return random(planes[0], height, width) * 1.2 - 0.1, random(planes[1], height, width), vector

    return make


@pytest.fixture
def write():
    """Writes RGB pixels to a file, whose folders are made."""

    def save(path, pixels):
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), pixels[..., ::-1])

    return save


@pytest.fixture
def scene():
    """A dual-pixel scene by folder: the left view is the sharp photo moved by a pixel to one side and, to be known,
    darker by 7; the right one is moved to the other side.
    """

    def make(height=24, width=40, seed=0):
        sharp = np.random.default_rng(seed).integers(20, 250, (height, width + 2, 3), dtype=np.uint8)
        return {"inputL": sharp[:, 2:] - 7, "inputR": sharp[:, :-2], "target": sharp[:, 1:-1]}

    return make


@pytest.fixture
def folder(tmp_path, write, scene):
    """Two scenes on disk."""
    for name in ("a", "b"):
        for side, pixels in scene(seed=ord(name)).items():
            write(tmp_path / "pairs" / side / f"{name}.png", pixels)
    return tmp_path / "pairs"
