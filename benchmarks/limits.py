"""What this machine can do at most, measured: arithmetic, memory; and what a computation needs at least.

- Arithmetic: the faster of a large matrix product and a large 3x3 convolution, the best of several runs. A limit is
  what was reached once, so the best counts and not the median.
- Memory: copying a tensor much larger than the caches; bytes read plus bytes written.
- A computation takes at least the longer of its operations at the first and its compulsory bytes (weights, input,
  output, each once) at the second. Features that leave the caches are not counted, so the limit is a true lower bound
  that networks of large features stay far from.
"""

import copy
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["Limits", "Work", "all_threads", "autocast", "in_words", "measure_limits", "threads", "work_of"]

COPY_BYTES = 256 * 2**20
MATRIX_SIDE = 2048
CONVOLUTION = (64, 256)  # channels, side in px: 4.8 GFLOP, features of 16 MiB


@dataclass(frozen=True)
class Work:
    """What a computation cannot do without."""

    flops: float
    """Floating point operations; a multiply-add is two."""
    bytes: float
    """Memory that is read or written at least once."""


@dataclass(frozen=True)
class Limits:
    """What the machine reached with some threads in some precision."""

    threads: int
    precision: str
    flops_per_second: float
    bytes_per_second: float

    def least_seconds(self, work: Work) -> float:
        """No less than this, whatever the code."""
        return max(work.flops / self.flops_per_second, work.bytes / self.bytes_per_second)

    def describe(self) -> str:
        """For notes and the console."""
        return (
            f"{in_words(self.threads)}, {self.precision}: "
            f"{self.flops_per_second / 1e9:.0f} GFLOP/s, {self.bytes_per_second / 1e9:.1f} GB/s"
        )


def measure_limits(count: int, precision: str, *, smoke: bool = False) -> Limits:
    """Measure with ``count`` threads; seconds of work."""
    dtype = getattr(torch, precision)
    side = MATRIX_SIDE // 16 if smoke else MATRIX_SIDE
    channels, size = (8, 16) if smoke else CONVOLUTION
    repeats = 1 if smoke else 7
    with threads(count), torch.inference_mode():
        matrix = torch.rand(side, side, dtype=dtype)
        convolution = nn.Conv2d(channels, channels, 3, padding=1, bias=False, dtype=dtype)
        convolution = convolution.to(memory_format=torch.channels_last)
        features = torch.rand(1, channels, size, size, dtype=dtype).contiguous(memory_format=torch.channels_last)
        source = torch.rand(COPY_BYTES // 4 // (1024 if smoke else 1))
        target = torch.empty_like(source)
        product = 2 * side**3 / _best(lambda: matrix @ matrix, repeats)
        convolved = 2 * 9 * channels**2 * size**2 / _best(lambda: convolution(features), repeats)
        copied = 2 * source.nbytes / _best(lambda: target.copy_(source), repeats)
    return Limits(count, precision, max(product, convolved), copied)


def work_of(network: nn.Module, shape: tuple[int, int, int, int]) -> Work:
    """Operations of convolutions and matrix products of one call, and its compulsory bytes in float32.

    The network computes nothing: a copy is built on the meta device, where tensors have shapes alone.
    """
    ghost = copy.deepcopy(network).to("meta").float()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        restored = ghost(torch.empty(shape, device="meta"))
    weights = sum(parameter.nbytes for parameter in ghost.parameters())
    images = 4 * torch.Size(shape).numel() + restored.nbytes
    return Work(float(counter.get_total_flops()), float(weights + images))


def all_threads() -> int:
    """As many as this process may use cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_words(count: int) -> str:
    """A number of threads, for titles."""
    return f"{count} thread{'s' * (count > 1)}"


@contextmanager
def threads(count: int) -> Iterator[None]:
    """PyTorch computes with ``count`` threads inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def autocast(precision: str) -> torch.autocast:
    """As the restorers do it: float32 is no autocast at all."""
    half = precision != "float32"
    return torch.autocast("cpu", getattr(torch, precision) if half else None, enabled=half)


def _best(run: Callable[[], object], repeats: int) -> float:
    run()
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best
