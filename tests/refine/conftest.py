"""What the tests of the refinement module share: the plain reference, weights in general position, small inputs."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

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
