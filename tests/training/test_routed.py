"""Routed training: the right expert, the router told which it is, and routes that cannot work refused at once."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from restorekit.core.networks import build_network
from restorekit.core.networks.routed_unets import apply_curves
from restorekit.errors import RecipeError
from restorekit.training.pixel_loss import PixelLoss
from restorekit.training.routed import RoutedTask, check_routes
from restorekit.training.settings import TrainingSettings
from restorekit.training.supervised import METHOD

SMALL = {
    "experts": [{"widths": [4], "blocks": [1]}, {"widths": [4], "blocks": [0]}],
    "view_px": 8,
    "router_width": 4,
}


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = {name: torch.rand(4, 3, 8, 8, generator=generator) for name in ("clean", "degraded", "view")}
    return images | {"choice": torch.tensor([0, 1, -1, 2])}


def test_loss_is_that_of_the_right_experts_plus_cross_entropy(batch) -> None:
    torch.manual_seed(0)
    network = build_network("routed_unets", SMALL)
    result = RoutedTask(network, PixelLoss("l1"), routes=[1, 0, 1]).step(batch, generator=torch.Generator())
    route = torch.tensor([1, 0, 0, 1])
    reading = network.read(batch["view"])
    restored = network.restore(batch["degraded"], reading, route)
    expected = F.l1_loss(restored, batch["clean"]) + F.nll_loss(torch.log_softmax(reading.logits, 1), route)
    torch.testing.assert_close(result.loss, expected)
    hits = sum(int(a == b) for a, b in zip(reading.logits.argmax(1).tolist(), route.tolist(), strict=True))
    assert result.logs["router_accuracy"] == pytest.approx(hits / 4)


def test_routing_is_learned(batch) -> None:
    torch.manual_seed(0)
    task = RoutedTask(build_network("routed_unets", SMALL), routes=[1, 0, 1])
    batch["view"][[0, 3]] *= 0.1
    optimizer = torch.optim.Adam(task.network.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        result = task.step(batch, generator=torch.Generator())
        result.loss.backward()
        optimizer.step()
    assert result.logs["router_accuracy"] == 1.0


def test_router_alone_learns_curves_and_logits_while_experts_stay(batch) -> None:
    torch.manual_seed(0)
    network = build_network("routed_unets", SMALL)
    torch.nn.init.normal_(network.experts[1].head.weight, std=0.1)
    result = RoutedTask(network, PixelLoss("l1"), routes=[1, 0, 1], router_alone=True).step(
        batch, generator=torch.Generator()
    )
    route = torch.tensor([1, 0, 0, 1])
    reading = network.read(batch["view"])
    tone = apply_curves(batch["degraded"][[0, 3]], reading.curves[[0, 3], 1])
    expected = F.l1_loss(network.experts[1](tone), batch["clean"][[0, 3]])
    expected = expected + F.nll_loss(torch.log_softmax(reading.logits, 1), route)
    torch.testing.assert_close(result.loss, expected)
    result.loss.backward()
    assert all(parameter.grad is None for parameter in network.experts.parameters())
    assert network.router.curves.weight.grad.abs().max() > 0
    assert network.router.logits.weight.grad.abs().max() > 0


def test_router_alone_needs_no_crop_of_its_own(batch) -> None:
    batch["choice"][:] = -1
    network = build_network("routed_unets", SMALL)
    result = RoutedTask(network, routes=[1, 0, 1], router_alone=True).step(batch, generator=torch.Generator())
    torch.testing.assert_close(
        result.loss, F.cross_entropy(network.read(batch["view"]).logits, torch.zeros(4, dtype=torch.int64))
    )


def test_learning_a_router_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="learn: expected all, since there are no routes"):
        METHOD.config.model_validate({"network": "dense_unet", "learn": "router"})


def recipe(degradation: str = "blur|noise|jpeg", **settings):
    return SimpleNamespace(
        degradation=degradation, training=TrainingSettings.model_validate({"view_px": 8, **settings})
    )


@pytest.mark.parametrize(
    ("routes", "arguments", "message"),
    [
        ([1, 0], {}, "expected 3, one for each alternative of the degradation, got 2"),
        ([0, 0, 0], {}, "expected each of the experts 0 to 1 and no other, got"),
        ([0, 1, 2], {}, "expected each of the experts 0 to 1 and no other, got"),
        ([0, 1, 0], {"view_px": 0}, "training.view_px: expected the side of a thumbnail for the router, got 0"),
        ([1], {"degradation": "haze", "view_px": 0}, "training.view_px"),
    ],
)
def test_routes_that_cannot_work_are_refused(routes, arguments, message) -> None:
    with pytest.raises(RecipeError, match=message):
        check_routes(routes, build_network("routed_unets", SMALL), recipe(**arguments))


def test_method_checks_and_builds_routed_tasks() -> None:
    values = {"network": "routed_unets", "network_options": SMALL, "routes": [1, 0, 0]}
    task = METHOD.task(METHOD.config.model_validate(values), recipe())
    assert isinstance(task, RoutedTask)
    values = {"network": "dense_unet", "routes": [0, 0, 0]}
    with pytest.raises(RecipeError, match="DenseUNet has no router; remove them"):
        METHOD.task(METHOD.config.model_validate(values), recipe())
