"""The exponential moving average of weights and buffers: what is validated and shipped."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

__all__ = ["AveragedWeights"]


class AveragedWeights:
    """An averaged copy of a module.

    ``average <- d * average + (1 - d) * live`` with ``d = min(decay, (1 + n) / (10 + n))`` after ``n`` updates, so that
    the first steps are soon forgotten. Buffers are averaged like weights; integer buffers (counters) are copied.
    """

    def __init__(self, live: nn.Module, decay: float) -> None:
        self.decay = decay
        self._decay_now = 0.0
        self._averaged = AveragedModel(live, use_buffers=True, multi_avg_fn=self._blend)
        self._averaged.requires_grad_(False)

    @property
    def module(self) -> nn.Module:
        """The averaged module; the same names as the live one."""
        averaged: nn.Module = self._averaged.module
        return averaged

    def update(self, live: nn.Module, step: int) -> None:
        """Take in the weights after update number ``step``, counted from 1."""
        self._decay_now = min(self.decay, (1 + step) / (10 + step))
        self._averaged.n_averaged.fill_(step)  # PyTorch overwrites the average where this is 0
        self._averaged.update_parameters(live)

    @contextmanager
    def swapped_into(self, live: nn.Module) -> Iterator[None]:
        """Within the block ``live`` has the averaged weights; afterwards its own again, bit for bit."""
        targets = list(_tensors(live))
        kept = [target.detach().clone() for target in targets]
        _copy(targets, list(_tensors(self.module)))
        try:
            yield
        finally:
            _copy(targets, kept)

    def _blend(self, averaged: Any, live: Any, _: Tensor | int) -> None:
        with torch.no_grad():
            if averaged[0].is_floating_point():
                torch._foreach_lerp_(averaged, live, 1 - self._decay_now)
            else:
                _copy(averaged, live)


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    return chain(module.parameters(), module.buffers())


@torch.no_grad()
def _copy(targets: list[Tensor], sources: list[Tensor]) -> None:
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)
