"""φ, the discriminator and the losses: sizes, starts, and values against formulas written out here."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from restorekit.core.weights import save_weights
from restorekit.errors import ModelError
from restorekit.zeroair.config import FitSettings
from restorekit.zeroair.degradation_model import build_degradation_model, initialise
from restorekit.zeroair.discriminator import Critic, PatchDiscriminator
from restorekit.zeroair.fitting import DegradationFit
from restorekit.zeroair.losses import ADVERSARIAL, load_vgg16_distance
from restorekit.zeroair.stability import Amplification

KINDS: tuple[Any, ...] = ("residual", "small", "cnn", "affine", "map")


def fresh(kind: Any, like: Tensor, seed: int = 0) -> nn.Module:
    model = build_degradation_model(kind, like=like)
    initialise(model, generator=torch.Generator().manual_seed(seed))
    return model


@pytest.fixture
def image() -> Tensor:
    return torch.rand(1, 3, 12, 16, generator=torch.Generator().manual_seed(0))


def test_networks_have_the_published_number_of_parameters(image: Tensor) -> None:
    def count(network: nn.Module) -> int:
        return sum(weight.numel() for weight in network.parameters())

    assert count(fresh("cnn", image)) == 371_587
    assert count(PatchDiscriminator()) == 371_073
    assert count(fresh("affine", image)) == 12


@pytest.mark.parametrize(("kind", "giga"), [("cnn", 24.3), ("residual", 24.3), ("small", 0.94)])
def test_degradation_models_cost_what_they_say(kind: Any, giga: float) -> None:
    """Multiplications of one pass at 256x256, counted by PyTorch, which counts additions too."""
    from torch.utils.flop_counter import FlopCounterMode

    model = build_degradation_model(kind, like=torch.empty(1, 3, 256, 256, device="meta"))
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, 256, 256, device="meta"))
    assert counter.get_total_flops() / 2e9 == pytest.approx(giga, rel=0.005)


@pytest.mark.parametrize("kind", KINDS)
def test_degradation_models_keep_the_size_and_repeat_for_a_seed(kind: Any, image: Tensor) -> None:
    assert fresh(kind, image)(image).shape == image.shape
    assert torch.equal(fresh(kind, image, 1)(image), fresh(kind, image, 1)(image))


@pytest.mark.parametrize("kind", ["residual", "small", "affine", "map"])
def test_these_degradation_models_start_as_the_identity(kind: Any, image: Tensor) -> None:
    assert torch.equal(fresh(kind, image)(image), image)


def test_official_network_starts_with_kaiming_normal_weights(image: Tensor) -> None:
    first = next(module for module in fresh("cnn", image).modules() if isinstance(module, nn.Conv2d))
    assert float(first.weight.detach().std()) == pytest.approx(math.sqrt(2 / 27), rel=0.1)
    assert not first.bias.any()


def test_discriminator_maps_eight_pixels_to_one_score(image: Tensor) -> None:
    assert PatchDiscriminator()(torch.zeros(2, 3, 256, 256)).shape == (2, 1, 32, 32)


@pytest.mark.parametrize(
    ("form", "real", "fake", "generator"),
    [
        ("bce", lambda s: math.log(1 + math.exp(-s)), lambda s: math.log(1 + math.exp(s)), None),
        ("bce_logits", lambda s: math.log(1 + math.exp(-s)), lambda s: math.log(1 + math.exp(s)), None),
        ("wgan_softplus", lambda s: math.log(1 + math.exp(-s)), lambda s: math.log(1 + math.exp(s)), None),
        ("lsgan", lambda s: (s - 1) ** 2, lambda s: s**2, None),
        ("hinge", lambda s: max(0, 1 - s), lambda s: max(0, 1 + s), lambda s: -s),
        ("wgan", lambda s: -s, lambda s: s, lambda s: -s),
    ],
)
def test_adversarial_forms_match_their_formulas(form: Any, real: Any, fake: Any, generator: Any) -> None:
    scores = [-1.7, -0.2, 0.4, 2.1]
    tensor = torch.tensor(scores)
    ours = ADVERSARIAL[form]
    for cost, formula in ((ours.real, real), (ours.fake, fake), (ours.generator, generator or real)):
        assert float(cost(tensor)) == pytest.approx(sum(formula(s) for s in scores) / len(scores), rel=1e-5)


@pytest.mark.parametrize("form", ADVERSARIAL)
def test_critic_learns_to_tell_dark_from_bright(form: Any) -> None:
    critic = Critic(form=form, learning_rate=1e-3, like=torch.zeros(1, 3, 16, 16))
    critic.restart(torch.Generator().manual_seed(0))
    dark, bright = torch.full((2, 3, 16, 16), 0.2), torch.full((1, 3, 16, 16), 0.8)
    for _ in range(40):
        critic.learn(dark, bright)
    with torch.no_grad():
        assert float(critic.network(bright).mean()) > float(critic.network(dark).mean()) + 0.5
        assert float(critic.penalty(bright)) < float(critic.penalty(dark))


def test_paired_fit_learns_a_known_affine_map(image: Tensor) -> None:
    settings = FitSettings(model="affine", objective="paired", learning_rate=0.02, inner_steps=300)
    fit = DegradationFit(settings, None, like=image)
    fit.restart(torch.Generator().manual_seed(0))
    fit.learn(image, 0.5 * image + 0.45)
    assert torch.allclose(fit.model(image), 0.5 * image + 0.45, atol=0.02)


def test_amplification_finds_the_largest_singular_value() -> None:
    class Mix(nn.Module):
        matrix = torch.tensor([[2.0, 0.5, 0.0], [0.1, 1.0, 0.3], [0.0, 0.2, 0.7]], dtype=torch.float64)

        def forward(self, clean: Tensor) -> Tensor:
            return torch.einsum("oc,bchw->bohw", self.matrix, clean)

    image = torch.rand(1, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    amplification = Amplification()
    for _ in range(30):
        found = amplification.update(Mix(), image, start=image)
    assert float(found) == pytest.approx(float(torch.linalg.matrix_norm(Mix.matrix, 2)) ** 2, rel=1e-6)


def test_vgg16_distance_matches_its_layers_written_out(tmp_path: Path, image: Tensor) -> None:
    from torchvision.transforms.functional import normalize

    def pair(inside: int, outside: int) -> list[nn.Module]:
        return [
            nn.Conv2d(inside, outside, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(outside, outside, 3, padding=1),
            nn.ReLU(),
        ]

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(*pair(3, 64), nn.MaxPool2d(2), *pair(64, 128))
    path = tmp_path / "vgg16.safetensors"
    save_weights(path, {f"features.{name}": tensor for name, tensor in network.state_dict().items()})
    other = image.flip(3)
    mean, deviation = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    ours, theirs = (network(normalize(x, mean, deviation)) for x in (image, other))
    torch.testing.assert_close(load_vgg16_distance(path)(image, other), (ours - theirs).square().mean())


def test_vgg16_distance_refuses_another_file(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_weights(path, {"features.0.weight": torch.zeros(64, 3, 3, 3)})
    with pytest.raises(ModelError, match="expected 8 tensors, 7 are missing"):
        load_vgg16_distance(path)
