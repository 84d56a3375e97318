"""Refinement inside the base network, the paper's "-f": a part's features are refined before the rest goes on.

Xu et al. 2024 (arXiv:2403.06793), section 4.2: the module is added "to the deepest feature layer for efficiency,
producing the residual feature map and the mask information".

- Any part of a network can be named whose answer is one map. It is caught by a forward hook, so no network knows of it.
- Deep features are small and have many channels already, so neither encoder nor decoder is needed: one convolution to
  the module's width, the same enhancement and attention, one convolution back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from restorekit.core.networks.base import FeatureMaps, NetworkConfig
from restorekit.core.restorer import Window
from restorekit.errors import ModelError, did_you_mean
from restorekit.priors.frame import run_until
from restorekit.refine.channel_spatial import ChannelSpatialAttention
from restorekit.refine.config import RefinementConfig
from restorekit.refine.module import check_prior, prepared, projection_of
from restorekit.refine.shapes import Prior
from restorekit.refine.spatial_varying import SpatialVaryingEnhancement

__all__ = ["FeatureRefinement", "features_refined", "planes_of"]


class FeatureRefinement(nn.Module):
    """R on features:  f' = f I_m + I_r, with the mask and the residual of ``RefinementModule``'s inner parts.

    Args:
        config: as for ``RefinementModule``; planes of images and ``fusion = "snr"`` have no meaning here.
        planes: channels of the features.

    Differs from the paper: it says no more than what stands above, and there is no code of it; the form is ours. I_m is
    that of ``RefinementModule``, so that a fresh module with ``parity = "fixed"`` changes nothing.
    """

    def __init__(self, config: RefinementConfig, planes: int) -> None:
        super().__init__()
        attends = config.channel_attention or config.spatial_attention
        self.config = config
        self.projection = projection_of(config)
        self.enter = nn.Conv2d(planes, config.width, 1)
        self.enhancement = SpatialVaryingEnhancement(config) if config.fusion != "none" else None
        self.attention = ChannelSpatialAttention(config) if attends else None
        self.leave = nn.Conv2d(config.width, planes + (config.compose == "mask"), 3, padding=1)
        if config.parity == "fixed":
            nn.init.zeros_(self.leave.weight)
            nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(
        self, features: FeatureMaps, prior: Prior | None = None, *, window: Window | None = None
    ) -> FeatureMaps:
        """Refine features.

        Args:
            features: (batch, planes, rows, columns).
            prior: as for ``RefinementModule``.
            window: what part of the whole image they are of, in px; None: of all.

        Returns:
            Same shape as ``features``.

        Raises:
            ModelError: the prior is missing or has another shape.
        """
        check_prior(prior, len(features), self.config)
        guide, place = prepared(prior, self.config, self.projection, self.enter.weight.dtype), _place(features, window)
        inner: FeatureMaps = self.enter(features)
        if self.enhancement is not None:
            inner = self.enhancement(inner, guide, place)
        if self.attention is not None:
            inner = self.attention(inner, guide, place)
        answer: FeatureMaps = self.leave(inner)
        if self.config.compose == "residual":
            return features + answer
        return torch.addcmul(features, features, torch.tanh(answer[:, :1])) + answer[:, 1:]


@contextmanager
def features_refined(
    network: nn.Module, part: str, module: FeatureRefinement, prior: Prior | None, *, window: Window | None = None
) -> Iterator[None]:
    """While it lasts, the answer of a part of ``network`` is refined whenever it is given.

    Args:
        network: any.
        part: a name in ``network.named_modules()``.
        module: refines.
        prior: for all of the batch that ``network`` is called with.
        window: as for ``module``.
    """

    def refine(_part: nn.Module, _inputs: Any, features: Tensor) -> Tensor:
        refined: Tensor = module(features, prior, window=window)
        return refined

    hook = network.get_submodule(part).register_forward_hook(refine)
    try:
        yield
    finally:
        hook.remove()


def planes_of(config: NetworkConfig, part: str) -> int:
    """Channels of what a part of a network answers; nothing is computed.

    Raises:
        ModelError: no such part, or one whose answer is not one map of features.
    """
    with torch.device("meta"):
        network = config.build()
        image = torch.empty(1, config.planes[0], 2 * config.multiple_of, 2 * config.multiple_of)
    names: list[str] = [name for name, _ in network.named_modules() if name]
    if part not in names:
        outer = ", ".join(name for name in names if "." not in name)
        raise ModelError(f"config.features: expected a part such as {outer}, got {part!r}" + did_you_mean(part, names))
    with torch.no_grad():
        answer = run_until(network, network.get_submodule(part), image)
    if not isinstance(answer, Tensor) or answer.ndim != 4:
        shape = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise ModelError(
            f"config.features: expected a part that answers (batch, channels, rows, columns), got {part}, which "
            f"answers {shape}; name another"
        )
    return answer.shape[1]


def _place(features: FeatureMaps, window: Window | None) -> Window:
    """The window in pixels of the features."""
    rows, columns = features.shape[2:]
    if window is None:
        return Window(0, 0, rows, columns, full_height=rows, full_width=columns)
    down, across = window.height // rows, window.width // columns
    return Window(
        window.top // down,
        window.left // across,
        rows,
        columns,
        full_height=window.full_height // down,
        full_width=window.full_width // across,
    )
