"""Supervised training of a router and its experts: each crop teaches the expert of its degradation, and the router.

The router is told which expert is right (cross-entropy) and learns the tone curves from the restored crops. It sees the
whole photo, degraded like the crop; ``training.view_px`` must therefore not be 0.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restorekit.core.degradation.chain import parse_degradation
from restorekit.core.networks.routed_unets import Reading, RoutedUNets
from restorekit.core.restorer import StepResult
from restorekit.errors import RecipeError
from restorekit.training.pixel_loss import PixelLoss
from restorekit.training.supervised import SupervisedTask

__all__ = ["RoutedTask", "check_routes"]


class RoutedTask(SupervisedTask):
    """A ``SupervisedTask`` for ``RoutedUNets``.

    Args:
        network: the router and its experts.
        pixels, multiple_of: of ``SupervisedTask``.
        routes: expert of each alternative of the degradation; clean crops go to expert 0.
        router_alone: the experts are frozen, and only crops whose restoration depends on the router are restored.
    """

    network: RoutedUNets

    def __init__(
        self,
        network: RoutedUNets,
        pixels: PixelLoss | None = None,
        *,
        routes: Sequence[int],
        router_alone: bool = False,
        multiple_of: int = 1,
    ) -> None:
        super().__init__(network, pixels, multiple_of=multiple_of)
        self._router_alone = router_alone
        if router_alone:
            network.experts.requires_grad_(False)
        self._routes = torch.tensor([*routes, 0])  # the last is that of choice -1, clean

    def step(self, batch: Mapping[str, Tensor], *, generator: torch.Generator) -> StepResult:  # noqa: ARG002
        """The loss of the right experts plus the router's cross-entropy, in nats; its accuracy is logged."""
        route = self._routes.to(batch["choice"].device)[batch["choice"]]
        reading = self.network.read(batch["view"])
        accuracy = (self.network.route_of(reading) == route).float().mean()
        loss = F.cross_entropy(reading.logits, route)
        taught = (route > 0 if self._router_alone else torch.ones_like(route, dtype=torch.bool)).nonzero().flatten()
        if len(taught):
            degraded, clean = batch["degraded"][taught], batch["clean"][taught]
            chosen = Reading(*(read[taught] for read in reading))
            restored = self.network.restore(degraded, chosen, route[taught])
            loss = loss + self.pixels(restored.float(), degraded, clean)
        return StepResult(loss, {"router_accuracy": accuracy.item()})


def check_routes(routes: Sequence[int], network: nn.Module, recipe: Any) -> RoutedUNets:
    """Refuse routes that do not fit, before a photo is decoded.

    Args:
        routes: expert of each alternative of the degradation.
        network: the one that is to be trained.
        recipe: its ``degradation`` and ``training.view_px`` are asked for.

    Returns:
        The network, known to have a router.

    Raises:
        RecipeError: a network without a router, a number of routes that is not that of the alternatives, a route to no
            expert, an expert without a route, or no thumbnails for the router.
    """
    if not isinstance(network, RoutedUNets):
        raise RecipeError(f"config.routes: expected none, since {type(network).__name__} has no router; remove them")
    chains = getattr(parse_degradation(recipe.degradation), "chains", (None,))
    if len(routes) != len(chains):
        raise RecipeError(
            f"config.routes: expected {len(chains)}, one for each alternative of the degradation, got {len(routes)}"
        )
    experts = len(network.experts)
    if set(routes) | {0} != set(range(experts)):
        raise RecipeError(
            f"config.routes: expected each of the experts 0 to {experts - 1} and no other, got {sorted(set(routes))}"
        )
    if not recipe.training.view_px:
        raise RecipeError(
            f"training.view_px: expected the side of a thumbnail for the router, got 0; set it to "
            f"{network.config.view_px}"
        )
    return network
