"""CompactDiffusion: exact costs, any size, every part of use; its prior against closed forms; its weight files."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from restorekit.core.networks.measure import count_parameters
from restorekit.core.weights import save_weights
from restorekit.errors import ModelError
from restorekit.priors.compact_diffusion import (
    CompactDiffusion,
    CompactDiffusionConfig,
    CompactPrior,
    load_compact_prior,
    prior_metadata,
)
from restorekit.priors.gaussian_diffusion_prior import GaussianDiffusionPrior
from restorekit.priors.pixel_diffusion import DiffusionPrior, make_scheduler
from restorekit.priors.timed_blocks import WindowAttention, window_borders
from restorekit.zeroair.sampler import reverse_process

TINY = CompactDiffusionConfig(widths=(8, 16), blocks=(1, 2), head_channels=8, window=4, code_dim=8)
LARGE = {"widths": (48, 96, 160, 384), "blocks": (1, 1, 2, 3), "head_channels": 64}


def network(config: CompactDiffusionConfig = TINY, *, seed: int = 0, fresh: bool = False) -> CompactDiffusion:
    """Random weights in every layer, also in those that start at zero, unless ``fresh``."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        built = config.build()
        if not fresh:
            for parameter in built.parameters():
                nn.init.normal_(parameter, std=0.1)
    return built


def noisy_images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def counted_macs(config: CompactDiffusionConfig, side: int) -> int:
    with torch.device("meta"):
        built = config.build()
    images, timestep = torch.empty(1, 3, side, side, device="meta"), torch.zeros(1, dtype=torch.int64, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        built(images, timestep)
    return int(counter.get_total_flops()) // 2


def macs_and_parameters(config: CompactDiffusionConfig, side: int) -> tuple[int, int]:
    """Added up layer by layer as the docstrings describe the network; one window must hold the last level."""
    macs = parameters = 0

    def layer(kernel: int, inputs: int, outputs: int, places: int) -> None:
        nonlocal macs, parameters
        macs += kernel**2 * inputs * outputs * places
        parameters += kernel**2 * inputs * outputs + outputs

    layer(1, 64, config.code_dim, 1)
    layer(1, config.code_dim, config.code_dim, 1)
    last = len(config.widths) - 1
    for level, (width, blocks) in enumerate(zip(config.widths, config.blocks, strict=True)):
        places = (side // 2 ** (level + 1)) ** 2
        for _ in range(blocks if level == last else 2 * blocks):
            layer(3, width, width, places)
            layer(3, width, width, places)
            layer(1, config.code_dim, 2 * width, 1)
        if level == 0:
            layer(3, 12, width, places)
            layer(3, width, 12, places)
        if level < last:
            below = config.widths[level + 1]
            layer(2, width, below, places // 4)
            layer(1, below, 4 * width, places // 4)
            continue
        for _ in range(blocks):
            layer(1, width, 3 * width, places)
            layer(1, width, width, places)
            macs += 2 * places**2 * width  # query times key, weights times value
            parameters += 2 * width  # of the norm
    return macs, parameters


@pytest.mark.parametrize(("options", "most_parameters"), [({}, 6_000_000), (LARGE, 14_000_000)])
def test_costs_are_exact_and_within_the_budget(options, most_parameters: int) -> None:
    config = CompactDiffusionConfig(**options)
    macs, parameters = macs_and_parameters(config, 256)
    assert (counted_macs(config, 256), count_parameters(config)) == (macs, parameters)
    assert macs <= 8e9
    assert parameters <= most_parameters


def test_cost_of_larger_images_grows_with_their_area() -> None:
    config = CompactDiffusionConfig()
    per_timestep = sum(module.weight.numel() for module in config.build().modules() if isinstance(module, nn.Linear))
    small, large = (counted_macs(config, side) - per_timestep for side in (256, 512))
    assert 3.99 * small < large <= 4 * small  # the short windows at the borders of a shifted layer cost a little less


@pytest.mark.parametrize("size", [(4, 4), (12, 20), (36, 4), (20, 44)])
def test_any_multiple_is_a_size(size: tuple[int, int]) -> None:
    images = noisy_images(2, 3, *size)
    assert network()(images, torch.tensor([3, 900])).shape == images.shape
    assert TINY.multiple_of == 4


def test_images_of_a_batch_share_nothing() -> None:
    built, images, timestep = network(), noisy_images(3, 3, 16, 24), torch.tensor([0, 500, 999])
    together = built(images, timestep)
    for index in range(3):
        alone = built(images[index : index + 1], timestep[index : index + 1])
        torch.testing.assert_close(together[index], alone[0], atol=1e-5, rtol=1e-5)


def test_every_block_hears_the_timestep() -> None:
    """A black image looks the same at every timestep, so only the code can tell them apart."""
    built, black = network(), torch.zeros(1, 3, 16, 16)
    answers = [built(black, torch.tensor([t])) for t in (0, 1, 500, 999)]
    assert all(not torch.allclose(a, b, atol=1e-5) for a, b in pairwise(answers))
    films = {name: layer for name, layer in built.named_modules() if name.endswith("film")}
    assert len(films) == 2 * 1 + 2
    for name, layer in films.items():
        kept = layer.weight.detach().clone()
        with torch.no_grad():
            layer.weight.zero_()
        assert not torch.allclose(built(black, torch.tensor([500])), answers[2], atol=1e-6), name
        with torch.no_grad():
            layer.weight.copy_(kept)


def test_gradient_reaches_every_weight() -> None:
    built = network()
    built(noisy_images(2, 3, 24, 24), torch.tensor([10, 800])).square().mean().backward()
    silent = [name for name, p in built.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert silent == []


def test_fresh_network_is_the_best_linear_denoiser_of_white_images() -> None:
    prior, exact = CompactPrior(network(fresh=True)), GaussianDiffusionPrior(variance=0.25)
    noisy = noisy_images(1, 3, 8, 8).double()
    for timestep in (0, 20, 400, 999):
        torch.testing.assert_close(prior.predict(noisy, timestep), exact.predict(noisy, timestep), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["v", "epsilon", "sample"])
def test_prior_gives_the_noise_whatever_the_network_predicts(kind, monkeypatch: pytest.MonkeyPatch) -> None:
    prior = CompactPrior(network(TINY.model_copy(update={"prediction": kind})))
    meaning, timestep = prior.network.preconditioning, torch.tensor([300])
    clean, noise = 0.5 * noisy_images(1, 3, 8, 8), noisy_images(2, 3, 8, 8)[1:]
    monkeypatch.setattr(prior.network, "forward", lambda noisy, timestep: meaning.target(clean, noise, timestep))
    torch.testing.assert_close(prior.predict(meaning.add_noise(clean, noise, timestep), 300), noise, atol=1e-5, rtol=0)


def test_prior_keeps_the_protocol_and_builds_no_graph() -> None:
    prior = CompactPrior(network())
    assert isinstance(prior, DiffusionPrior)
    assert (prior.size_px, prior.multiple_of, prior.variance_channels) == (None, 4, False)
    predicted = prior.predict(torch.zeros(1, 3, 8, 8, dtype=torch.float64, requires_grad=True), 10)
    assert predicted.dtype == torch.float64
    assert not predicted.requires_grad
    assert not any(weight.requires_grad for weight in prior.network.parameters())


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_prior_can_be_sampled_at_any_size(sampler) -> None:
    prior, generator = CompactPrior(network()), torch.Generator().manual_seed(0)
    scheduler = make_scheduler(prior, sampler, steps=5)
    sample = reverse_process(prior, noisy_images(1, 3, 12, 20), scheduler, generator=generator)
    assert sample.shape == (1, 3, 12, 20)
    assert float(sample.abs().max()) <= 1.0


def test_half_precision_keeps_the_sample_in_full_precision() -> None:
    prior, noisy = CompactPrior(network()), noisy_images(1, 3, 16, 16)
    full = prior.predict(noisy, 500)
    half = prior.to(torch.device("cpu"), "bfloat16").predict(noisy, 500)
    assert half.dtype == torch.float32
    assert 0 < float((half - full).abs().max()) < 0.05 * float(full.abs().max())


def test_weight_file_loads_by_itself(tmp_path: Path) -> None:
    built, path = network(TINY.model_copy(update={"prediction": "epsilon"})), tmp_path / "prior.safetensors"
    save_weights(path, built.state_dict(), prior_metadata(built.config))
    loaded, noisy = load_compact_prior(path), noisy_images(1, 3, 16, 16)
    assert loaded.network.config == built.config
    assert torch.equal(loaded.predict(noisy, 500), CompactPrior(built).predict(noisy, 500))


@pytest.mark.parametrize(
    ("note", "problem"),
    [
        (
            {},
            "expected weights of the network compact_diffusion, got no note of a network; give the weights.safetensors",
        ),
        ({"network": "nafnet", "config": "{}"}, "expected weights of the network compact_diffusion, got nafnet"),
        (prior_metadata(TINY) | {"config": '{"depth": 3}'}, "expected options of compact_diffusion in its note"),
        (prior_metadata(CompactDiffusionConfig()), "build CompactDiffusion with the options that the file was made"),
    ],
)
def test_other_weight_files_are_refused(tmp_path: Path, note: dict[str, str], problem: str) -> None:
    path = tmp_path / "other.safetensors"
    save_weights(path, network().state_dict(), note)
    with pytest.raises(ModelError, match=problem):
        load_compact_prior(path)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"widths": (8, 16), "blocks": (1,)}, "expected as many levels in both, got 2 and 1"),
        ({"head_channels": 50}, "head_channels: expected a divisor of the last width, 224, got 50"),
        ({"prediction": "noise"}, "'v', 'epsilon' or 'sample'"),
    ],
)
def test_config_refuses(options: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        CompactDiffusionConfig.model_validate(options)


def test_attention_within_one_window_is_that_of_pytorch() -> None:
    torch.manual_seed(0)
    ours = WindowAttention(16, head_channels=4, window=6, shifted=True)
    nn.init.normal_(ours.out.weight)
    theirs = nn.MultiheadAttention(16, 4, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv.weight[:, :, 0, 0])
        theirs.in_proj_bias.copy_(ours.qkv.bias)
        theirs.out_proj.weight.copy_(ours.out.weight[:, :, 0, 0])
        theirs.out_proj.bias.copy_(ours.out.bias)
    features = noisy_images(2, 16, 5, 6)
    tokens = ours.norm(features).flatten(2).transpose(1, 2)
    attended, _ = theirs(tokens, tokens, tokens)
    expected = features + attended.transpose(1, 2).unflatten(2, (5, 6))
    torch.testing.assert_close(ours(features), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("shifted", "reached"), [(False, range(4)), (True, range(2))])
def test_attention_reaches_the_window_and_no_further(shifted: bool, reached: range) -> None:
    attention = WindowAttention(8, head_channels=8, window=4, shifted=shifted)
    nn.init.normal_(attention.out.weight)
    features = noisy_images(1, 8, 4, 8).requires_grad_()
    attention(features)[0, :, 0, 0].sum().backward()
    columns = features.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten().tolist()
    assert columns == list(reached)


@pytest.mark.parametrize("shifted", [False, True])
def test_windows_cover_every_side_and_none_is_too_long(shifted: bool) -> None:
    for side in range(1, 70):
        pieces = torch.arange(side).tensor_split(window_borders(side, 16, shifted=shifted))
        assert all(1 <= len(piece) <= 16 for piece in pieces)
        assert torch.equal(torch.cat(pieces), torch.arange(side))
