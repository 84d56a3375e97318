"""A tensor that is computed once and kept, until a weight or the place it depends on changes."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from restorekit.core.restorer import Window

__all__ = ["Kept"]


class Kept:
    """Room for one tensor. It is left behind by copies and pickles, and is no part of any state dict.

    Weights are watched by identity and by how often they were written to: optimisers, ``load_state_dict`` and averages
    are all noticed; writes through ``weight.data`` are not.
    """

    def __init__(self) -> None:
        self._held: tuple[tuple[Any, ...], Tensor] | None = None

    def get(self, weights: Sequence[Tensor], window: Window, compute: Callable[[], Tensor]) -> Tensor:
        """The kept tensor, if it was computed from these weights for this window, in this precision; else a new one."""
        state = _state(weights, window)
        if self._held is None or not _same(self._held[0], state):
            self._held = (state, compute())
        return self._held[1]

    def __reduce__(self) -> tuple[type["Kept"], tuple[()]]:
        return Kept, ()


def _state(weights: Sequence[Tensor], window: Window) -> tuple[Any, ...]:
    device = weights[0].device
    casts = torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)
    precision = torch.get_autocast_dtype(device.type) if casts else None
    versions = [0 if weight.is_inference() else weight._version for weight in weights]
    return (*weights, *versions, *(weight.dtype for weight in weights), window, device, precision)


def _same(first: tuple[Any, ...], second: tuple[Any, ...]) -> bool:
    """Whether two states agree; tensors are compared by identity."""
    return all(a is b if isinstance(a, Tensor) else a == b for a, b in zip(first, second, strict=True))
