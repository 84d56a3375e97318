"""What a restorer costs: weights, multiply-accumulates, and the memory it holds while it works.

- Weights and MACs are measured, not declared: one more image is restored under observers that see every operation.
- MACs are those of ``torch.utils.flop_counter``: convolutions and matrix products, attention included; all steps,
  tiles and networks of the restorer count, what runs outside of PyTorch does not.
- Memory: on CUDA the peak of PyTorch's allocator; on a Linux CPU how much the process grew at most, libraries'
  workspaces included; elsewhere it is not known.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from restorekit.core.image.tiling import TilingOptions, restore_samples
from restorekit.core.restorer import Restorer

if TYPE_CHECKING:
    pass

__all__ = ["PROBE_PX", "Cost", "measure_cost", "peak_memory"]

PROBE_PX = 256
"""Side of the image that MACs are counted for: what papers of this field use."""


@dataclass(frozen=True)
class Cost:
    """What one answer of a restorer takes; None where there is nothing to count."""

    parameters: int | None
    """Weights that some operation read."""
    parameters_total: int | None
    """Weights held, those of bases and priors included."""
    parameters_prior: int | None
    """Weights held by a prior."""
    macs: int | None
    """For one image of 256x256 px."""


def measure_cost(restorer: Restorer) -> Cost:
    """Restore one image of 256x256 px and watch: patches of random colours with white noise of sigma 25, seed 0.

    A model that chooses among several networks may cost more or less for another image.

    Raises:
        whatever the restorer raises.
    """
    from torch.utils.flop_counter import FlopCounterMode

    generator = np.random.default_rng(0)
    colours = np.kron(generator.random((8, 8, 3), dtype=np.float32), np.ones((PROBE_PX // 8, PROBE_PX // 8, 1)))
    noise = generator.standard_normal(colours.shape, dtype=np.float32)
    samples = np.clip(colours + 25 / 255 * noise, 0, 1).astype(np.float32)
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = _OneModule()  # type: ignore[assignment]
    with counter, _observed() as read:
        restore_samples(restorer, samples, TilingOptions())
    weights, frozen = _weights(restorer), _weights(getattr(restorer, "prior", None))
    used = sum(count for storage, count in weights.items() if storage in read)
    total = sum(weights.values())
    macs = int(counter.get_total_flops()) // 2
    return Cost(used or None, total or None, sum(frozen.values()) or None, macs or None)


class _OneModule:
    """In place of the counter's tracker, whose hooks fail where a restorer takes gradients; only the sum is of use."""

    parents = frozenset({"Global"})

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


@contextmanager
def peak_memory(restorer: Restorer) -> Iterator[Callable[[], int | None]]:
    """Within the block the peak is watched; what is yielded returns it afterwards, in bytes, or None if unknown."""
    import torch

    device = getattr(restorer, "device", None)
    if getattr(device, "type", "") == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield lambda: int(torch.cuda.max_memory_allocated(device))
        return
    reset = _reset_high_water_mark()
    before = psutil.Process().memory_info().rss
    yield lambda: max(0, _high_water_mark() - before) if reset else None


def _reset_high_water_mark() -> bool:
    """Whether Linux now counts this process's peak anew (proc(5), clear_refs)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _high_water_mark() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


@contextmanager
def _observed() -> Iterator[set[int]]:
    """The storages that operations read within the block, by address."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    read: set[int] = set()

    class Observer(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            for leaf in tree_leaves((args, kwargs)):
                if isinstance(leaf, torch.Tensor):
                    read.add(leaf.untyped_storage().data_ptr())
            return func(*args, **(kwargs or {}))

    with Observer():  # type: ignore[no-untyped-call]
        yield read


def _weights(root: object) -> dict[int, int]:
    """Numbers by storage address, of every module that ``root`` and the objects of ours within it hold."""
    import torch

    found: dict[int, int] = {}
    seen: set[int] = set()
    waiting: list[Any] = [root]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, torch.nn.Module):
            found |= {tensor.untyped_storage().data_ptr(): tensor.numel() for tensor in thing.parameters()}
        elif isinstance(thing, Mapping):
            waiting += thing.values()
        elif isinstance(thing, list | tuple):
            waiting += thing
        elif thing is root or type(thing).__module__.startswith("restorekit."):
            waiting += getattr(thing, "__dict__", {}).values()
    return found
