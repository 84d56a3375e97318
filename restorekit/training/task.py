"""What a ``TrainingTask`` may offer besides the protocol of the core; the loop asks for each with ``isinstance``.

- ``modules()`` holds exactly what is trained, averaged, and shipped. A momentum encoder, a queue or running statistics
  that are none of it are the task's own state: a ``StatefulTask`` hands them over to be saved with every checkpoint.
- Frozen networks (a prior, a base restorer) are neither: a ``PlacedTask`` moves them to the device itself.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor

from restorekit.core.image.convention import Images

if TYPE_CHECKING:
    from restorekit.training.batches import Batches, CropBatches

__all__ = ["PlacedTask", "PreparingTask", "RestoringTask", "SizedTask", "StatefulTask"]


@runtime_checkable
class StatefulTask(Protocol):
    """A task with tensors of its own that a resumed run needs: queue, pointer, momentum encoder."""

    def state_dict(self) -> Mapping[str, Tensor]:
        """Every such tensor by name; names may contain dots."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over what ``state_dict`` gave, from the CPU to wherever the task keeps it, in its own dtype."""
        ...


@runtime_checkable
class PlacedTask(Protocol):
    """A task with parts outside ``modules()`` that must be on the device."""

    def place(self, device: torch.device) -> None:
        """Called once, after the modules were placed and before a checkpoint is read."""
        ...


@runtime_checkable
class RestoringTask(Protocol):
    """A task whose modules can be validated as a restorer."""

    def restore(self, degraded: Images) -> Images:
        """Restored images from the modules as they are now; the loop puts the averaged weights in before it calls."""
        ...


@runtime_checkable
class PreparingTask(Protocol):
    """A task that makes its own batches out of crops, once, before the loop begins."""

    def prepare_batches(
        self, fresh: "CropBatches", *, folder: Path, device: torch.device, on_note: Callable[[str], None]
    ) -> "Batches":
        """Batches to train on in place of ``fresh``; ``folder`` is for what can be made again."""
        ...


@runtime_checkable
class SizedTask(Protocol):
    """A task whose networks take crops of certain sizes alone."""

    multiple_of: int
    """Crop sizes are multiples of it, in px."""
