"""The processes of a run and what they exchange: weights once, gradients every step, the wish to stop now and then.

- Gradients are averaged here instead of by ``DistributedDataParallel``, which wraps one module whose ``forward`` is
  called: a task calls its several modules as it likes. One flat bucket costs the overlap of compute and transfer, which
  networks of this size do not need.
- On CPUs start the processes with ``torchrun --nproc-per-node N -m restorekit train ...``; ``accelerate launch --cpu
  --num_processes N`` silently starts one.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from accelerate.utils import broadcast  # type: ignore[import-untyped]
from torch import Tensor, nn

__all__ = ["Processes"]


class Processes:
    """This process among those of the run; alone unless a launcher started several."""

    def __init__(self) -> None:
        on_cpu = not (torch.cuda.is_available() or torch.backends.mps.is_available())
        self._accelerator = Accelerator(cpu=on_cpu)  # not told so, it leaves the processes of torchrun unconnected
        self.count: int = self._accelerator.num_processes
        self.index: int = self._accelerator.process_index
        self.is_first: bool = self._accelerator.is_main_process
        self.device: torch.device = self._accelerator.device

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """The first process runs the block, then the others do."""
        with self._accelerator.main_process_first():
            yield

    def wait(self) -> None:
        """Until all are here."""
        self._accelerator.wait_for_everyone()

    def share_weights(self, module: nn.Module) -> None:
        """Give every process the weights and buffers of the first."""
        if self.count > 1:
            for tensor in (*module.parameters(), *module.buffers()):
                tensor.data.copy_(broadcast(tensor.data.contiguous()))

    def average_gradients(self, module: nn.Module, loss: Tensor) -> Tensor:
        """Replace gradients and floating-point buffers by their mean over the processes; return the mean loss.

        A parameter that one process did not use counts as zero there; one that none used keeps no gradient.
        """
        if self.count == 1:
            return loss
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        buffers = [buffer for buffer in module.buffers() if buffer.is_floating_point()]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        used = torch.tensor([float(p.grad is not None) for p in trained], device=loss.device)
        mean = self._mean([*gradients, *buffers, used, loss.float()])
        for buffer, value in zip(buffers, mean[len(trained) : -2], strict=True):
            buffer.copy_(value)
        for parameter, value, share in zip(trained, mean, mean[-2].tolist(), strict=False):
            parameter.grad = torch.empty_like(parameter).copy_(value) if share else None
        return mean[-1]

    def agree(self, wanted: bool) -> bool:
        """Whether any process wants it; every process must ask at the same step."""
        if self.count == 1:
            return wanted
        votes = self._accelerator.reduce(torch.tensor(float(wanted), device=self.device), reduction="sum")
        return bool(votes > 0)

    def _mean(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The mean of each tensor over the processes, sent as one flat bucket."""
        flat = torch.cat([tensor.detach().flatten() for tensor in tensors])
        mean: Tensor = self._accelerator.reduce(flat, reduction="mean")
        parts = torch.split(mean, [tensor.numel() for tensor in tensors])
        return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]
