"""Training by EnlightenGAN's loss, on both results; training of gray modules, on one plane."""

import pytest
import torch
from torch import nn

from restorekit.errors import DependencyError, RecipeError, UsageError
from restorekit.priors.image_statistics import StatisticsPrior
from restorekit.recipe import Recipe
from restorekit.refine import METHOD
from restorekit.refine.settings import RefineConfig
from restorekit.refine.task import RefineTask
from restorekit.training import TrainingSettings
from restorekit.training.enlightengan import EnlightenGANLoss
from restorekit.training.task import StatefulTask

NAFNET = {"width": 4, "encoder_blocks": [1], "middle_blocks": 1, "decoder_blocks": [1]}
CONFIG = {
    "base_network": "nafnet",
    "base_options": NAFNET,
    "module": {"prior_dim": 31, "width": 4},
    "prior": "statistics",
    "joint": True,
}
GRAY = {
    "base_options": {**NAFNET, "channels": 1},
    "module": {**CONFIG["module"], "restored_planes": 1, "degraded_planes": 1},
}


class Level(nn.Module):
    """Scores an image by its mean, and remembers what it was shown."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def forward(self, images):
        self.seen.append(images.detach())
        return images.mean(dim=1, keepdim=True)


def shaken(task):
    """Neither base nor module leave the image as it is."""
    torch.manual_seed(3)
    for part in (task.network.base, task.network.module):
        for parameter in part.parameters():
            nn.init.normal_(parameter, std=0.1)
    return task


@pytest.fixture
def adversarial(monkeypatch):
    """A task with tiny discriminators, and three layers in place of VGG-16."""
    torch.manual_seed(0)
    features = nn.Conv2d(3, 2, 3, stride=2).requires_grad_(False)
    monkeypatch.setattr("restorekit.training.vgg_features.load_vgg16", lambda weights: features)

    def make():
        task = shaken(METHOD.task(RefineConfig(**CONFIG, loss="enlightengan"), None))
        assert isinstance(task._loss, EnlightenGANLoss)
        torch.manual_seed(1)
        task._loss = EnlightenGANLoss(features, width=2)
        return task

    return make


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    clean = torch.rand(3, 3, 32, 32, generator=generator)
    return {"clean": clean, "degraded": 0.3 * clean + 0.05 * torch.randn(clean.shape, generator=generator)}


def step(task, batch):
    return task.step(batch, generator=torch.Generator().manual_seed(0))


def results(task, batch):
    """What base and module make of a batch."""
    degraded, planes = batch["degraded"], task.network.module.config.restored_planes
    restored = task.network.base(degraded[:, :planes])
    return restored, task.network.module(restored, degraded[:, :planes], StatisticsPrior().features(degraded))


def test_enlightengan_judges_both_results_and_shows_bright_photos_of_something_else(adversarial, batch) -> None:
    task, seen = adversarial(), []
    task._loss.whole = task._loss.local = Level(seen)
    answer = step(task, batch)
    assert {"loss_refined", "loss_base"} <= answer.logs.keys()
    restored, refined = results(task, batch)
    others = batch["clean"][[2, 0, 1]]
    whole = [images for images in seen if len(images) == 3]
    for found, expected in zip(whole, (refined, others, restored, others), strict=True):
        torch.testing.assert_close(found, expected.detach(), atol=1e-5, rtol=1e-4)
    answer.loss.backward()
    assert all(weight.grad is not None for weight in task.network.parameters())


def test_discriminators_learn_after_the_step_and_travel_in_the_checkpoint(adversarial, batch) -> None:
    task, other = adversarial(), adversarial()
    assert isinstance(task, StatefulTask)
    before = {name: value.clone() for name, value in task.state_dict().items()}
    step(task, batch)
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())
    task.after_step()
    after = task.state_dict()
    assert any(not torch.equal(value, before[name]) for name, value in after.items() if name.endswith("weight"))
    other.load_state_dict({name: value.clone() for name, value in after.items()})
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in after.items())
    assert not any(name.startswith(("whole", "local")) for name in task.network.state_dict())
    assert METHOD.task(RefineConfig(**CONFIG), None).state_dict() == {}


def test_enlightengan_needs_features() -> None:
    config = RefineConfig(**CONFIG, loss="enlightengan")
    task = METHOD.task(RefineConfig(**CONFIG), None)
    with pytest.raises(UsageError, match="loss enlightengan: expected a feature extractor, got none"):
        RefineTask(task.network, config, base=METHOD.restorer(config).base)


def test_vgg_that_is_absent_is_told_before_training() -> None:
    with pytest.raises(DependencyError, match=r"VGG-16 at nowhere\.pth, got no such file; .*config.loss_features=FILE"):
        METHOD.task(RefineConfig(**CONFIG, loss="enlightengan", loss_features="nowhere.pth"), None)


@pytest.mark.parametrize(
    ("training", "degradation", "message"),
    [
        ({"batch_size": 1}, "low_light", "expected a batch of at least 2, for photos of something else"),
        ({"crop_px": 16}, "low_light", "crops of at least 32 px, for the patches of enlightengan, got 32 and 16"),
        ({}, "none", "degradation: expected one that darkens, such as low_light"),
    ],
)
def test_enlightengan_refuses_what_it_cannot_learn_from(training, degradation, message) -> None:
    recipe = Recipe(method="refine", degradation=degradation, training=TrainingSettings(**training))
    with pytest.raises(RecipeError, match=message):
        METHOD.task(RefineConfig(**CONFIG, loss="enlightengan"), recipe)


def test_gray_module_learns_from_one_plane_and_the_prior_sees_three(batch) -> None:
    batch = {name: images[:, :1].expand(-1, 3, -1, -1) for name, images in batch.items()}
    task = shaken(METHOD.task(RefineConfig(**CONFIG | GRAY, loss="l1"), None))
    restored, refined = results(task, batch)
    assert refined.shape == (3, 1, 32, 32)
    clean = batch["clean"][:, :1]
    expected = (refined - clean).abs().mean() + (restored - clean).abs().mean()
    torch.testing.assert_close(step(task, batch).loss, expected)
    with torch.no_grad():
        torch.testing.assert_close(task.restore(batch["degraded"]), refined.expand(-1, 3, -1, -1))


def test_frozen_gray_base_is_a_restorer_of_three_equal_planes(batch) -> None:
    batch = {name: images[:, :1].expand(-1, 3, -1, -1) for name, images in batch.items()}
    config = RefineConfig(**CONFIG | GRAY | {"joint": False}, loss="l1")
    task = METHOD.task(config, None)
    task.network.base = None
    task._base = METHOD.restorer(config).base
    restored = task._base.restore(batch["degraded"])
    torch.testing.assert_close(step(task, batch).loss, (restored - batch["clean"]).abs().mean())  # a fresh module
