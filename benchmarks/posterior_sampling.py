"""DPS and DiffPIR of deepinv with our diffusion prior, as restorers: what it is worth to know the degradation.

    python benchmarks/posterior_sampling.py [--sigma 30] [--side 128] [--dps-steps 1000] [--diffpir-steps 100]
    PYTHONPATH=benchmarks restorekit compare photo.png --degrade noise:sigma=30,clip=0 \\
        --models zeroair,python:posterior_sampling:dps_sigma30,python:posterior_sampling:diffpir_sigma30_steps50

- These methods must be told the degradation: that it is white Gaussian noise, not clipped, and its sigma, which is
  part of the restorer's name. ZeroAIR is told nothing.
- DPS: Chung et al. 2023 (arXiv:2209.14687). DiffPIR: Zhu et al. 2023 (arXiv:2305.08995). Samplers and settings are
  deepinv's, but for two that have to fit the task: see ``_sampler``.
- The table is a first look: four photos, one noise each. Beside them it has one evaluation that is told sigma, and
  ZeroAIR's ``fast`` (the mean of what fits) and ``sample`` (one photo that fits, as DPS and DiffPIR give).
"""

import argparse
import importlib
import math
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from inspect import unwrap
from typing import Any

import torch
from photos import NAMES, make_photo
from torch import Tensor, nn

import restorekit
from restorekit.core.image.convention import Images, check_images, to_images
from restorekit.core.randomness import generator_for
from restorekit.core.restorer import InputSpec
from restorekit.errors import DependencyError
from restorekit.priors.pixel_diffusion import DiffusionPrior, make_scheduler, to_signed, to_unsigned
from restorekit.zeroair.restorer import ZeroAIRRestorer
from restorekit.zeroair.settings import ZeroAIRSettings
from restorekit.zeroair.sources import load_prior

__all__ = ["STEPS", "PosteriorRestorer", "PriorDenoiser", "Row", "main", "measure", "to_markdown"]

STEPS = {"dps": 1000, "diffpir": 100}
"""Sampler to the evaluations of its paper."""

NAME = re.compile(rf"({'|'.join(STEPS)})_sigma(\d+)(?:_steps(\d+))?")


def __getattr__(name: str) -> Callable[[], "PosteriorRestorer"]:
    """``dps_sigma30``, ``diffpir_sigma25_steps50``, ...: factories for ``--models python:posterior_sampling:NAME``."""
    found = NAME.fullmatch(name)
    if found is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; expected such as dps_sigma30_steps100")
    sampler, sigma, steps = found.groups()
    return partial(PosteriorRestorer, sampler, sigma=int(sigma), steps=int(steps) if steps else None)


class PosteriorRestorer:
    """A ``Restorer`` of white noise that samples a diffusion prior given the observation.

    Args:
        sampler: dps or diffpir.
        sigma: of the noise, on the 8-bit scale.
        steps: evaluations of the prior; None: the paper's.
        prior: in place of the one that ships; on the CPU, and not in windows.

    Raises:
        DependencyError: deepinv is absent.
    """

    def __init__(
        self, sampler: str, *, sigma: float, steps: int | None = None, prior: DiffusionPrior | None = None
    ) -> None:
        _import_deepinv()
        self.sampler = sampler
        self.sigma = sigma / 255
        self.steps = steps or STEPS[sampler]
        self.prior = prior or load_prior(ZeroAIRSettings())
        self.name = f"python:posterior_sampling:{sampler}_sigma{sigma:g}_steps{self.steps}"
        self.spec = InputSpec(multiple_of=self.prior.multiple_of, tiling="whole")
        self.device = torch.device("cpu")

    def to(self, device: torch.device, precision: str = "float32") -> "PosteriorRestorer":
        """This restorer, moved; the precision is that of the prior."""
        if hasattr(self.prior, "to"):
            self.prior = self.prior.to(device, precision)
        self.device = torch.device(device)
        return self

    def restore(self, degraded: Images, *, generator: torch.Generator | None = None) -> Images:
        """One sample of the posterior for each image.

        Args:
            degraded: (batch, 3, height, width); the noise may leave [0, 1].
            generator: one seed is drawn from it for all images; None: seed 0.

        Raises:
            ImageError: not images.
        """
        check_images(degraded, self.name)
        seed = 0 if generator is None else int(torch.randint(2**62, (), generator=generator, device=generator.device))
        with torch.inference_mode(mode=False):  # a caller may be in inference mode, where nothing has a gradient
            images = torch.split(degraded.clone().to(self.device, torch.float32), 1)
            return torch.cat([self._sample(image, seed) for image in images]).to(degraded)

    def _sample(self, observed: Tensor, seed: int) -> Tensor:
        """deepinv draws from PyTorch's own generator, which is put back."""
        physics = _import_deepinv().physics
        known = physics.Denoising(physics.GaussianNoise(self.sigma)).to(self.device)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            restored: Tensor = self._sampler()(observed, known)
        return restored.detach().float()

    def _sampler(self) -> Any:
        """deepinv's. Figures here are of one crop of 64 px, sigma 30 and 50 evaluations.

        Differs from the papers: DPS takes the likelihood with the known variance (``annealed``), not the norm of the
        residual, which wants another weight for every size of image; deepinv's own weight hardly sees the observation
        (17.0 dB in place of 27.4). DiffPIR draws all noise of a step anew (zeta 1, as deepinv's documentation has it):
        the 0.1 of its code carries the observation's noise along into the result (23.6 dB in place of 27.0).
        """
        deepinv, denoiser = _import_deepinv(), PriorDenoiser(self.prior)
        if self.sampler == "dps":
            return deepinv.sampling.DPS(denoiser, num_steps=self.steps + 1, guidance="annealed", device=self.device)
        fidelity, settings = deepinv.optim.L2(), {"sigma": self.sigma, "zeta": 1.0}
        return deepinv.sampling.DiffPIR(denoiser, fidelity, max_iter=self.steps, device=self.device, **settings)


class PriorDenoiser(nn.Module):
    """A diffusion prior as deepinv wants a denoiser: from clean + sigma · noise and sigma to the clean image's mean.

    deepinv's images are in [0, 1]; the prior's are in [-1, 1], where the same noise is twice as strong. Its noisy image
    is √ᾱ (2x − 1) with ᾱ = 1 / (1 + 4σ²). It is asked at the timestep of the nearest sigma.

    Args:
        prior: any; gradients run through it if ``predict`` is plain PyTorch.
    """

    def __init__(self, prior: DiffusionPrior) -> None:
        super().__init__()
        self.prior = prior
        alpha_bar = make_scheduler(prior, steps=1).alphas_cumprod
        self.sigmas = ((1.0 - alpha_bar) / alpha_bar).sqrt() / 2.0
        """Of every timestep, for images in [0, 1]."""

    def forward(self, noisy: Tensor, sigma: float | Tensor) -> Tensor:
        """(batch, 3, height, width) and one sigma for all of them, both for images in [0, 1]."""
        sigma = float(sigma)
        timestep = int((self.sigmas.log() - math.log(sigma)).abs().argmin())
        signed = to_signed(noisy)
        predict = unwrap(type(self.prior).predict)  # a prior switches gradients off, DPS needs them
        noise = predict(self.prior, signed / math.sqrt(1.0 + 4.0 * sigma**2), timestep)[:, :3]
        return to_unsigned(signed - 2.0 * sigma * noise)


@dataclass(frozen=True)
class Row:
    """One restorer; one value for each photo."""

    name: str
    evaluations: int
    """Of the prior, for one photo."""
    psnr: list[float] = field(default_factory=list)
    """In dB."""
    seconds: list[float] = field(default_factory=list)


Candidates = Mapping[str, tuple[int, Callable[[Images], Images]]]
"""Name to evaluations and what restores."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Restore the photos with all of them, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sigma", type=float, default=30.0, help="of the noise, on the 8-bit scale")
    parser.add_argument("--side", type=int, default=128, help="of a crop, in px")
    parser.add_argument("--photos", type=int, default=len(NAMES))
    parser.add_argument("--dps-steps", type=int, default=STEPS["dps"])
    parser.add_argument("--diffpir-steps", type=int, default=STEPS["diffpir"])
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    photos = [make_photo(number, height=chosen.side, width=chosen.side) for number in range(chosen.photos)]
    steps = {"dps": chosen.dps_steps, "diffpir": chosen.diffpir_steps}
    candidates = _candidates(chosen.sigma, steps)
    print(to_markdown(measure(candidates, list(map(to_images, photos)), sigma=chosen.sigma, seed=chosen.seed)))


def measure(candidates: Candidates, photos: Sequence[Images], *, sigma: float, seed: int) -> list[Row]:
    """All of them on one noisy photo after the other; its noise, not clipped, comes from (seed, its number)."""
    rows = [Row(name, evaluations) for name, (evaluations, _) in candidates.items()]
    for number, clean in enumerate(photos):
        noise = torch.randn(clean.shape, generator=generator_for(seed, number))
        noisy = clean + sigma / 255 * noise
        for row in rows:
            start = time.perf_counter()
            restored = candidates[row.name][1](noisy)
            row.seconds.append(time.perf_counter() - start)
            (psnr,) = restorekit.score(restored, clean, ["psnr"]).mean.values()
            row.psnr.append(psnr)
    return rows


def to_markdown(rows: Sequence[Row]) -> str:
    """PSNR of each photo and its mean; mean seconds, of which only the ratios mean something on a busy machine."""
    lines = ["| restorer | evaluations | PSNR in dB | mean | seconds |", "| --- | ---: | --- | ---: | ---: |"]
    for row in rows:
        each = " ".join(f"{value:.2f}" for value in row.psnr)
        means = f"{statistics.mean(row.psnr):.2f} | {statistics.mean(row.seconds):.1f}"
        lines.append(f"| {row.name} | {row.evaluations} | {each} | {means} |")
    return "\n".join(lines)


def _candidates(sigma: float, steps: Mapping[str, int]) -> Candidates:
    """The noisy photo itself, one evaluation that is told sigma, the samplers, and three presets of ZeroAIR."""
    presets = [
        ZeroAIRRestorer(f"zeroair, {name}", ZeroAIRSettings(preset=name)) for name in ("fast", "sample", "proximal")
    ]
    samplers = {name: PosteriorRestorer(name, sigma=sigma, steps=count) for name, count in steps.items()}
    denoiser = PriorDenoiser(samplers["dps"].prior)
    return {
        "none": (0, lambda noisy: noisy),
        "one evaluation": (1, torch.no_grad()(partial(denoiser, sigma=sigma / 255))),
        **{name: (steps[name], sampler.restore) for name, sampler in samplers.items()},
        **{ours.name: (ours.settings.sampling.steps, ours.restore) for ours in presets},
    }


def _import_deepinv() -> Any:
    try:
        return importlib.import_module("deepinv")
    except ImportError as error:
        raise DependencyError(
            f'posterior_sampling: expected the package deepinv, got {error}; pip install "restorekit[baselines]"'
        ) from None


if __name__ == "__main__":
    main()
