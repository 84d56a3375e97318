"""Training a router: told which expert is right, the experts untouched, and what cannot work refused at once."""

from types import SimpleNamespace

import pytest
import torch

from restorekit.core.networks import build_network
from restorekit.core.weights import save_weights
from restorekit.errors import ModelError, RecipeError
from restorekit.training.router import ExpertsTask, RouterTask, router_task
from restorekit.training.settings import TrainingSettings
from restorekit.training.supervised import METHOD

SMALL = {"experts": [{"widths": [4], "blocks": [1]}, {"widths": [4], "blocks": [0], "tones": True}]}


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = {name: torch.rand(4, 3, 16, 16, generator=generator) for name in ("clean", "degraded", "view")}
    return images | {"choice": torch.tensor([0, 1, -1, 2])}


def test_loss_is_the_cross_entropy_of_the_right_experts(batch) -> None:
    torch.manual_seed(0)
    network = build_network("routed_unets", SMALL)
    result = RouterTask(network, routes=[1, 0, 1]).step(batch, generator=torch.Generator())
    logits = network.router(batch["view"], batch["degraded"][:, None])
    right = torch.tensor([1, 0, 0, 1])  # the third stayed clean
    torch.testing.assert_close(result.loss, -torch.log_softmax(logits, dim=1)[range(4), right].mean())
    hits = sum(int(a == b) for a, b in zip(logits.argmax(1).tolist(), right.tolist(), strict=True))
    assert result.logs["router_accuracy"] == pytest.approx(hits / 4)


def test_tone_jitter_changes_view_and_crop_by_the_same_curve(batch) -> None:
    network, seen = build_network("routed_unets", SMALL), []
    network.router.register_forward_pre_hook(lambda _, given: seen.append(given))
    batch["degraded"] = batch["view"].clone()
    for jitter in (0.0, 0.2):
        RouterTask(network, routes=[1, 0, 1], tone_jitter=jitter).step(batch, generator=torch.Generator())
    (plain, _), (view, patches) = seen
    assert torch.equal(plain, batch["view"])
    assert torch.equal(view, patches[:, 0])
    assert (view - plain).abs().amax(dim=(1, 2, 3)).min() > 0.01
    for ours, theirs in zip(view.flatten(1), plain.flatten(1), strict=True):  # a rising curve keeps the order
        red = theirs[:256].argsort()
        assert (ours[:256][red].diff() >= 0).all()


@pytest.mark.parametrize("seen_in", ["view", "degraded"])
def test_routing_is_learned_from_views_and_from_crops_while_experts_stay(batch, seen_in: str) -> None:
    torch.manual_seed(0)
    task = RouterTask(build_network("routed_unets", SMALL), routes=[1, 0, 1])
    before = {name: value.clone() for name, value in task.network.experts.state_dict().items()}
    batch[seen_in][[0, 3]] *= 0.1
    other = {"view": "degraded", "degraded": "view"}[seen_in]
    batch[other][:] = batch[other][:1].clone()
    optimizer = torch.optim.Adam([p for p in task.network.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        result = task.step(batch, generator=torch.Generator())
        result.loss.backward()
        optimizer.step()
    assert result.logs["router_accuracy"] == 1.0
    assert all(torch.equal(value, before[name]) for name, value in task.network.experts.state_dict().items())


def recipe(degradation: str = "blur|noise|jpeg", **settings):
    return SimpleNamespace(
        degradation=degradation, training=TrainingSettings.model_validate({"view_px": 8, **settings})
    )


@pytest.mark.parametrize(
    ("routes", "degradation", "message"),
    [
        ([1, 0], "blur|noise|jpeg", "expected 3, one for each alternative of the degradation, got 2"),
        ([0, 0, 0], "blur|noise|jpeg", "expected each of the experts 0 to 1 and no other, got"),
        ([0, 1, 2], "blur|noise|jpeg", "expected each of the experts 0 to 1 and no other, got"),
        ([1, 0], "haze", "expected 1, one for each alternative"),
    ],
)
def test_routes_that_cannot_work_are_refused(routes, degradation, message) -> None:
    with pytest.raises(RecipeError, match=message):
        router_task(build_network("routed_unets", SMALL), routes, None, recipe(degradation), multiple_of=2)


def values(**changes) -> dict:
    return {"network": "routed_unets", "network_options": SMALL, "routes": [1, 0, 0], **changes}


def task_of(config: dict, **settings):
    return METHOD.task(METHOD.config.model_validate(config), recipe(**settings))


def test_experts_learn_each_from_its_own_crops_and_the_router_stays() -> None:
    torch.manual_seed(0)
    task = task_of(values(learn="experts", routes=[1, 1, 0]))
    assert isinstance(task, ExpertsTask)
    batch = {name: torch.rand(4, 3, 16, 16) for name in ("degraded", "clean")}
    batch |= {"view": torch.rand(4, 3, 8, 8), "choice": torch.tensor([0, 1, 1, 0])}
    router = {name: value.clone() for name, value in task.network.router.state_dict().items()}
    optimizer = torch.optim.Adam([p for p in task.network.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        result = task.step(batch, generator=torch.Generator())
        result.loss.backward()
        assert all(p.grad is None for p in task.network.experts[0].parameters())
        optimizer.step()
        losses.append(result.loss.item())
    assert losses[-1] < 0.9 * losses[0]
    assert all(torch.equal(value, router[name]) for name, value in task.network.router.state_dict().items())


def test_experts_come_from_the_files_of_earlier_runs(tmp_path) -> None:
    files = []
    for place, options in enumerate(SMALL["experts"]):
        expert = build_network("dense_unet", options)
        torch.nn.init.constant_(expert.head.bias, place + 0.5)
        files.append(str(tmp_path / f"{place}.safetensors"))
        save_weights(tmp_path / f"{place}.safetensors", expert.state_dict(), {})
    network = task_of(values(experts=files)).network
    for place, expert in enumerate(network.experts):
        assert (expert.head.bias == place + 0.5).all()
    with pytest.raises(RecipeError, match=r"config.experts: expected 2 files, one for each, got 1"):
        task_of(values(experts=files[:1]))
    with pytest.raises(ModelError, match=r"0\.safetensors: expected .* tensors"):
        task_of(values(experts=files[:1] * 2))


def test_method_refuses_what_has_no_router_or_no_view() -> None:
    assert isinstance(task_of(values()), RouterTask)
    with pytest.raises(RecipeError, match="DenseUNet has no router; remove them"):
        task_of({"network": "dense_unet", "routes": [0, 0, 0]})
    with pytest.raises(RecipeError, match=r"training\.view_px: expected .* view .* routed_unets reads, got 0"):
        task_of(values(), view_px=0)
    with pytest.raises(ValueError, match="experts: expected none, since there are no routes to them"):
        METHOD.config.model_validate({"network": "dense_unet", "experts": ["a"]})
