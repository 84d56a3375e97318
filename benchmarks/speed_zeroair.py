"""Suite ``zeroair``: what a preset costs on top of its evaluations of the prior, and what one evaluation costs.

- Presets ``fast`` and ``proximal`` against the same prior, scheduler and number of steps without guidance: the ratio is
  the overhead, of ``proximal`` that of guidance. The least time is that of the prior's evaluations alone.
- Evaluations are the images that the prior sees in one run: steps times the images of the batch.
- Peak memory is by how much a process of its own grows in one run, with few steps and with four times as many.
"""

import sys
from collections.abc import Callable, Iterator

import torch
from limits import Work, in_words, threads, work_of
from peers import photo_image
from process_memory import process_peak
from results import Row, measured
from setting import PRECISIONS, Setting
from timing import spread, time_paired
from torch import Tensor, nn

from restorekit.comparison.cost import peak_memory
from restorekit.core.image.convention import Images
from restorekit.priors.compact_diffusion import CompactPrior
from restorekit.priors.pixel_diffusion import DiffusionPrior, make_scheduler, to_unsigned
from restorekit.zeroair.config import ZeroAIRConfig
from restorekit.zeroair.presets import preset
from restorekit.zeroair.restorer import ZeroAIRRestorer
from restorekit.zeroair.sampler import reverse_process
from restorekit.zeroair.settings import ZeroAIRSettings
from restorekit.zeroair.sources import load_prior

__all__ = ["run"]

SIDE_PX = 256
TIMESTEP = 500  # the network computes the same at all of them
REFERENCE = preset("reference-dehaze")
FEW_STEPS = 8


def run(setting: Setting) -> Iterator[Row]:
    """Both presets, then one evaluation in each precision; memory is measured once."""
    memory = "" if setting.smoke else f"; {memory_note()}"
    for count in setting.threads:
        with threads(count):
            yield against_bare(setting, "fast", count)
            yield against_bare(setting, "proximal", count, memory)
            yield from one_evaluation(setting, count)


def against_bare(setting: Setting, name: str, count: int, memory: str = "") -> Row:
    """One photo by a preset, and as many steps without guidance."""
    side, steps = setting.size(SIDE_PX, 32), setting.size(preset(name).steps, min(2, preset(name).steps))
    degraded, restorer = noisy_photo(side), restorer_of(name, steps)
    prior = shipped_prior()
    candidates: dict[str, Callable[[], Tensor]] = {
        "ours": lambda: restorer.restore(degraded, generator=torch.Generator().manual_seed(0)),
        "bare": lambda: bare_sample(prior, side, steps),
    }
    seconds = time_paired(candidates, setting.budget)
    one, asked = prior_work(prior, side), evaluations(restorer.settings.sampling)
    typical, needed, reference = spread(seconds["ours"]).median, evaluations(preset(name)), evaluations(REFERENCE)
    return measured(
        f"preset {name}, {side}x{side}, float32, {in_words(count)}",
        "ZeroAIRRestorer",
        seconds["ours"],
        peer="the sampler without guidance",
        peer_seconds=seconds["bare"],
        least_seconds=setting.limits(count, "float32").least_seconds(Work(asked * one.flops, asked * one.bytes)),
        note=f"{typical:.3g} s an image (promised for fast: below 60 on two cores); evaluations {needed}, "
        f"reference-dehaze {reference}: {reference / needed:.4g} times as many (promised: 20){memory}",
    )


def one_evaluation(setting: Setting, count: int) -> Iterator[Row]:
    """The prior alone, both precisions in the same rounds."""
    side = setting.size(SIDE_PX, 32)
    noisy = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    prior = shipped_prior()
    work = prior_work(prior, side)

    def call(precision: str) -> Callable[[], Tensor]:
        placed = prior.to(torch.device("cpu"), precision)
        return lambda: placed.predict(noisy, TIMESTEP)

    seconds = time_paired({precision: call(precision) for precision in PRECISIONS}, setting.budget)
    for precision in PRECISIONS:
        yield measured(
            f"one evaluation of the prior, {side}x{side}, {precision}, {in_words(count)}",
            "CompactPrior",
            seconds[precision],
            least_seconds=setting.limits(count, precision).least_seconds(work),
            note=f"{work.flops / 2e9:.3g} GMAC",
        )


def restorer_of(name: str, steps: int) -> ZeroAIRRestorer:
    """A preset with the shipped prior and another number of steps."""
    return ZeroAIRRestorer("zeroair", ZeroAIRSettings(preset=name).changed(sampling={"steps": steps}))


def shipped_prior() -> CompactPrior:
    """On the CPU, in float32."""
    prior = load_prior(ZeroAIRSettings())
    assert isinstance(prior, CompactPrior)
    return prior


def bare_sample(prior: DiffusionPrior, side: int, steps: int) -> Images:
    """An unconditional sample by the scheduler of the presets."""
    generator = torch.Generator().manual_seed(0)
    noisy = torch.randn(1, 3, side, side, generator=generator)
    scheduler = make_scheduler(prior, preset("proximal").sampler, steps=steps)
    return to_unsigned(reverse_process(prior, noisy, scheduler, generator=generator))


def evaluations(config: ZeroAIRConfig) -> int:
    """Images that the prior sees in one run; those of a pool, which serves many runs, are not counted."""
    together = 1 + (config.auxiliary_count if config.auxiliary == "image" else 0)
    return together * (config.steps if config.timesteps is None else len(config.timesteps))


def noisy_photo(side: int) -> Images:
    """(1, 3, side, side), a photo with white noise of sigma 30."""
    clean = photo_image(side).contiguous()
    return clean + 30 / 255 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))


def prior_work(prior: CompactPrior, side: int) -> Work:
    """Of one evaluation of one image."""
    return work_of(_AtOneTimestep(prior.network), (1, 3, side, side))


class _AtOneTimestep(nn.Module):
    """The network as a function of the noisy image alone, for counting its work."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, noisy: Tensor) -> Tensor:
        """(batch, 3, height, width) to the same shape."""
        prediction: Tensor = self.network(noisy, torch.full((len(noisy),), TIMESTEP, device=noisy.device))
        return prediction


def memory_note(few: int = FEW_STEPS, side: int = SIDE_PX) -> str:
    """By how much a process grows at most with few steps and with four times as many; Linux only."""
    less, more = (process_peak("speed_zeroair.py", steps, side) / 1e6 for steps in (few, 4 * few))
    return f"peak memory {less:.0f} MB with {few} steps, {more:.0f} MB with {4 * few}"


def main(steps: int, side: int) -> None:
    """One run of preset ``proximal`` in this process; prints by how many bytes it grew at most."""
    restorer, degraded = restorer_of("proximal", steps), noisy_photo(side)
    restorer_of("proximal", 1).restore(noisy_photo(32))  # what libraries set up once is no memory of the run
    restorer.prior.predict(torch.zeros(1, 3, 32, 32), TIMESTEP)  # nor are the weights
    with peak_memory(None) as peak:
        restorer.restore(degraded)
    print(peak())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
