"""Suite ``training``: seconds a step of recipe base/noise in the real loop, against the bare step.

- The loop is ``restorekit.training.loop.train`` itself; the batches it is given watch the clock: what passes until a
  batch is there is the data path, what passes until the next one is asked for is the rest of the step.
- After every step of the loop a bare one runs on the same batch: forward, loss, backward, clipping, AdamW of a second
  copy of the network; no batches, no averaged weights, no log.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from limits import Work, autocast, in_words, threads, work_of
from photos import make_photos, write_photos
from results import Row, measured
from setting import Setting
from timing import Budget

from restorekit.core.degradation.chain import parse_degradation
from restorekit.methods import load_method
from restorekit.recipe import Recipe, load_recipe
from restorekit.training.batches import Batch, CropBatches
from restorekit.training.loop import train
from restorekit.training.pool import open_pool
from restorekit.training.settings import TrainingSettings
from restorekit.training.supervised import SupervisedConfig, SupervisedMethod, SupervisedTask

__all__ = ["run"]

RECIPE = "base/noise"
PHOTOS = 8


def run(setting: Setting) -> Iterator[Row]:
    """The step as a whole, then what of it is the data path; every number of threads."""
    small = ("training.batch_size=2", "training.crop_px=32") if setting.smoke else ()
    recipe = load_recipe(RECIPE, ["training.validate_every=0", "training.workers=0", *small])
    for count in setting.threads:
        with threads(count), tempfile.TemporaryDirectory() as folder:
            watched = watch(recipe, setting, Path(folder))
        yield from rows(recipe.training, watched, setting, count)


def rows(settings: TrainingSettings, watched: "WatchedBatches", setting: Setting, count: int) -> Iterator[Row]:
    """What the watched loop took."""
    shape = (settings.batch_size, 3, settings.crop_px, settings.crop_px)
    forward = work_of(watched.bare.network, shape)
    # backward takes the same products twice: for the features and for the weights
    least = setting.limits(count, settings.precision).least_seconds(Work(3 * forward.flops, forward.bytes))
    steps = [data + rest for data, rest in zip(watched.data, watched.rest, strict=True)]
    share = sum(watched.data) / sum(steps)
    end = f"{RECIPE}, {shape[0]} crops of {shape[2]} px, {settings.precision}, {in_words(count)}"
    yield measured(
        f"step, {end}", "training loop", steps, peer="bare step", peer_seconds=watched.bare.seconds,
        least_seconds=least, note=f"{3 * forward.flops / 1e9:.3g} GFLOP; data path {100 * share:.0f} % of the step",
    )  # fmt: skip
    yield measured(f"data path, {end}", "crops and degradations", watched.data, note=f"{100 * share:.0f} % of the step")


def watch(recipe: Recipe, setting: Setting, folder: Path) -> "WatchedBatches":
    """Train for the budget in ``folder`` and return what was seen."""
    (folder / "photos").mkdir()
    write_photos(folder / "photos", make_photos(setting.size(PHOTOS, 2)), suffix=".png")
    settings = recipe.training
    pool = open_pool(folder / "photos", settings.scales, cache=folder)
    inner = CropBatches(pool, parse_degradation(recipe.degradation or ""), settings, recipe.seed)
    task, bare = new_task(recipe), BareStep(new_task(recipe), settings)
    watched = WatchedBatches(inner, bare, setting.budget)
    train(task, watched, settings, output=folder / "run", resume="never")
    return watched


def new_task(recipe: Recipe) -> SupervisedTask:
    """The recipe's task with fresh weights."""
    method = load_method(recipe.method)
    assert isinstance(method, SupervisedMethod)
    task = method.task(SupervisedConfig.model_validate(recipe.config), recipe)
    assert isinstance(task, SupervisedTask)
    return task


class BareStep:
    """What no training can do without, in a few lines of PyTorch."""

    def __init__(self, task: SupervisedTask, settings: TrainingSettings) -> None:
        self.task = task
        self.network = task.network.to(memory_format=torch.channels_last)
        self.precision = settings.precision
        self.clip_norm = settings.clip_norm
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-5)
        self.generator = torch.Generator()
        self.seconds: list[float] = []

    def __call__(self, batch: Batch) -> None:
        """One update, timed."""
        start = time.perf_counter()
        with autocast(self.precision):
            result = self.task.step(batch, generator=self.generator)
        self.optimizer.zero_grad(set_to_none=True)
        result.loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
        self.optimizer.step()
        self.seconds.append(time.perf_counter() - start)


@dataclass
class WatchedBatches:
    """Batches that time the loop that uses them, and end when the budget is spent."""

    inner: CropBatches
    bare: BareStep
    budget: Budget
    data: list[float] = field(default_factory=list)
    rest: list[float] = field(default_factory=list)
    clock: Callable[[], float] = time.perf_counter

    def steps(self, start: int, stop: int, *, device: torch.device) -> Iterator[Batch]:
        """The inner batches; warm-up steps are run and not counted."""
        batches = self.inner.steps(start, stop, device=device)
        began = self.clock()
        for number in range(self.budget.warmups + self.budget.most):
            if number == self.budget.warmups:
                began = self.clock()
                for seen in (self.data, self.rest, self.bare.seconds):
                    seen.clear()
            asked = self.clock()
            batch = next(batches)
            given = self.clock()
            yield batch
            done = self.clock()
            self.data.append(given - asked)
            self.rest.append(done - given)
            self.bare(batch)
            if number + 1 - self.budget.warmups >= self.budget.fewest and self.clock() - began >= self.budget.seconds:
                return
