"""Suite ``refine``: the refinement module against its released graph, written plainly, with the same weights.

- Both compute the same; the largest difference is in the note.
- Peak memory is by how much a process of its own grows in one pass, on one thread, freed memory given back.
"""

from collections.abc import Iterator

import torch
from limits import in_words, threads, work_of
from plain_refinement import inputs, make_module, plain_refinement
from process_memory import process_peaks
from results import Row, measured
from setting import Setting
from timing import time_paired
from torch import Tensor, nn

__all__ = ["run"]

HEIGHT, WIDTH = 512, 960

TARGET = 1.25
"""The promised speed, as a multiple of the plain graph's; memory is to be at most half of its."""


def run(setting: Setting) -> Iterator[Row]:
    """One forward pass of both; memory is measured once, it hardly depends on threads."""
    height, width = setting.size(HEIGHT, 32), setting.size(WIDTH, 48)
    module, (restored, degraded, prior) = make_module(), inputs(height, width)
    weights = module.state_dict()

    def ours() -> Tensor:
        with torch.inference_mode():
            refined: Tensor = module(restored, degraded, prior)
        return refined

    def plain() -> Tensor:
        with torch.inference_mode():
            return plain_refinement(weights, restored, degraded, prior)

    difference = float((ours() - plain()).abs().max())
    peaks = process_peaks("plain_refinement.py", height, width)
    share = f", {peaks[0] / peaks[1]:.2f} of it" if peaks[1] > 0 else ""
    note = f"largest difference {difference:.1e}; peak memory {peaks[0] / 1e6:.0f} MB, plain {peaks[1] / 1e6:.0f} MB"
    work = work_of(_OnBoth(module, prior), (1, 6, height, width))
    for count in setting.threads:
        with threads(count):
            seconds = time_paired({"ours": ours, "plain": plain}, setting.budget)
        yield measured(
            f"refinement, {height}x{width}, float32, {in_words(count)}",
            "RefinementModule",
            seconds["ours"],
            peer="the released graph, plain",
            peer_seconds=seconds["plain"],
            megapixels=height * width / 1e6,
            least_seconds=setting.limits(count, "float32").least_seconds(work),
            target=TARGET,
            note=f"{note}{share}; {work.flops / 1e9:.3g} GFLOP",
        )


class _OnBoth(nn.Module):
    """The module on restored and degraded image side by side, for counting its work."""

    def __init__(self, module: nn.Module, prior: Tensor) -> None:
        super().__init__()
        self.module = module
        self.register_buffer("prior", prior)

    def forward(self, both: Tensor) -> Tensor:
        """(batch, 6, height, width) to (batch, 3, height, width)."""
        restored, degraded = both.chunk(2, dim=1)
        refined: Tensor = self.module(restored, degraded, self.prior)
        return refined
