"""EnlightenGAN's loss: each term against its equation, and two discriminators that learn by themselves."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from restorekit.errors import DependencyError, ModelError
from restorekit.training.enlightengan import (
    EnlightenGANLoss,
    PatchDiscriminator,
    least_squares,
    relativistic_least_squares,
    self_feature_preserving,
)
from restorekit.training.vgg_features import VGG_FILES, load_vgg16


def images(seed: int, side: int = 16, batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(seed))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def features() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(3, 4, 3, stride=2).requires_grad_(False)


@pytest.fixture
def loss(features) -> EnlightenGANLoss:
    torch.manual_seed(1)
    return EnlightenGANLoss(features, width=4, patch_px=8)


def test_relativistic_loss_is_equation_three_and_the_other_way_round_equation_four() -> None:
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(3, 1, 2, 2)), rng.normal(size=(2, 1, 2, 2))

    def compared(first, second):
        """D_Ra of each score of ``first``."""
        return [score - second.mean() for score in first.ravel()]

    discriminator = np.mean([(d - 1) ** 2 for d in compared(real, fake)]) + np.mean(np.square(compared(fake, real)))
    maker = np.mean([(d - 1) ** 2 for d in compared(fake, real)]) + np.mean(np.square(compared(real, fake)))
    bright, restored = torch.from_numpy(real), torch.from_numpy(fake)
    assert float(relativistic_least_squares(bright, over=restored)) == pytest.approx(discriminator)
    assert float(relativistic_least_squares(restored, over=bright)) == pytest.approx(maker)


def test_self_feature_preserving_compares_normalised_features(features) -> None:
    restored, dark = images(0), images(1)
    total = []
    for found, wanted in zip(features(restored).flatten(0, 1), features(dark).flatten(0, 1), strict=True):
        normed = [(m - m.mean()) / (m.var(correction=0) + 1e-5).sqrt() for m in (found, wanted)]
        total.append(float((normed[0] - normed[1]).square().mean()))
    assert float(self_feature_preserving(restored, dark, features)) == pytest.approx(np.mean(total), rel=1e-5)
    assert float(self_feature_preserving(dark, dark, features)) == 0


def test_loss_is_the_sum_of_equation_eight(loss, features) -> None:
    """With discriminators that say how bright each image is, and patches as large as the images."""
    restored, dark, bright = images(0, 8), images(1, 8), images(2, 8)
    loss.whole = loss.local = lambda given: given.mean(dim=1, keepdim=True)
    found = loss(restored, dark, bright, generator=generator())
    levels, reals = restored.mean(dim=1).numpy(), bright.mean(dim=1).numpy()
    of_whole = np.square(levels - reals.mean() - 1).mean() + np.square(reals - levels.mean()).mean()
    of_patches = np.square(levels - 1).mean()
    kept = 2 * float(self_feature_preserving(restored, dark, features))  # five equal patches have the image's mean
    assert float(found) == pytest.approx(kept + of_whole + of_patches, rel=1e-5)


def test_patches_lie_at_the_same_places_in_all_three_and_differ(loss) -> None:
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    places = (
        torch.stack([rows, columns, torch.zeros(16, 16)]).expand(2, -1, -1, -1)
        + torch.tensor([0, 1])[:, None, None, None] * torch.tensor([0.0, 0, 1])[:, None, None]
    )
    seen = []
    loss.local = lambda patches: seen.append(patches) or patches[:, :1]
    loss.features = lambda patches: seen.append(patches) or patches
    loss(places, places, places, generator=generator())
    patches = [batch for batch in seen if batch.shape[2:] == (8, 8)]
    assert len(patches) == 3
    for batch in patches:
        assert torch.equal(batch, patches[0])
    assert patches[0].shape == (10, 3, 8, 8)
    assert patches[0][:, 2].amax((1, 2)).tolist() == [0] * 5 + [1] * 5  # five of the first image, then of the second
    for patch in patches[0]:
        assert torch.equal(patch[0] - patch[0, 0, 0], rows[:8, :8])
        assert torch.equal(patch[1] - patch[1, 0, 0], columns[:8, :8])
    assert len({(float(patch[0, 0, 0]), float(patch[1, 0, 0])) for patch in patches[0]}) > 5


def test_gradient_reaches_the_result_and_no_discriminator(loss) -> None:
    restored = images(0).requires_grad_()
    loss(restored, images(1), images(2), generator=generator()).backward()
    assert restored.grad is not None
    assert restored.grad.abs().max() > 0
    assert all(weight.grad is None for weight in (*loss.whole.parameters(), *loss.local.parameters()))


def test_one_update_is_adams_for_equations_three_and_five(loss) -> None:
    whole, local = copy.deepcopy(loss.whole), copy.deepcopy(loss.local)
    restored, bright = images(0, 8), images(2, 8)  # patches are whole images: five times the same
    said = loss(restored, images(1, 8), bright, generator=generator())
    assert torch.isfinite(said)
    expected = (
        (whole(bright) - whole(restored).mean() - 1).square().mean()
        + (whole(restored) - whole(bright).mean()).square().mean()
        + (local(bright) - 1).square().mean()
        + local(restored).square().mean()
    )
    optimiser = torch.optim.Adam([*whole.parameters(), *local.parameters()], 1e-4, (0.5, 0.999))
    expected.backward()
    optimiser.step()
    assert loss.learn() == pytest.approx(float(expected.detach()), rel=1e-5)
    cancels = [*loss.whole.parameters()][-1]  # a bias, of which no difference of scores knows: its gradient is rounding
    for ours, theirs in zip(
        (*loss.whole.parameters(), *loss.local.parameters()), (*whole.parameters(), *local.parameters()), strict=True
    ):
        if ours is not cancels:
            torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=0)
    assert loss.learn() == 0.0  # nothing new was seen


def test_discriminators_learn_to_tell_bright_from_dark(features) -> None:
    torch.manual_seed(0)
    loss = EnlightenGANLoss(features, width=4, patch_px=8, learning_rate=3e-3)
    said = []
    for step in range(25):
        loss(0.2 * images(step), images(step), 0.6 + 0.4 * images(100 + step), generator=generator())
        said.append(loss.learn())
    assert said[-1] < 0.5 * said[0]
    with torch.no_grad():
        assert loss.whole(0.8 * torch.ones(1, 3, 16, 16)).mean() > loss.whole(0.1 * torch.ones(1, 3, 16, 16)).mean()


def test_state_brings_back_weights_and_moments(loss, features) -> None:
    for step in range(3):
        loss(images(step), images(step + 10), images(step + 20), generator=generator())
        loss.learn()
    torch.manual_seed(2)
    other = EnlightenGANLoss(features, width=4, patch_px=8)
    assert other.state_dict().keys() == loss.state_dict().keys()  # also before the first update
    other.load_state_dict({name: value.clone() for name, value in loss.state_dict().items()})
    for one in (loss, other):
        one(images(7), images(8), images(9), generator=generator())
        one.learn()
    for name, value in loss.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_moments_that_were_halved_start_anew(loss, features) -> None:
    """The mean squares of small gradients are zero in half precision, and the next step would be divided by it."""
    loss(images(0), images(1), images(2), generator=generator())
    loss.learn()
    other = EnlightenGANLoss(features, width=4, patch_px=8)
    other.load_state_dict({name: value.half() for name, value in loss.state_dict().items()})
    for name, value in other.state_dict().items():
        if "/" in name:
            assert not value.any()
        else:
            torch.testing.assert_close(value, loss.state_dict()[name], atol=1e-3, rtol=1e-3)


def test_discriminator_halves_and_doubles() -> None:
    network = PatchDiscriminator(64, halvings=5)
    sizes = [tuple(layer.weight.shape[:2]) for layer in network.layers if isinstance(layer, nn.Conv2d)]
    assert sizes == [(64, 3), (128, 64), (256, 128), (512, 256), (512, 512), (512, 512), (1, 512)]
    strides = [layer.stride[0] for layer in network.layers if isinstance(layer, nn.Conv2d)]
    assert strides == [2] * 5 + [1] * 2
    assert PatchDiscriminator(2, halvings=2)(images(0, 9)).dtype == torch.float32


def test_least_squares_is_the_mean_square() -> None:
    assert float(least_squares(torch.tensor([[[[0.0, 3.0]]]]), 1.0)) == pytest.approx((1 + 4) / 2)


# ------------------------------------------------------------------------------------------------------ the features


def test_vgg_features_are_those_of_torchvision(tmp_path) -> None:
    from safetensors.torch import save_file
    from torchvision.models import vgg16

    torch.manual_seed(0)
    with torch.device("meta"):
        layers = vgg16(weights=None).features
    layers = layers.to_empty(device="cpu")
    for weight in layers.parameters():
        nn.init.normal_(weight, std=0.05)
    tensors = {f"features.{name}": value for name, value in layers.state_dict().items()} | {
        "classifier.0.bias": torch.ones(2)
    }
    save_file(tensors, tmp_path / "vgg.safetensors")
    found = load_vgg16(tmp_path / "vgg.safetensors")
    photo = images(0, 32, 1)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (photo - mean[:, None, None]) / deviation[:, None, None]
    for layer in layers[:26]:
        expected = layer(expected)
    assert isinstance(layers[24], nn.Conv2d)  # conv5_1 follows the fourth of five poolings
    assert sum(isinstance(layer, nn.MaxPool2d) for layer in layers[:26]) == 4
    torch.testing.assert_close(found(photo), expected.detach())
    assert found(photo).shape == (1, 512, 2, 2)
    assert not any(weight.requires_grad for weight in found.parameters())


def test_absent_vgg_says_what_to_pass(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(
        DependencyError, match=rf"got no such file; copy {VGG_FILES[16]} there .*config.loss_features=FILE"
    ):
        load_vgg16()


def test_damaged_or_foreign_files_are_refused(tmp_path) -> None:
    (tmp_path / "vgg.pth").write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"vgg\.pth: expected a checkpoint of plain tensors"):
        load_vgg16(tmp_path / "vgg.pth")
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match=r"other\.pth: expected 22 tensors, 21 are missing, the first is 0\.bias"):
        load_vgg16(str(tmp_path / "other.pth"))
