"""The momentum encoder: a copy that follows the trained encoder slowly, and reads what is to be matched.

He et al. 2020, MoCo (arXiv:1911.05722), eq. 2:  θ_k ← m θ_k + (1 − m) θ_q
"""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from restorekit.constyle.encoder import ConStyleEncoder, Style
from restorekit.core.image.convention import Images

__all__ = ["MomentumEncoder"]


class MomentumEncoder:
    """An encoder without gradients that starts as a copy of ``encoder``.

    Args:
        encoder: what it follows.
        momentum: m in [0, 1]; 0.999 in the paper.
        buffers: let running statistics follow like weights; the release lets each encoder keep its own.

    Differs from the paper: no. Both encoders normalise by the statistics of the batch where they have BatchNorm, as in
    the authors' code.
    """

    def __init__(self, encoder: ConStyleEncoder, *, momentum: float, buffers: bool) -> None:
        self._followed = encoder
        self._momentum = momentum
        self._buffers = buffers
        self._own = copy.deepcopy(encoder).requires_grad_(False).train()

    @torch.no_grad()
    def read(self, images: Images) -> Style:
        """Maps and codes, without gradient."""
        style: Style = self._own(images)
        return style

    @torch.no_grad()
    def follow(self) -> None:
        """One step towards the encoder as it is now."""
        torch._foreach_lerp_(list(self._own.parameters()), list(self._followed.parameters()), 1 - self._momentum)
        if not self._buffers:
            return
        for own, followed in zip(self._own.buffers(), self._followed.buffers(), strict=True):
            if own.is_floating_point():
                own.lerp_(followed, 1 - self._momentum)
            else:
                own.copy_(followed)  # a counter

    def to(self, device: torch.device) -> "MomentumEncoder":
        """This encoder, moved."""
        self._own.to(device)
        return self

    def state_dict(self) -> Mapping[str, Tensor]:
        """Its weights and buffers by the names of the encoder."""
        return self._own.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over what ``state_dict`` gave."""
        self._own.load_state_dict(state)
