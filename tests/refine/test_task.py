"""Training: what learns and what stays, which loss reaches whom, and nothing of the prior in the graph."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from restorekit.core.networks.zero_dce import ZeroDCEConfig
from restorekit.core.restorer import InputSpec, TrainingTask
from restorekit.refine.config import RefinementConfig
from restorekit.refine.module import RefinementModule
from restorekit.refine.network import RefinedNetwork
from restorekit.refine.settings import RefineConfig
from restorekit.refine.student import Student, StudentConfig
from restorekit.refine.task import RefineTask
from restorekit.training.task import PlacedTask, RestoringTask, SizedTask, StatefulTask
from restorekit.training.unsupervised import Stage, UnsupervisedLoss

JOINT = frozenset({"module", "base"})


class Prior(nn.Module):
    """A network of four numbers, as a prior that remembers whether it was asked."""

    name = "four"
    dim = 4

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.network = nn.Conv2d(3, 4, 3)
        self.asked = 0

    def features(self, images):
        self.asked += 1
        return F.normalize(self.network(images).mean((2, 3)), dim=1)

    def feature_map(self, images):
        return F.normalize(self.network(images), dim=1)


class Base:
    """A frozen restorer that is no network."""

    name, spec = "half", InputSpec(multiple_of=8)

    def __init__(self):
        self.device = None

    def to(self, device, precision="float32"):
        self.device = device
        return self

    def restore(self, degraded, *, generator=None):
        return degraded / 2


def task_of(*, base=None, student=None, prior=True, learning=None, module=None, **settings):
    torch.manual_seed(0)
    config = RefineConfig(module=RefinementConfig(prior_dim=4, **(module or {})), **settings)
    refiner = RefinementModule(config.module)
    nn.init.normal_(refiner.decoder.tail.weight, std=0.2)
    for name, parameter in refiner.named_parameters():
        if ".mapping." in name:
            nn.init.normal_(parameter)  # fresh ones hardly let the prior through
    options = {"learning": learning} if learning else {}
    network = RefinedNetwork(refiner, base=base, student=student, **options)
    return RefineTask(network, config, base=Base(), prior=Prior() if prior else None, multiple_of=Base.spec.multiple_of)


def convolution():
    torch.manual_seed(1)
    return nn.Conv2d(3, 3, 3, padding=1)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    brightness = torch.tensor([0.1, 0.4, 1.0])[:, None, None, None]
    clean = brightness * torch.rand(3, 3, 16, 16, generator=generator)
    return {"clean": clean, "degraded": clean + 0.1 * torch.randn(clean.shape, generator=generator)}


def step(task, batch):
    return task.step(batch, generator=torch.Generator().manual_seed(0))


def advance(task, batch, steps=2):
    optimizer = torch.optim.AdamW([p for p in task.network.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        step(task, batch).loss.backward()
        optimizer.step()
        task.after_step()


def charbonnier(first, second, eps=1e-3):
    """eps stands inside the root."""
    return ((first - second) ** 2 + eps**2).sqrt().mean()


def test_task_keeps_the_protocols() -> None:
    task = task_of()
    for protocol in (TrainingTask, PlacedTask, RestoringTask, SizedTask, StatefulTask):
        assert isinstance(task, protocol)
    assert task.multiple_of == 8


# --------------------------------------------------------------------------------------------------------------- losses


def test_loss_of_a_frozen_base_is_that_of_the_refined_image(batch) -> None:
    task = task_of()
    result = step(task, batch)
    prior = Prior().features(batch["degraded"]).detach()
    refined = task.network.module(batch["degraded"] / 2, batch["degraded"], prior)
    torch.testing.assert_close(result.loss, charbonnier(refined, batch["clean"]))
    assert result.logs["loss_refined"] == pytest.approx(result.loss.item())
    assert set(result.logs) == {"loss_refined", "range_map_mean", "range_map_spread"}
    assert 0 < result.logs["range_map_mean"] < 1


@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_joint_loss_adds_that_of_the_base(weight, batch) -> None:
    """Eq. 8."""
    task = task_of(base=convolution(), learning=JOINT, joint=True, base_network="nafnet", base_loss_weight=weight)
    result = step(task, batch)
    restored = task.network.base(batch["degraded"])
    prior = Prior().features(batch["degraded"]).detach()
    refined = task.network.module(restored, batch["degraded"], prior)
    expected = charbonnier(refined, batch["clean"]) + weight * charbonnier(restored, batch["clean"])
    torch.testing.assert_close(result.loss, expected)


def test_without_its_own_loss_the_base_learns_through_the_module_alone(batch) -> None:
    task = task_of(base=convolution(), learning=JOINT, joint=True, base_network="nafnet", base_loss_weight=0.0)
    result = step(task, batch)
    assert "loss_base" not in result.logs
    result.loss.backward()
    assert float(task.network.base.weight.grad.abs().max()) > 0


def test_unsupervised_loss_judges_both_results_and_no_clean_crop(batch) -> None:
    base = ZeroDCEConfig(width=4).build()
    task = task_of(base=base, learning=JOINT, joint=True, base_network="zero_dce", loss="zero_dce")
    dark = {"degraded": batch["degraded"].clamp(0, 1) / 4}
    result = step(task, dark)
    (first, *rest) = [Stage(*parts) for parts in base.enhancement_stages(dark["degraded"])]
    loss = UnsupervisedLoss("zero_dce")
    refined = task.network.module(first.restored, dark["degraded"], Prior().features(dark["degraded"]).detach())
    torch.testing.assert_close(result.loss, loss([Stage(dark["degraded"], refined)]) + loss([first, *rest]))


# ------------------------------------------------------------------------------------------------------------ gradients


def test_every_weight_that_learns_has_a_gradient(batch) -> None:
    task = task_of(base=convolution(), learning=JOINT, joint=True, base_network="nafnet")
    step(task, batch).loss.backward()
    silent = [name for name, p in task.network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert silent == []


def test_prior_stays_out_of_the_graph_and_as_it_is(batch) -> None:
    task = task_of()
    prior = task._prior
    before = copy.deepcopy(prior.state_dict())
    advance(task, batch)
    assert all(parameter.grad is None for parameter in prior.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in prior.state_dict().items())


def test_frozen_base_stays_bit_for_bit(batch) -> None:
    base = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Dropout(0.5))
    task = task_of(base=base)
    before = copy.deepcopy(base.state_dict())
    task.network.train()
    advance(task, batch)
    assert not any(part.training for part in base.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in base.state_dict().items())
    assert task.network.module.training


def test_joint_training_changes_base_and_module(batch) -> None:
    task = task_of(base=convolution(), learning=JOINT, joint=True, base_network="nafnet")
    before = copy.deepcopy(task.network.state_dict())
    advance(task, batch)
    changed = {name.partition(".")[0] for name, t in task.network.state_dict().items() if not t.equal(before[name])}
    assert changed == {"module", "base"}


def test_step_in_bfloat16_is_close(batch) -> None:
    task = task_of(base=convolution())
    exact = step(task, batch).loss
    with torch.autocast("cpu", torch.bfloat16):
        half = step(task, batch).loss
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, exact, atol=1e-2, rtol=1e-2)


# --------------------------------------------------------------------------------------------- prior, controls, student


def test_kept_prior_and_restored_crops_are_used_instead_of_asking(batch) -> None:
    task = task_of()
    expected = step(task, batch).loss
    kept = {"prior": Prior().features(batch["degraded"]).detach(), "restored": batch["degraded"] / 2}
    asked = task._prior.asked
    torch.testing.assert_close(step(task, {**batch, **kept}).loss, expected)
    assert task._prior.asked == asked
    other = {**batch, **kept, "restored": batch["degraded"]}
    assert abs(float(step(task, other).loss.detach()) - float(expected.detach())) > 1e-3


@pytest.mark.parametrize("control", ["zero", "random", "shuffled"])
def test_controls_take_the_place_of_the_prior(control, batch) -> None:
    true = Prior().features(batch["degraded"]).detach()
    drawn = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    given = {"zero": torch.zeros(3, 4), "shuffled": true[[2, 0, 1]], "random": F.normalize(drawn, dim=1)}[control]
    task = task_of(control=control, prior=control == "shuffled")
    refined = task.network.module(batch["degraded"] / 2, batch["degraded"], given)
    loss = step(task, batch).loss
    torch.testing.assert_close(loss, charbonnier(refined, batch["clean"]), atol=1e-7, rtol=0)
    assert abs(float((loss - step(task_of(), batch).loss).detach())) > 1e-5


def test_module_without_a_prior_asks_none(batch) -> None:
    task = task_of(module={"prior_use": "none"}, prior=False)
    step(task, batch).loss.backward()
    assert task.restore(batch["degraded"]).shape == batch["degraded"].shape


def test_prior_map_is_asked_for(batch) -> None:
    task = task_of(module={"prior_use": "concat_2d", "position": False})
    prior = Prior().feature_map(batch["degraded"]).detach()
    refined = task.network.module(batch["degraded"] / 2, batch["degraded"], prior)
    torch.testing.assert_close(step(task, batch).loss, charbonnier(refined, batch["clean"]))


def test_student_learns_beside_the_module_without_touching_it(batch) -> None:
    torch.manual_seed(3)
    student = Student(StudentConfig(width=2), 4)
    task, alone = task_of(student=student), task_of()
    result = step(task, batch)
    cosine = F.cosine_similarity(student(batch["degraded"]), Prior().features(batch["degraded"]))
    torch.testing.assert_close(result.loss, step(alone, batch).loss + 1 - cosine.mean())
    result.loss.backward()
    step(alone, batch).loss.backward()
    for ours, theirs in zip(task.network.module.parameters(), alone.network.module.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_student_alone_leaves_the_module_as_it_is(batch) -> None:
    task = task_of(student=Student(StudentConfig(width=2), 4), learning=frozenset({"student"}))
    before = copy.deepcopy(task.network.state_dict())
    result = step(task, batch)
    assert set(result.logs) == {"loss_student"}
    advance(task, batch)
    changed = {name.partition(".")[0] for name, t in task.network.state_dict().items() if not t.equal(before[name])}
    assert changed == {"student"}


def test_validation_restores_with_the_student(batch) -> None:
    student = Student(StudentConfig(width=2), 4)
    task = task_of(student=student)
    task.network.eval()
    with torch.no_grad():
        restored = task.restore(batch["degraded"])
        expected = task.network.module(batch["degraded"] / 2, batch["degraded"], student(batch["degraded"]))
    torch.testing.assert_close(restored, expected)
    assert task._prior.asked == 0


def test_what_the_prior_changes_is_logged_after_a_validation(batch) -> None:
    task = task_of()
    task.network.eval()
    with torch.no_grad():
        refined = task.restore(batch["degraded"])
        without = task.network.module(batch["degraded"] / 2, batch["degraded"], torch.zeros(3, 4))
    effect = (refined - without).square().mean().sqrt() / (refined - batch["degraded"] / 2).square().mean().sqrt()
    assert step(task, batch).logs["prior_effect"] == pytest.approx(float(effect), rel=1e-4)
    assert "prior_effect" not in step(task, batch).logs


def test_frozen_parts_are_placed() -> None:
    task = task_of()
    task.place(torch.device("meta"))
    assert task._base.device == torch.device("meta")
