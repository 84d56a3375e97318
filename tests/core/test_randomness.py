"""A generator depends on what it is for: seed and names, nothing else."""

import hashlib
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from restorekit.core.randomness import derive_seed, generator_for

names = st.lists(st.text(max_size=8) | st.integers(0, 99), max_size=3)


def test_derive_seed_is_the_first_63_bits_of_sha256() -> None:
    digits = hashlib.sha256(b"20\x1fnight/0001.png\x1fnoise").hexdigest()[:16]
    assert derive_seed(20, "night/0001.png", "noise") == int(digits, 16) // 2


def test_derive_seed_is_the_same_in_another_process() -> None:
    code = "from restorekit.core.randomness import derive_seed; print(derive_seed(0, 'a.png'))"
    for salt in ("0", "1"):
        answer = subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": salt}, capture_output=True, text=True, check=True
        )
        assert int(answer.stdout) == derive_seed(0, "a.png")


@given(st.integers(-(2**70), 2**70), names)
def test_derive_seed_fits_a_torch_generator(seed: int, parts: list[str | int]) -> None:
    derived = derive_seed(seed, *parts)
    assert 0 <= derived < 2**63
    torch.Generator().manual_seed(derived)


def test_derive_seed_tells_apart_what_is_split_differently() -> None:
    seeds = [
        derive_seed(0),
        derive_seed(0, "ab"),
        derive_seed(0, "a", "b"),
        derive_seed(0, "b", "a"),
        derive_seed(0, "", "ab"),
        derive_seed(10, "ab"),
        derive_seed(1, "0", "ab"),
    ]
    assert len(set(seeds)) == len(seeds)


def test_generator_for_does_not_depend_on_what_was_drawn_before() -> None:
    first = torch.rand(4, generator=generator_for(0, "b.png"))
    for name in ("c.png", "a.png"):
        torch.rand(100, generator=generator_for(0, name))
    torch.manual_seed(1)
    assert torch.equal(torch.rand(4, generator=generator_for(0, "b.png")), first)


def test_generator_for_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    torch.rand(4, generator=generator_for(0, "a.png"))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.gpu
def test_generator_for_sits_on_the_device_asked_for() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    assert generator_for(0, "a.png", device="cuda").device.type == "cuda"
