"""The queue of negatives: a ring of codes of past images, newest over oldest.

He et al. 2020, MoCo (arXiv:1911.05722), section 3.2.

- Rows are codes, so the logits of a batch are one product with ``query @ codes.T`` and a batch enters by slices.
- Any batch size goes with any length: a batch that reaches the end goes on at the start.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from restorekit.constyle.encoder import CODE_SIZE, Code
from restorekit.errors import ModelError

__all__ = ["Codes", "Queue"]

Codes = Float[Tensor, "count 128"]
"""Codes of past images."""


class Queue:
    """A ring of ``length`` codes that starts as Gaussian noise.

    Args:
        length: codes kept, K in the paper.
        unit: give the noise unit length, for codes of unit length.
        generator: of the noise, on the CPU; None: torch's global one.

    Differs from the authors' code: theirs raises an error unless the batch size divides the length.
    """

    def __init__(self, length: int, *, unit: bool, generator: torch.Generator | None = None) -> None:
        codes = torch.randn(length, CODE_SIZE, generator=generator)
        self.codes: Codes = torch.nn.functional.normalize(codes) if unit else codes
        self.pointer = 0
        """The slot that is overwritten next, which holds the oldest code."""
        self.filled = 0
        """Slots that hold a code instead of noise; they are the first ones."""

    def enqueue(self, codes: Code) -> None:
        """Overwrite the oldest codes. Of a batch longer than the queue the last codes stay."""
        length = len(self.codes)
        self.filled = min(self.filled + len(codes), length)
        skipped = max(len(codes) - length, 0)
        start, kept = (self.pointer + skipped) % length, codes[skipped:].detach().to(self.codes)
        first = min(len(kept), length - start)
        self.codes[start : start + first] = kept[:first]
        self.codes[: len(kept) - first] = kept[first:]
        self.pointer = (start + len(kept)) % length

    def known(self) -> Codes:
        """The codes without the noise, in the order of their slots: a view, to be used before the next ``enqueue``."""
        return self.codes[: self.filled]

    def oldest(self, count: int, *, skip: int = 0) -> Codes:
        """A copy of ``count`` slots, from ``skip`` after the oldest; noise where nothing was enqueued yet."""
        slots = torch.arange(self.pointer + skip, self.pointer + skip + count, device=self.codes.device)
        return self.codes[slots % len(self.codes)]

    def to(self, device: torch.device) -> "Queue":
        """This queue, moved."""
        self.codes = self.codes.to(device)
        return self

    def state_dict(self) -> dict[str, Tensor]:
        """All of it, bit for bit."""
        return {
            "codes": self.codes,
            "pointer": torch.tensor(self.pointer),
            "filled": torch.tensor(self.filled),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over what ``state_dict`` gave.

        Raises:
            ModelError: the codes are of another length or size; nothing was changed.
        """
        expected, got = tuple(self.codes.shape), tuple(state["codes"].shape)
        if expected != got:
            raise ModelError(
                f"queue: expected {expected[0]} codes of {expected[1]} values, got shape {got}; set queue_size to that "
                "of the checkpoint, or start afresh with --resume never"
            )
        self.codes.copy_(state["codes"])
        self.pointer, self.filled = int(state["pointer"]), int(state["filled"])
