"""Training: one plain loop for every method, from photos in a folder to weights that ship.

Names are resolved on first use: ``TrainingSettings`` needs no torch, the loop does.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restorekit.training.batches import CropBatches
    from restorekit.training.checkpoint import export_compact, export_weights, load_compact
    from restorekit.training.loop import train
    from restorekit.training.pool import PhotoPool, open_pool
    from restorekit.training.progress import Progress, TrainingResult
    from restorekit.training.run import run_recipe
    from restorekit.training.settings import TrainingSettings
    from restorekit.training.supervised import SupervisedTask
    from restorekit.training.task import PlacedTask, RestoringTask, StatefulTask
    from restorekit.training.validation import Validator

__all__ = [
    "CropBatches",
    "PhotoPool",
    "PlacedTask",
    "Progress",
    "RestoringTask",
    "StatefulTask",
    "SupervisedTask",
    "TrainingResult",
    "TrainingSettings",
    "Validator",
    "export_compact",
    "export_weights",
    "load_compact",
    "open_pool",
    "run_recipe",
    "train",
]

_HOMES = {
    "CropBatches": "batches",
    "PhotoPool": "pool",
    "PlacedTask": "task",
    "Progress": "progress",
    "RestoringTask": "task",
    "StatefulTask": "task",
    "SupervisedTask": "supervised",
    "TrainingResult": "progress",
    "TrainingSettings": "settings",
    "Validator": "validation",
    "export_compact": "checkpoint",
    "export_weights": "checkpoint",
    "load_compact": "checkpoint",
    "open_pool": "pool",
    "run_recipe": "run",
    "train": "loop",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
