"""Everything that a run changes as it goes, and its form as named tensors: what a checkpoint holds.

Generators are not in it: those of a step are seeded from (seed, step, process), so the seed and the step are their
state, whatever the number of processes.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from restorekit.core.randomness import derive_seed, generator_for
from restorekit.core.restorer import TrainingTask
from restorekit.errors import ModelError
from restorekit.training.ema import AveragedWeights
from restorekit.training.settings import TrainingSettings
from restorekit.training.task import PlacedTask, StatefulTask

__all__ = ["TrainingState", "prepare_state", "seeded_generator"]

LIVE, AVERAGE, MOMENTS, TASK = "live.", "average.", "moments.", "task."


@dataclass
class TrainingState:
    """The run after ``step`` updates."""

    task: TrainingTask
    live: nn.ModuleDict
    average: AveragedWeights
    optimizer: torch.optim.AdamW
    seed: int
    step: int = 0
    seconds: float = 0.0
    """Spent by all calls together, until the last checkpoint or now."""
    restarted_at: int | None = None
    """Updates done when the optimiser last started without moments, for the second warm-up."""

    def weights(self) -> dict[str, Tensor]:
        """Live and averaged weights and buffers, and the task's own tensors."""
        tensors = {LIVE + name: tensor for name, tensor in self.live.state_dict().items()}
        tensors |= {AVERAGE + name: tensor for name, tensor in self.average.module.state_dict().items()}
        if isinstance(self.task, StatefulTask):
            tensors |= {TASK + name: tensor for name, tensor in self.task.state_dict().items()}
        return tensors

    def moments(self) -> dict[str, Tensor]:
        """The optimiser's tensors, named ``moments.<parameter>/<what>``."""
        return {
            f"{MOMENTS}{name}/{what}": value
            for name, parameter in self.trained()
            for what, value in self.optimizer.state.get(parameter, {}).items()
        }

    def trained(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters that the optimiser moves."""
        return ((name, parameter) for name, parameter in self.live.named_parameters() if parameter.requires_grad)

    def load(self, tensors: Mapping[str, Tensor], where: str) -> None:
        """Take over ``weights`` and, where they are there, ``moments``.

        Raises:
            ModelError: the tensors are those of another network or task; nothing was changed.
        """
        _check_names(self.weights(), tensors, where)
        self.live.load_state_dict(_part(tensors, LIVE))
        self.average.module.load_state_dict(_part(tensors, AVERAGE))
        if isinstance(self.task, StatefulTask):
            own = {name: value.clone() for name, value in _part(tensors, TASK).items()}  # apart from the mapped file
            self.task.load_state_dict(own)
        self.optimizer.state.clear()
        moments = _part(tensors, MOMENTS)
        for name, parameter in self.trained():
            prefix = f"{name}/"
            found = {key.removeprefix(prefix): value for key, value in moments.items() if key.startswith(prefix)}
            if found:
                self.optimizer.state[parameter] = {what: _like(parameter, value) for what, value in found.items()}


def prepare_state(task: TrainingTask, settings: TrainingSettings, *, seed: int, device: torch.device) -> TrainingState:
    """Modules on the device in the right memory layout, their average, and a fresh optimiser."""
    live = nn.ModuleDict(dict(task.modules()))
    live.to(device)
    if settings.channels_last:
        live.to(memory_format=torch.channels_last)
    if isinstance(task, PlacedTask):
        task.place(device)
    optimizer = torch.optim.AdamW(
        [parameter for parameter in live.parameters() if parameter.requires_grad],
        lr=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=device.type == "cuda",
    )
    average = AveragedWeights(live, settings.ema_decay)
    live.train()
    return TrainingState(task, live, average, optimizer, seed)


def seeded_generator(seed: int, step: int, process: int, device: torch.device) -> torch.Generator:
    """The generator of a step, on the device; the global ones (dropout, say) are seeded alike."""
    number = derive_seed(seed, "global", step, process)
    torch.manual_seed(number)
    np.random.seed(number % 2**32)
    random.seed(number)
    return generator_for(seed, "step", step, process, device=device)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _like(parameter: Tensor, value: Tensor) -> Tensor:
    """Moments share the strides of their parameter (the fused optimiser asks for it); its counter stays a scalar."""
    if value.shape == parameter.shape and value.ndim:
        return torch.empty_like(parameter, requires_grad=False).copy_(value)
    return value.to(parameter.device if parameter.device.type == "cuda" else "cpu", copy=True)


def _check_names(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor], where: str) -> None:
    got = {name: tensor for name, tensor in tensors.items() if not name.startswith(MOMENTS)}
    wrong = sorted(expected.keys() ^ got.keys()) or [
        f"{name} {tuple(got[name].shape)}"
        for name, tensor in expected.items()
        if got[name].shape != tensor.shape and not name.startswith(TASK)
    ]
    if wrong:
        listed = ", ".join(wrong[:4]) + (f" and {len(wrong) - 4} more" if len(wrong) > 4 else "")
        raise ModelError(
            f"{where}: expected the weights of this recipe's network, got others (they differ in {listed}); "
            "choose another --output, or start afresh with --resume never"
        )
