"""A run as a whole: what it depends on and what it does not, its symmetries, its refusals."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from restorekit.errors import ImageError
from restorekit.priors.gaussian_diffusion_prior import LINEAR_SCHEDULE, GaussianDiffusionPrior
from restorekit.priors.pixel_diffusion import DiffusersPrior, make_scheduler
from restorekit.zeroair.config import FitSettings, Stage, ZeroAIRConfig
from restorekit.zeroair.guidance import NoiseProcess, ZeroAIRGuidance
from restorekit.zeroair.presets import snr_border
from restorekit.zeroair.sampler import StepReport, make_pool, restore_image, reverse_process
from restorekit.zeroair.stages import Moment

CONFIG = ZeroAIRConfig(
    steps=4,
    alpha=0.05,
    trust_region=1.0,
    stages=(
        Stage(below_snr=snr_border(700), reconstruction=1.0, warm_up=True, guide_auxiliary=True),
        Stage(reconstruction=1.0, adversarial=0.01, total_variation=1e-3),
    ),
    fit=FitSettings(model="cnn"),
)


def restored(prior: Any, image: Tensor, config: ZeroAIRConfig = CONFIG, **options: Any) -> Tensor:
    guidance = options.pop("guidance", None) or ZeroAIRGuidance(config)
    return restore_image(prior, image, config, guidance, generator=torch.Generator().manual_seed(1), **options)


def other(image: Tensor) -> Tensor:
    return image.flip(2) * 0.7


def test_restoring_twice_is_bitwise_the_same(prior: DiffusersPrior, degraded: Tensor) -> None:
    assert torch.equal(restored(prior, degraded), restored(prior, degraded))


def test_callers_in_inference_mode_get_the_same(prior: DiffusersPrior, degraded: Tensor) -> None:
    with torch.inference_mode():
        image = degraded.clone()
        inside = restored(prior, image)
    assert torch.equal(inside, restored(prior, degraded))


def test_episodic_reset_forgets_the_images_before(prior: DiffusersPrior, degraded: Tensor) -> None:
    guidance = ZeroAIRGuidance(CONFIG)
    restored(prior, other(degraded), guidance=guidance)
    assert torch.equal(restored(prior, degraded, guidance=guidance), restored(prior, degraded))


def test_reference_reset_remembers_the_images_before(prior: DiffusersPrior, degraded: Tensor) -> None:
    config = CONFIG.model_copy(update={"reset": "reference"})
    guidance = ZeroAIRGuidance(config)
    restored(prior, other(degraded), config, guidance=guidance)
    after = restored(prior, degraded, config, guidance=guidance)
    assert not torch.equal(after, restored(prior, degraded, config))


def test_a_run_leaves_the_global_generator_alone(prior: DiffusersPrior, degraded: Tensor) -> None:
    before = torch.get_rng_state()
    restored(prior, degraded)
    assert torch.equal(torch.get_rng_state(), before)


def test_no_guidance_is_unconditional_sampling_bitwise(prior: DiffusersPrior, degraded: Tensor) -> None:
    """The guidance's networks are drawn first, so its generator is advanced the same way for the plain run."""
    silent = CONFIG.model_copy(update={"stages": (Stage(),)})
    generator = torch.Generator().manual_seed(1)
    ZeroAIRGuidance(silent).begin(degraded, NoiseProcess(torch.tensor([0.5]), 1.0), generator=generator)
    noisy = torch.randn(2, 3, 16, 16, generator=generator)
    plain = reverse_process(prior, noisy, make_scheduler(prior, steps=4), generator=generator)
    assert torch.equal(restored(prior, degraded, silent), (plain[:1] + 1) / 2)


def test_the_diffusion_model_gets_no_gradient(prior: DiffusersPrior, degraded: Tensor) -> None:
    graphs: list[bool] = []
    handle = prior.network.register_forward_hook(lambda _, inputs, out: graphs.append(out.sample.requires_grad))
    restored(prior, degraded)
    handle.remove()
    assert graphs == [False] * 4
    assert all(weight.grad is None for weight in prior.network.parameters())


def test_every_step_is_reported_with_what_it_did(prior: DiffusersPrior, degraded: Tensor) -> None:
    reports: list[StepReport] = []
    result = restored(prior, degraded, on_step=reports.append)
    assert [report.moment.timestep for report in reports] == [999, 666, 333, 0]
    assert torch.equal((reports[-1].noisy[:1] + 1) / 2, result)
    assert reports[-1].step is not None
    torch.testing.assert_close(reports[-1].noisy, reports[-1].estimate + reports[-1].step)
    assert {"reconstruction", "fit_content", "fit_adversarial", "saturated", "change", "stability"} <= set(
        reports[0].logs
    )


# ---------------------------------------------------------------------------------------------------------- symmetries


class Turned(ZeroAIRGuidance):
    """The same guidance with every network turned like the images."""

    turn: Callable[[nn.Module], None]

    def begin(self, degraded: Tensor, process: NoiseProcess, *, generator: torch.Generator) -> None:
        super().begin(degraded, process, generator=generator)
        assert self._fit is not None
        assert self._critic is not None
        for network in (self._fit.model, self._fit.critic.network, self._critic.network):
            self.turn(network)


def swap_channels(network: nn.Module) -> None:
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    order = [2, 0, 1]
    convolutions[0].weight.data = convolutions[0].weight.data[:, order].clone()
    if convolutions[-1].out_channels == 3:
        convolutions[-1].weight.data = convolutions[-1].weight.data[order].clone()


def mirror(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.flip(3).clone()


@pytest.mark.parametrize(
    ("turn_images", "turn_network"),
    [(lambda x: x[:, [2, 0, 1]], swap_channels), (lambda x: x.flip(3), mirror)],
    ids=["channels", "mirror"],
)
def test_turned_images_noise_and_networks_give_the_turned_result(
    turn_images: Callable[[Tensor], Tensor], turn_network: Callable[[nn.Module], None]
) -> None:
    """17 px, so that convolutions of stride 2 are symmetric; ddim, so that all noise is in the first sample."""
    prior = GaussianDiffusionPrior(0.1, 0.3)
    degraded = torch.rand(1, 3, 17, 17, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noisy = torch.randn(2, 3, 17, 17, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def run(guidance: ZeroAIRGuidance, image: Tensor, start: Tensor) -> Tensor:
        scheduler = make_scheduler(prior, "ddim", steps=4)
        generator = torch.Generator().manual_seed(2)
        guidance.begin(image, NoiseProcess(scheduler.alphas_cumprod, 200.0), generator=generator)
        return reverse_process(prior, start, scheduler, guidance=guidance, generator=generator)

    turned = Turned(CONFIG)
    turned.turn = turn_network
    ours = run(turned, turn_images(degraded), turn_images(noisy))
    torch.testing.assert_close(ours, turn_images(run(ZeroAIRGuidance(CONFIG), degraded, noisy)), atol=1e-9, rtol=0)


# ----------------------------------------------------------------------------------------------------- auxiliary images


def test_auxiliary_images_run_beside_the_guided_one(prior: DiffusersPrior, degraded: Tensor) -> None:
    for auxiliary, count in (("none", 1), ("image", 4)):
        sizes: list[int] = []
        config = CONFIG.model_copy(update={"auxiliary": auxiliary, "auxiliary_count": 3})
        restored(prior, degraded, config, on_step=lambda report, sizes=sizes: sizes.append(len(report.noisy)))
        assert sizes == [count] * 4


def test_pool_gives_clean_images_of_the_nearest_level_in_turn(prior: DiffusersPrior, degraded: Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    pool = make_pool(prior, count=3, height=16, width=16, steps=10, levels=4, generator=generator)
    assert sorted(pool.estimates) == [0, 333, 666, 999]
    config = CONFIG.model_copy(update={"auxiliary": "pool", "auxiliary_count": 2})
    sizes: list[int] = []
    guidance = ZeroAIRGuidance(config, pool=pool)
    restored(prior, degraded, config, guidance=guidance, on_step=lambda report: sizes.append(len(report.noisy)))
    assert sizes == [1] * 4
    second = Moment(step=2, steps=6, timestep=400, alpha_bar=0.2)
    assert torch.equal(pool.at(second, 2), pool.estimates[333][[2, 0]])


# ------------------------------------------------------------------------------------------------------------- refusals


def test_run_refuses_what_it_cannot_restore(prior: DiffusersPrior, degraded: Tensor) -> None:
    network = SimpleNamespace(multiple_of=4, size_px=None, variance_channels=False, scheduler_config=LINEAR_SCHEDULE)
    network.predict = lambda noisy, timestep: noisy
    with pytest.raises(ImageError, match="zeroair: expected one image, got 2; restore them one by one"):
        restored(prior, degraded.repeat(2, 1, 1, 1))
    with pytest.raises(ImageError, match="expected sides that are multiples of 4 px, got 15x16; pad the image"):
        restored(network, degraded[..., :15])
    with pytest.raises(ImageError, match="zeroair: expected finite values, got NaN or infinity"):
        restored(prior, degraded * math.nan)


def test_broken_diffusion_model_stops_the_run_at_once(degraded: Tensor) -> None:
    network = SimpleNamespace(multiple_of=1, size_px=None, variance_channels=False, scheduler_config=LINEAR_SCHEDULE)
    network.predict = lambda noisy, timestep: noisy * math.nan
    with pytest.raises(
        ImageError,
        match=r"step 1 of 4 \(timestep 999\): expected a finite estimate from .* instead of float16",
    ):
        restored(network, degraded)
