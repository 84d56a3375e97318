"""From a checked recipe to a trained network: the photos, the degradation, the task, and the loop.

A recipe and a method are taken as they look (protocols), because both live above this room.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from pydantic import BaseModel

from restorekit.core.degradation.chain import parse_degradation
from restorekit.core.randomness import derive_seed
from restorekit.core.restorer import TrainingTask
from restorekit.errors import RecipeError
from restorekit.training.batches import Batches, CropBatches
from restorekit.training.loop import train
from restorekit.training.pool import cache_folder, open_pool
from restorekit.training.processes import Processes
from restorekit.training.progress import Progress, TrainingResult
from restorekit.training.settings import TrainingSettings
from restorekit.training.stopping import Clock
from restorekit.training.task import PreparingTask, SizedTask
from restorekit.training.validation import Validator

__all__ = ["TrainableMethod", "TrainingRecipe", "run_recipe"]


@runtime_checkable
class Folders(Protocol):
    """Where the photos are."""

    @property
    def train(self) -> str | None:
        """Clean photos to train on."""
        ...

    @property
    def validation(self) -> str | None:
        """Clean photos to validate on; None: no validation."""
        ...


@runtime_checkable
class TrainingRecipe(Protocol):
    """What a run needs of a ``restorekit.recipe.Recipe``."""

    @property
    def method(self) -> str:
        """Name of the method."""
        ...

    @property
    def seed(self) -> int:
        """All randomness of the run comes from it."""
        ...

    @property
    def config(self) -> dict[str, Any]:
        """The method's own settings."""
        ...

    @property
    def data(self) -> Folders:
        """Folders of photos."""
        ...

    @property
    def degradation(self) -> str | None:
        """Spec of what the crops are degraded with."""
        ...


@runtime_checkable
class TrainableMethod(Protocol):
    """A ``Method`` that can be trained. It may also have ``metadata(config) -> dict[str, str]`` for the weight file."""

    name: str
    config: type[BaseModel]

    def task(self, config: BaseModel, recipe: Any) -> TrainingTask:
        """The task of a checked configuration; fresh weights come from torch's global generator, which is seeded."""
        ...


def run_recipe(
    recipe: TrainingRecipe,
    method: object,
    settings: TrainingSettings,
    *,
    output: Path,
    resume: str | Path = "auto",
    max_minutes: float | None = None,
    cache: Path | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_note: Callable[[str], None] = lambda _: None,
) -> TrainingResult:
    """Train what a recipe describes; everything that can be refused is refused before a photo is decoded.

    Args:
        recipe: a ``Recipe``.
        method: the recipe's ``Method``; it must be a ``TrainableMethod``.
        settings: the recipe's ``[training]``.
        output, resume, max_minutes, on_progress, on_note: as for ``train``; the limit counts from this call.
        cache: folder of the decoded photos.

    Raises:
        RecipeError: no training folder, no degradation, or a method that is not trained.
        SpecError, UsageError, ImageError, ModelError, RestorekitError: as the parts do.
    """
    clock = Clock(max_minutes)
    if not isinstance(method, TrainableMethod):
        raise RecipeError(f"method: expected one that is trained, got {recipe.method!r}, which has nothing to learn")
    if recipe.data.train is None:
        raise RecipeError("data.train: expected a folder of clean photos, got nothing; give one by --data FOLDER")
    if recipe.degradation is None:
        raise RecipeError("degradation: expected a spec such as noise:sigma=0..50, got nothing; add it to the recipe")
    degradation = parse_degradation(recipe.degradation)
    validator = _validator(recipe, settings, recipe.degradation)
    config = method.config.model_validate(recipe.config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(recipe.seed, "weights"))
        task = method.task(config, recipe)
    if isinstance(task, SizedTask) and settings.crop_px % task.multiple_of:
        raise RecipeError(
            f"training.crop_px: expected a multiple of {task.multiple_of}, which the network asks for, "
            f"got {settings.crop_px}"
        )
    processes = Processes()
    with processes.first_alone():  # one process decodes, the others find its file
        pool = open_pool(recipe.data.train, settings.scales, cache=cache, on_note=on_note)
    crops = CropBatches(pool, degradation, settings, recipe.seed, process=processes.index)
    batches: Batches = crops
    if isinstance(task, PreparingTask):
        folder = cache or cache_folder()
        batches = task.prepare_batches(crops, folder=folder, device=processes.device, on_note=on_note)
    return train(
        task,
        batches,
        settings,
        output=output,
        seed=recipe.seed,
        resume=resume,
        max_minutes=None if max_minutes is None else clock.seconds_left / 60,
        validator=validator,
        metadata=_metadata(recipe, method, config),
        on_progress=on_progress,
        on_note=on_note,
    )


def _validator(recipe: TrainingRecipe, settings: TrainingSettings, training_degradation: str) -> Validator | None:
    specs = settings.validation or {"training": training_degradation}
    for spec in specs.values():
        parse_degradation(spec)
    if recipe.data.validation is None or not settings.validate_every:
        return None
    return Validator(recipe.data.validation, specs, images=settings.validation_images, gray=settings.gray)


def _metadata(recipe: TrainingRecipe, method: TrainableMethod, config: BaseModel) -> dict[str, str]:
    """What the weight file says of itself."""
    own: dict[str, str] = method.metadata(config) if hasattr(method, "metadata") else {}
    return {
        "method": recipe.method,
        "method_config": config.model_dump_json(),
        "degradation": recipe.degradation or "",
        "seed": str(recipe.seed),
        **own,
    }
