"""The perceptual term has the value of its formula, sees what it is told to see, and is VGG-19's."""

import pytest
import torch
from torch import nn

from restorekit.errors import DependencyError, ModelError, UsageError
from restorekit.refine import METHOD
from restorekit.refine.perceptual import PerceptualLoss, load_perceptual
from restorekit.refine.settings import RefineConfig
from restorekit.refine.task import RefineTask
from restorekit.training.vgg_features import VGG_FILES

WEIGHTS = [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1]
ENDS = (1, 6, 11, 20, 29)  # relu1_1 to relu5_1 among torchvision's layers

CONFIG = {
    "base_network": "nafnet",
    "base_options": {"width": 4, "encoder_blocks": [1], "middle_blocks": 1, "decoder_blocks": [1]},
    "module": {"prior_dim": 31, "width": 4},
    "prior": "statistics",
    "joint": True,
}


def pictures():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 2, 3, 32, 32, generator=generator).unbind()


def doubling():
    """Five stages that multiply by 2, 4, 8, 16 and 32 in all: nothing of a network, so that sums are known."""

    class Twice(nn.Module):
        def forward(self, values):
            return 2 * values

    return [Twice() for _ in WEIGHTS]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_stages_are_weighted_and_added(reduction) -> None:
    first, second = pictures()
    distance = getattr((first - second).abs(), reduction)()
    expected = distance * sum(weight * 2.0 ** (index + 1) for index, weight in enumerate(WEIGHTS))
    loss = PerceptualLoss(doubling(), normalised=False, reduction=reduction)
    torch.testing.assert_close(loss(first, second), expected)
    torch.testing.assert_close(loss(first, first), torch.tensor(0.0))


def test_normalisation_divides_by_the_deviations_of_imagenet() -> None:
    """The mean falls out of differences; what the stages see shows it."""
    seen = []

    class Watching(nn.Module):
        def forward(self, values):
            seen.append(values)
            return values

    first, second = pictures()
    deviation = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    loss = PerceptualLoss([Watching(), *[nn.Identity() for _ in WEIGHTS[1:]]])
    torch.testing.assert_close(loss(first, second), sum(WEIGHTS) * ((first - second) / deviation).abs().mean())
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    torch.testing.assert_close(seen[1], (first - mean) / deviation)
    PerceptualLoss([Watching(), *[nn.Identity() for _ in WEIGHTS[1:]]], normalised=False)(first, second)
    assert torch.equal(seen[3], first)


def test_gradient_reaches_the_restored_image_alone() -> None:
    first, second = (images.requires_grad_() for images in pictures())
    loss = PerceptualLoss([nn.Conv2d(3, 3, 1), *[nn.Identity() for _ in WEIGHTS[1:]]])
    loss(first, second).backward()
    assert first.grad.abs().max() > 0
    assert second.grad is None
    assert not any(weight.requires_grad for weight in loss.parameters())


@pytest.fixture(scope="module")
def vgg19():
    """Its layers up to relu5_1, with weights by chance."""
    from torchvision.models import vgg19

    torch.manual_seed(0)
    with torch.device("meta"):
        layers = vgg19(weights=None).features[:30]
    layers = layers.to_empty(device="cpu")
    for weight in layers.parameters():
        nn.init.normal_(weight, std=0.05)
    return layers


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_features_are_those_of_torchvisions_vgg19(vgg19, tmp_path, suffix) -> None:
    from safetensors.torch import save_file

    path = tmp_path / f"vgg.{suffix}"
    tensors = {f"features.{name}": value for name, value in vgg19.state_dict().items()}
    tensors["classifier.0.bias"] = torch.ones(2)
    (torch.save if suffix == "pth" else save_file)(tensors, path)
    first, second = (images[:1] for images in pictures())
    expected, features = torch.zeros(()), [first, second]
    for index, layer in enumerate(vgg19):
        features = [layer(values).detach() for values in features]
        if index in ENDS:
            expected += WEIGHTS[ENDS.index(index)] * (features[0] - features[1]).abs().sum()
    assert isinstance(vgg19[28], nn.Conv2d)  # conv5_1 follows the fourth pooling
    assert sum(isinstance(layer, nn.MaxPool2d) for layer in vgg19) == 4
    loss = load_perceptual(path, normalised=False, reduction="sum")
    torch.testing.assert_close(loss(first, second), expected)


def test_absent_vgg_says_what_to_pass(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(
        DependencyError,
        match=rf"VGG-19 at .*{VGG_FILES[19]}, got no such file; .*--set config.loss_features=FILE, or train without",
    ):
        METHOD.task(RefineConfig(**CONFIG, perceptual_weight=0.1), None)


def test_other_networks_are_refused(tmp_path) -> None:
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match=r"other\.pth: expected 26 tensors, 25 are missing, the first is 0\.bias"):
        load_perceptual(tmp_path / "other.pth")


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_term_is_added_to_the_losses_of_base_and_module(reduction) -> None:
    clean, degraded = pictures()
    term = PerceptualLoss(doubling(), normalised=False, reduction=reduction)
    settings = {**CONFIG, "loss": "l1", "reduction": reduction}
    plain = METHOD.task(RefineConfig(**settings), None)
    config = RefineConfig(**settings, perceptual_weight=0.1)
    base = METHOD.restorer(config).base
    with_term = RefineTask(plain.network, config, base=base, prior=plain._prior, perceptual=term)
    batch = {"clean": clean, "degraded": degraded}
    before, after = (task.step(batch, generator=torch.Generator()) for task in (plain, with_term))
    # a fresh module leaves what the base restored as it is, and each stage of the term is a multiple of L1
    times = 1 + 0.1 * sum(weight * 2.0 ** (index + 1) for index, weight in enumerate(WEIGHTS))
    with torch.no_grad():
        expected = getattr((clean - plain.network.base(degraded)).abs(), reduction)()
    for name in ("loss_refined", "loss_base"):
        assert before.logs[name] == pytest.approx(float(expected), rel=1e-4)
        assert after.logs[name] == pytest.approx(float(expected) * times, rel=1e-4)


def test_weight_without_its_loss_is_refused() -> None:
    task = METHOD.task(RefineConfig(**CONFIG), None)
    config = RefineConfig(**CONFIG, perceptual_weight=0.1)
    with pytest.raises(UsageError, match="perceptual_weight: expected a PerceptualLoss, got none"):
        RefineTask(task.network, config, base=METHOD.restorer(config).base)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"loss": "sci", "perceptual_weight": 0.1}, "knows clean photos beside perceptual_weight, got sci"),
        ({"loss": "enlightengan", "reduction": "sum"}, "knows clean photos beside reduction = sum, got enlightengan"),
        ({"loss": "psnr", "reduction": "sum"}, "reduction: expected mean beside loss = psnr"),
        ({"loss_features": "vgg.pth"}, "loss_features: expected none beside loss = charbonnier"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values, message) -> None:
    with pytest.raises(ValueError, match=message):
        RefineConfig(**values)
