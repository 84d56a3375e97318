"""Training of the diffusion prior: what is drawn, what is made small, what is learned, and what is refused."""

from dataclasses import dataclass, field
from importlib.resources import as_file, files
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import BaseModel, ValidationError

from restorekit.core.restorer import TrainingTask
from restorekit.core.weights import save_weights
from restorekit.errors import ModelError, RecipeError
from restorekit.priors.compact_diffusion import (
    CompactDiffusionConfig,
    CompactPrior,
    load_compact_prior,
    prior_metadata,
)
from restorekit.priors.preconditioning import Preconditioning
from restorekit.training.run import run_recipe
from restorekit.training.settings import TrainingSettings
from restorekit.training.task import RestoringTask, SizedTask
from restorekit.zeroair.prior_task import PriorConfig, PriorTask, plan_timesteps, prior_task

ALPHA_BAR = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
TINY = CompactDiffusionConfig(widths=(8, 16), blocks=(1, 1), head_channels=8, code_dim=8)
BANDS = {
    "loss_snr_100_to_inf": 100.0,
    "loss_snr_10_to_100": 10.0,
    "loss_snr_1_to_10": 1.0,
    "loss_snr_0.1_to_1": 0.1,
    "loss_snr_0_to_0.1": 0.0,
}
LEVELS = {"noise25": "noise:sigma=25,clip=0", "noise100": "noise:sigma=100,clip=0"}


def recipe(degradation: str = "none", **validation: str) -> SimpleNamespace:
    return SimpleNamespace(degradation=degradation, training=SimpleNamespace(validation=validation))


def make_task(weighting="angle", *, network: CompactDiffusionConfig = TINY, **validation: str) -> PriorTask:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        task = prior_task(PriorConfig(network=network, weighting=weighting), recipe(**validation))
    assert isinstance(task, PriorTask)
    return task


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def crops(count: int, side: int = 8) -> dict[str, torch.Tensor]:
    return {"clean": torch.rand(count, 3, side, side, generator=seeded(9))}


def train(task: PriorTask, batch, *, steps: int) -> None:
    """A few plain updates on one batch."""
    optimizer = torch.optim.AdamW(task.network.parameters(), lr=3e-3, betas=(0.9, 0.99))
    for step in range(steps):
        optimizer.zero_grad()
        task.step(batch, generator=seeded(step)).loss.backward()
        optimizer.step()


def test_task_keeps_the_protocols() -> None:
    task = make_task()
    assert isinstance(task, TrainingTask)
    assert isinstance(task, RestoringTask)
    assert isinstance(task, SizedTask)
    assert task.multiple_of == 4
    assert list(task.modules()) == ["network"]


def test_angle_draws_the_timestep_closest_to_an_angle_drawn_evenly() -> None:
    plan = plan_timesteps(Preconditioning(data_deviation=0.4))
    angles = np.arctan(np.sqrt((1 - ALPHA_BAR) / ALPHA_BAR) / 0.4)
    drawn = (np.arange(100_000) + 0.5) / 100_000 * np.pi / 2
    after = np.searchsorted(angles, drawn).clip(1, 999)
    closest = np.where(drawn - angles[after - 1] < angles[after] - drawn, after - 1, after)
    counts = np.bincount(closest, minlength=1000)
    np.testing.assert_allclose(plan.share.numpy(), counts / 100_000, atol=1.1e-5)
    assert torch.equal(plan.weight, torch.ones(1000, dtype=torch.float64))


@pytest.mark.parametrize("weighting", ["uniform", "angle"])
def test_timesteps_are_stratified_and_follow_their_share(weighting) -> None:
    plan = plan_timesteps(Preconditioning(), weighting)
    ends = plan.share.cumsum(dim=0)
    for seed in range(20):
        timesteps = plan.draw(8, generator=seeded(seed)).sort().values
        above, below = ends[timesteps], ends[timesteps] - plan.share[timesteps]
        part = torch.arange(8)
        assert bool(((above > part / 8 - 1e-6) & (below < (part + 1) / 8 + 1e-6)).all())
    many = torch.cat([plan.draw(64, generator=seeded(seed)) for seed in range(400)])
    found = torch.bincount(many, minlength=1000).double() / len(many)
    spread = (plan.share / len(many)).sqrt()
    assert float(((found - plan.share) / spread).abs().max()) < 5
    assert (int(many.min()), int(many.max())) == (0, 999)


def drawn_by(task: PriorTask, batch, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The timesteps and noise of a step, from the same generator in the same order."""
    generator = seeded(seed)
    timestep = task._plan.draw(len(batch["clean"]), generator=generator)
    return timestep, torch.randn(batch["clean"].shape, generator=generator)


@pytest.mark.parametrize("kind", ["v", "epsilon", "sample"])
def test_min_snr_weighs_the_error_of_the_clean_image(kind) -> None:
    """min(SNR, 5) times the squared error of x0, one crop at a time, as its paper states it."""
    task, batch = make_task("min_snr", network=TINY.model_copy(update={"prediction": kind})), crops(4)
    timestep, noise = drawn_by(task, batch, 3)
    expected = []
    for t, clean, eps in zip(timestep.tolist(), 2 * batch["clean"] - 1, noise, strict=True):
        noisy = ALPHA_BAR[t] ** 0.5 * clean + (1 - ALPHA_BAR[t]) ** 0.5 * eps
        predicted = CompactPrior(task.network).predict(noisy[None].double(), t)[0]
        estimate = (noisy - (1 - ALPHA_BAR[t]) ** 0.5 * predicted) / ALPHA_BAR[t] ** 0.5
        snr = ALPHA_BAR[t] / (1 - ALPHA_BAR[t])
        expected.append(min(snr, 5.0) * float((estimate - clean).square().mean()))
    loss = task.step(batch, generator=seeded(3)).loss
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-4)


def test_angle_counts_the_error_of_v_alike() -> None:
    task, batch = make_task(network=TINY.model_copy(update={"data_deviation": 1.0})), crops(5)
    timestep, noise = drawn_by(task, batch, 3)
    task.network.head.weight.data.normal_(std=0.1, generator=seeded())
    expected, bands = [], {}
    for t, clean, eps in zip(timestep.tolist(), 2 * batch["clean"] - 1, noise, strict=True):
        a, b = float(ALPHA_BAR[t]) ** 0.5, float(1 - ALPHA_BAR[t]) ** 0.5
        output = task.network((a * clean + b * eps)[None], torch.tensor([t]))[0]
        expected.append((output - (a * eps - b * clean)).square().mean().item())
        name = next(name for name, low in BANDS.items() if (a / b) ** 2 >= low)
        bands.setdefault(name, []).append(expected[-1])
    result = task.step(batch, generator=seeded(3))
    assert result.loss.item() == pytest.approx(np.mean(expected), rel=1e-4)
    assert result.logs == {name: pytest.approx(np.mean(values), rel=1e-4) for name, values in bands.items()}
    assert len(bands) > 2


def test_same_generator_gives_the_same_step() -> None:
    task, batch = make_task(), crops(3)
    first, second, other = (task.step(batch, generator=seeded(seed)).loss.item() for seed in (1, 1, 2))
    assert first == second != other


def test_thirty_steps_lower_the_loss() -> None:
    """Measured on the same noise before and after."""
    task = make_task()
    batch = {"clean": torch.nn.functional.interpolate(crops(8, 2)["clean"], size=16, mode="bilinear")}
    before = [task.step(batch, generator=seeded(seed)).loss.item() for seed in range(100, 105)]
    train(task, batch, steps=30)
    after = [task.step(batch, generator=seeded(seed)).loss.item() for seed in range(100, 105)]
    assert all(new < 0.95 * old for new, old in zip(after, before, strict=True))
    assert np.mean(after) < 0.9 * np.mean(before)


def test_two_colours_are_learned() -> None:
    """Under all the noise there is: their mean. Under some: the one that is there."""
    colours = torch.tensor([[0.9, 0.8, 0.1], [0.7, 0.9, 0.5]])
    batch = {"clean": colours.repeat(8, 1)[:, :, None, None].expand(-1, -1, 8, 8)}
    task = make_task()
    train(task, batch, steps=200)
    meaning, network = task.network.preconditioning, task.network.eval()
    with torch.no_grad():
        noisy = torch.randn(16, 3, 8, 8, generator=seeded(5))
        last = torch.full((16,), 999)
        estimate = (meaning.clean_of(noisy, network(noisy, last), last).mean(dim=(0, 2, 3)) + 1) / 2
        torch.testing.assert_close(estimate, colours.mean(dim=0), atol=0.06, rtol=0)
        middle = torch.full((16,), 100)
        noisy = meaning.add_noise(2 * batch["clean"] - 1, noisy, middle)
        restored = (meaning.clean_of(noisy, network(noisy, middle), middle) + 1) / 2
        torch.testing.assert_close(restored.mean(dim=(2, 3)), colours.repeat(8, 1), atol=0.1, rtol=0)


@pytest.mark.parametrize(("sigma", "known"), [(25, True), (100, True), (100, False)])
def test_restore_denoises_at_the_timestep_of_the_noise(sigma: int, known: bool) -> None:
    """A fresh network is the Wiener filter of white images with deviation 0.5, so its answer is known."""
    task = make_task(**(LEVELS if known else {}))
    clean = torch.full((2, 3, 64, 64), 0.5)
    degraded = clean + sigma / 255 * torch.randn(clean.shape, generator=seeded())
    restored = task.restore(degraded).detach()
    left = ((restored - clean) * (degraded - clean)).sum() / (degraded - clean).square().sum()
    assert float(left) == pytest.approx(0.25 / (0.25 + (2 * sigma / 255) ** 2), rel=0.005 if known else 0.1)


@dataclass(frozen=True)
class Recipe:
    """What the loop asks of a recipe."""

    training: TrainingSettings
    data: SimpleNamespace
    method: str = "zeroair"
    seed: int = 5
    degradation: str = "none"
    config: dict[str, object] = field(default_factory=lambda: {"network": TINY.model_dump()})


class PriorMethod:
    """The prior alone as a trainable method."""

    name = "prior"
    config = PriorConfig

    def task(self, config: BaseModel, recipe: object) -> TrainingTask:
        return prior_task(PriorConfig.model_validate(config.model_dump()), recipe)

    def metadata(self, config: BaseModel) -> dict[str, str]:
        return prior_metadata(PriorConfig.model_validate(config.model_dump()).network)


def test_weights_of_a_run_are_a_prior(tmp_path) -> None:
    (tmp_path / "photos").mkdir()
    with as_file(files("skimage") / "data" / "chelsea.png") as photo:
        Image.open(photo).crop((100, 50, 164, 114)).save(tmp_path / "photos" / "cat.png")
    settings = TrainingSettings(steps=2, batch_size=4, crop_px=16, validate_every=2, validation=LEVELS)
    photos = str(tmp_path / "photos")
    run = Recipe(settings, SimpleNamespace(train=photos, validation=photos))
    result = run_recipe(run, PriorMethod(), settings, output=tmp_path / "run", cache=tmp_path / "cache")
    assert {"noise25/psnr", "noise100/psnr"} <= set(result.scores)
    prior = load_compact_prior(result.weights)
    assert prior.network.config == TINY
    assert torch.isfinite(prior.predict(torch.zeros(1, 3, 8, 12), 10)).all()


def test_task_starts_from_a_weight_file(tmp_path) -> None:
    built, path = TINY.build(), tmp_path / "old.safetensors"
    save_weights(path, built.state_dict())
    task = prior_task(PriorConfig(network=TINY, weights=str(path)), recipe())
    begun = task.modules()["network"].state_dict()
    assert all(torch.equal(begun[name], tensor) for name, tensor in built.state_dict().items())
    with pytest.raises(ModelError, match="build CompactDiffusion with the options that the file was made with"):
        prior_task(PriorConfig(weights=str(path)), recipe())


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (
            recipe("noise:sigma=25"),
            "degradation: expected none, since a diffusion prior learns clean photos, got .noise",
        ),
        (recipe(a="haze"), "training.validation.a: expected white noise of one strength that is not clipped, .*haze"),
        (recipe(a="noise:sigma=25"), "such as noise:sigma=25,clip=0"),
        (recipe(a="noise:sigma=5..25,clip=0"), "of one strength"),
        (recipe(a="noise:sigma=25,clip=0,correlation=1"), "expected white noise"),
        (recipe(a="noise:sigma=0,clip=0"), "expected white noise"),
    ],
)
def test_recipes_that_do_not_fit_are_refused(asked: SimpleNamespace, problem: str) -> None:
    with pytest.raises(RecipeError, match=problem):
        prior_task(PriorConfig(network=TINY), asked)


def test_config_refuses_unknown_weightings() -> None:
    with pytest.raises(ValidationError, match="'angle', 'uniform' or 'min_snr'"):
        PriorConfig.model_validate({"weighting": "snr"})
