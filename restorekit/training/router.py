"""Training of a router alone, or of its experts alone: both are told which expert is right; the others stay.

The router sees whole photos, degraded and averaged to a view, and one piece of each: the crop. Nothing is restored, so
a step costs little and many photos pass by. Experts learn on, each from the crops that are its own.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restorekit.core.degradation.chain import parse_degradation
from restorekit.core.networks.loading import put_weights
from restorekit.core.networks.routed_unets import RoutedUNets
from restorekit.core.networks.tone import Curves, apply_curves
from restorekit.core.restorer import StepResult
from restorekit.core.weights import load_weights
from restorekit.errors import RecipeError
from restorekit.training.pixel_loss import PixelLoss
from restorekit.training.supervised import SupervisedTask, check_view

__all__ = ["ExpertsTask", "RouterTask", "checked_routes", "restored_by_route", "router_task"]


class RouterTask(SupervisedTask):
    """A ``TrainingTask`` for the router of ``RoutedUNets``.

    Args:
        network: the router and its experts.
        routes: expert of each alternative of the degradation; clean crops go to expert 0.
        tone_jitter: how much the tones of what the router sees are changed at random, photo by photo; 0: not at all.
            A router that sees the same photos again and again learns their tones by heart, and then takes photos that
            it does not know for hazy.
        multiple_of: of ``SupervisedTask``.
    """

    network: RoutedUNets

    def __init__(
        self, network: RoutedUNets, *, routes: Sequence[int], tone_jitter: float = 0.0, multiple_of: int = 1
    ) -> None:
        super().__init__(network, multiple_of=multiple_of)
        self._jitter = tone_jitter
        network.experts.requires_grad_(False)
        self._routes = torch.tensor([*routes, 0])  # the last is that of choice -1, clean

    def step(self, batch: Mapping[str, Tensor], *, generator: torch.Generator) -> StepResult:
        """Cross-entropy in nats; the share of photos that go to the right expert is logged."""
        route = self._routes.to(batch["choice"].device)[batch["choice"]]
        view, degraded = batch["view"], batch["degraded"]
        if self._jitter:
            curves = _drawn_curves(len(view), self._jitter, generator).to(view.device)
            view, degraded = (apply_curves(images, curves) for images in (view, degraded))
        logits = self.network.router(view, degraded[:, None])
        accuracy = (self.network.route_of(logits) == route).float().mean()
        return StepResult(F.cross_entropy(logits, route), {"router_accuracy": accuracy.item()})


class ExpertsTask(SupervisedTask):
    """A ``TrainingTask`` for the experts of ``RoutedUNets``; the router stays as it is.

    Args:
        network: the router and its experts.
        pixels: what is made small.
        routes: as for ``RouterTask``.
        multiple_of: of ``SupervisedTask``.
    """

    network: RoutedUNets

    def __init__(self, network: RoutedUNets, pixels: PixelLoss, *, routes: Sequence[int], multiple_of: int = 1) -> None:
        super().__init__(network, pixels, multiple_of=multiple_of)
        self._routes = routes
        network.router.requires_grad_(False)

    def _restored(self, batch: Mapping[str, Tensor]) -> Tensor:
        return restored_by_route(self.network, batch, self._routes)


def restored_by_route(network: RoutedUNets, batch: Mapping[str, Tensor], routes: Sequence[int]) -> Tensor:
    """The degraded crops of a batch, each restored by its own expert, whatever the router would say.

    Args:
        network: its curves are read off the batch's views.
        batch: of ``CropBatches``, with views.
        routes: expert of each alternative of the degradation; clean crops go to expert 0.
    """
    degraded, choice = batch["degraded"], batch["choice"]
    route = torch.tensor([*routes, 0], device=choice.device)[choice]
    return network.restore(degraded, network.read(batch["view"], degraded[:, None], route))


def router_task(
    network: nn.Module,
    routes: Sequence[int],
    experts: Sequence[str] | None,
    recipe: Any,
    *,
    tone_jitter: float = 0.0,
    multiple_of: int,
    pixels: PixelLoss | None = None,
) -> RouterTask | ExpertsTask:
    """The task of a recipe; what does not fit is refused before a photo is decoded.

    Args:
        network: the one whose router is to be trained.
        routes: expert of each alternative of the degradation.
        experts: a weight file for each expert; None: they stay as they are.
        recipe: its ``degradation`` is asked for.
        tone_jitter: of ``RouterTask``.
        multiple_of: of ``SupervisedTask``.
        pixels: what the experts make small; None: the router learns.

    Raises:
        RecipeError: a network without a router, a number of routes that is not that of the alternatives, a route to no
            expert, an expert without a route, or another number of files than of experts.
        ModelError: a file that is absent or of another network.
    """
    routed = checked_routes(network, routes, recipe)
    if experts is not None:
        _put_experts(routed, experts)
    if pixels is not None:
        return ExpertsTask(routed, pixels, routes=routes, multiple_of=multiple_of)
    return RouterTask(routed, routes=routes, tone_jitter=tone_jitter, multiple_of=multiple_of)


def checked_routes(network: nn.Module | None, routes: Sequence[int], recipe: Any) -> RoutedUNets:
    """The network, if the routes suit it and the recipe's degradation.

    Raises:
        RecipeError: as ``router_task`` raises it.
    """
    if not isinstance(network, RoutedUNets):
        raise RecipeError(f"config.routes: expected none, since {type(network).__name__} has no router; remove them")
    check_view("routed_unets", recipe)
    chains = getattr(parse_degradation(recipe.degradation), "chains", (None,))
    if len(routes) != len(chains):
        raise RecipeError(
            f"config.routes: expected {len(chains)}, one for each alternative of the degradation, got {len(routes)}"
        )
    count = len(network.experts)
    if set(routes) | {0} != set(range(count)):
        raise RecipeError(
            f"config.routes: expected each of the experts 0 to {count - 1} and no other, got {sorted(set(routes))}"
        )
    return network


def _drawn_curves(batch: int, jitter: float, generator: torch.Generator) -> Curves:
    """Curves around the identity, alike in all colours but for a third of their strength."""
    drawn = torch.randn(batch, 1, 3, generator=generator) + torch.randn(batch, 3, 3, generator=generator) / 3
    return jitter * drawn * torch.tensor([1.0, 0.3, 2.0])  # logarithm of the gain, black level, bend


def _put_experts(network: RoutedUNets, files: Sequence[str]) -> None:
    if len(files) != len(network.experts):
        raise RecipeError(f"config.experts: expected {len(network.experts)} files, one for each, got {len(files)}")
    for expert, file in zip(network.experts, files, strict=True):
        put_weights(expert, load_weights(Path(file), dtype=torch.float32), file)
