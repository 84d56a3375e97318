"""What every network prior keeps to: unit length, no gradient, first use, pickling, devices, sizes; and the bottleneck
of a restoration network."""

import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from restorekit.core.networks.nafnet import NAFNetConfig
from restorekit.core.networks.restorer import NetworkRestorer
from restorekit.core.networks.restormer import RestormerConfig
from restorekit.core.prior import FeaturePrior
from restorekit.core.weights import save_weights
from restorekit.errors import ImageError, ModelError, UsageError
from restorekit.priors.frame import FeatureNetwork, InputPreparation, NetworkPrior, fit, run_until
from restorekit.priors.image_statistics import StatisticsPrior
from restorekit.priors.restoration import RestorationPrior

TINY = NAFNetConfig(width=4, encoder_blocks=(1, 1), middle_blocks=1, decoder_blocks=(1, 1))

MULTIPLE = TINY.multiple_of  # 4


class Scaled(FeatureNetwork):
    """Each colour's mean, times a weight; its map is the image."""

    dim = 3

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
        self.dropout = nn.Dropout(0.5)

    def vectors(self, images: Tensor) -> Tensor:
        return self.dropout(images.mean(dim=(2, 3)) * self.scale)

    def maps(self, images: Tensor) -> Tensor:
        return images * self.scale.view(1, 3, 1, 1)


def load_scaled(calls: list[str]) -> FeatureNetwork:
    calls.append("load")
    return Scaled()


def photos(height: int = 20, width: int = 28, batch: int = 2) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def tiny_network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = TINY.build()
        for parameter in network.parameters():  # NAFNet's blocks start as the identity
            parameter.data += 0.1 * torch.randn(parameter.shape)
    return network


def restoration_prior() -> FeaturePrior:
    return RestorationPrior("restoration:tiny", tiny_network(), multiple_of=MULTIPLE)


@pytest.mark.parametrize("make", [partial(NetworkPrior, "scaled", Scaled), StatisticsPrior, restoration_prior])
def test_prior_keeps_to_the_protocol(make: Callable[[], FeaturePrior]) -> None:
    prior = make()
    assert isinstance(prior, FeaturePrior)
    for size in ((20, 28), (33, 17), (3, 5)):
        vectors, grid = prior.features(photos(*size)), prior.feature_map(photos(*size))
        assert vectors.shape == (2, prior.dim)
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
        torch.testing.assert_close(grid.norm(dim=1), torch.ones_like(grid[:, 0]))
        assert not vectors.requires_grad
        assert not grid.requires_grad
        assert torch.equal(vectors, prior.features(photos(*size)))
        torch.testing.assert_close(prior.features(photos(*size)[1:]), vectors[1:])
    assert prior.to(torch.device("cpu")) is prior
    with pytest.raises(ImageError, match="expected finite values"):
        prior.features(torch.full((1, 3, 8, 8), torch.nan))
    with pytest.raises(UsageError, match="float16"):
        prior.to(torch.device("cpu"), "float16")


def test_network_is_loaded_on_first_use_only() -> None:
    calls: list[str] = []
    prior = NetworkPrior("scaled", partial(load_scaled, calls))
    assert isinstance(prior, FeaturePrior)  # asks for no dim
    assert calls == []
    assert prior.dim == 3
    prior.features(photos())
    assert calls == ["load"]


def test_network_is_frozen_and_leaves_the_random_state() -> None:
    prior = NetworkPrior("scaled", Scaled)
    images = photos().requires_grad_()
    before = torch.get_rng_state()
    assert not prior.features(images).requires_grad
    assert torch.equal(torch.get_rng_state(), before)
    assert not prior.network.training
    assert not prior.network.scale.requires_grad


def test_pickled_prior_carries_no_weights_and_keeps_its_dim() -> None:
    prior = NetworkPrior("scaled", Scaled).to(torch.device("cpu"), "bfloat16")
    expected = prior.features(photos())
    woken: Any = pickle.loads(pickle.dumps(prior))
    assert woken._network is None
    assert (woken.dim, woken.precision, woken.name) == (3, "bfloat16", "scaled")
    assert torch.equal(woken.features(photos()), expected)


def test_bfloat16_is_close_and_answers_in_float32() -> None:
    network = tiny_network()
    exact = RestorationPrior("tiny", network, multiple_of=MULTIPLE).features(photos())
    prior = RestorationPrior("tiny", network, multiple_of=MULTIPLE).to(torch.device("cpu"), "bfloat16")
    assert prior.features(photos()).dtype == torch.float32
    assert not torch.equal(prior.features(photos()), exact)
    torch.testing.assert_close(prior.features(photos()), exact, atol=0.03, rtol=0)


def test_preparation_clamps_shifts_and_scales() -> None:
    prepare = InputPreparation((8, 8), cell_px=4, input="native", mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0))
    image = torch.tensor([-1.0, 0.5, 3.0]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    torch.testing.assert_close(prepare(image)[0, :, 0, 0], torch.tensor([-1.0, 1.0, 0.5]))


def test_resizing_never_leaves_the_range() -> None:
    edges = (torch.arange(40) % 10 < 5).float().expand(1, 3, 40, 40)  # bicubic overshoots at edges
    resized = InputPreparation((64, 64), cell_px=4, input="resize")(edges)
    assert (float(resized.min()), float(resized.max())) == (0.0, 1.0)


def test_fit_cuts_to_whole_cells_and_enlarges_what_is_smaller() -> None:
    images = photos(19, 9)
    assert torch.equal(fit(images, 8), images[:, :, :16, :8])
    assert fit(images, 1) is images or torch.equal(fit(images, 1), images)
    assert fit(images, 16).shape == (2, 3, 16, 16)
    assert fit(images, 8, minimum_px=20).shape == (2, 3, 24, 24)


def test_run_until_refuses_a_layer_that_is_not_asked() -> None:
    network = nn.Sequential(nn.Identity())
    with pytest.raises(ModelError, match="Sequential: expected it to run the chosen layer, got an answer without that"):
        run_until(network, nn.Identity(), photos())


@pytest.mark.parametrize(("layer", "multiple"), [(None, 4), ("middle", 4), ("encoder.1", 2), ("stem", 1)])
def test_bottleneck_is_that_of_a_complete_run(layer: str | None, multiple: int) -> None:
    network = tiny_network().eval()
    prior, images = RestorationPrior("tiny", network, layer, multiple_of=multiple), photos()
    answers: list[Tensor] = []
    hook = network.get_submodule(layer or "middle").register_forward_hook(lambda _m, _i, answer: answers.append(answer))
    with torch.no_grad():
        network(images)
    hook.remove()
    assert prior.dim == answers[0].shape[1]
    torch.testing.assert_close(prior.feature_map(images), normalize(answers[0], dim=1))
    torch.testing.assert_close(prior.features(images), normalize(answers[0].mean(dim=(2, 3)), dim=1))


def test_trained_network_does_not_change_its_prior_nor_is_it_frozen() -> None:
    network = tiny_network().train()
    prior = RestorationPrior("tiny", network, multiple_of=MULTIPLE)
    expected = RestorationPrior("tiny", network, multiple_of=MULTIPLE).features(photos())
    for parameter in network.parameters():
        parameter.data.zero_()
    assert torch.equal(prior.features(photos()), expected)
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_restorer_is_loaded_on_first_use_and_pickles_without_weights(tmp_path: Path) -> None:
    network = tiny_network()
    save_weights(tmp_path / "tiny.safetensors", network.state_dict())
    restorer = NetworkRestorer("tiny", TINY, tmp_path / "tiny.safetensors")
    prior = RestorationPrior("restoration:tiny", restorer)
    expected = RestorationPrior("tiny", network, multiple_of=MULTIPLE).features(photos())
    torch.testing.assert_close(prior.features(photos()), expected)
    assert len(pickle.dumps(prior)) < 4000
    torch.testing.assert_close(pickle.loads(pickle.dumps(prior)).features(photos()), expected)


def test_network_that_takes_a_batch_apart_is_shown_one_image_at_a_time() -> None:
    class OneByOne(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = tiny_network()

        def forward(self, images: Tensor) -> Tensor:
            return torch.cat([self.network(image[None]) for image in images])

    expected = RestorationPrior("tiny", tiny_network(), multiple_of=MULTIPLE).features(photos(batch=3))
    taken_apart = RestorationPrior("tiny", OneByOne(), multiple_of=MULTIPLE)
    torch.testing.assert_close(taken_apart.features(photos(batch=3)), expected)


def test_gray_restorer_sees_the_mean_of_the_colours() -> None:
    config = RestormerConfig(width=8, blocks=(1, 1, 1, 1), heads=(1, 1, 1, 1), in_channels=1, out_channels=1)
    prior = RestorationPrior("gray", NetworkRestorer("gray", config))
    images = photos(16, 16)
    gray = images.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    torch.testing.assert_close(prior.features(images), prior.features(gray))
    assert prior.dim == 64


def test_layer_that_cannot_be_used_is_named() -> None:
    network = tiny_network()
    with pytest.raises(
        ModelError, match=r"tiny: layer: expected a part such as stem, .*got 'midle'; did you mean middle"
    ):
        RestorationPrior("tiny", network, "midle")
    with pytest.raises(ModelError, match=r"expected one part called middle, latent, .*, got none; name the layer"):
        RestorationPrior("plain", nn.Sequential(nn.Conv2d(3, 3, 1)))
    twice = nn.Module()
    twice.middle, twice.latent = nn.Identity(), nn.Identity()
    with pytest.raises(ModelError, match="got middle and latent; name the layer"):
        RestorationPrior("twice", twice)
    flat = nn.Sequential(nn.Flatten())
    with pytest.raises(
        ModelError, match=r"layer 0: expected an answer of shape \(batch, channels, rows, columns\), got \(1, 12288"
    ):
        _ = RestorationPrior("flat", flat, "0").dim
