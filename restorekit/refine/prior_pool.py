"""Degraded crops, drawn once and kept with what a frozen prior and a frozen base say of them.

A prior belongs to one crop and its noise, so it can only be kept if the crop is: 20,000 of them are enough for a module
of 0.7 million parameters, and training then costs the module alone.

- The pool is a folder beside the decoded photos, named after what it was made of, in shards of some hundred crops. Each
  shard is written whole or not at all; a build that was stopped goes on with the first missing one.
- Clean crops are uint8, degraded and restored ones float16; prior and base see the degraded crop as it is kept.
- Whether prior and base are still those that the pool was made with is seen from a few crops.
"""

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64
from safetensors import safe_open
from torch import Tensor

from restorekit.core.randomness import generator_for
from restorekit.core.weights import load_weights, save_weights
from restorekit.errors import ModelError, RestorekitError
from restorekit.training.batches import Batch, CropBatches

__all__ = ["PooledBatches", "open_prior_pool"]

LAYOUT = 1
"""Version of the shards' layout; a new one makes new pools."""

SHARD_CROPS = 512
"""Crops per shard, about: no more work is lost when a build is stopped."""

SEEN = ("degraded", "view")
"""What prior and base look at: the crop, and where the recipe asks for one a view of its whole photo."""

PROBED = 2  # crops whose prior and restored pixels are computed again when a pool is opened
SAME = 0.02  # largest change of a unit-length prior or of a pixel that rounding explains, bfloat16 included

Extras = Callable[[Batch], Mapping[str, Tensor]]


def open_prior_pool(
    fresh: CropBatches,
    *,
    crops: int,
    folder: Path,
    extras: Extras,
    names: Sequence[str],
    device: torch.device,
    on_note: Callable[[str], None] = lambda _: None,
) -> "PooledBatches":
    """The pool of the first ``crops`` crops of ``fresh``, from the cache as far as it is there.

    Args:
        fresh: where crops come from; each process has its own, and so its own pool.
        crops: at least so many: all shards are of whole batches, and of the same size.
        folder: the cache.
        extras: given degraded crops, what else is kept, by name: "prior" (batch, ...), "restored" like the crops.
        names: whatever ``extras`` depends on, in words.
        device: where ``extras`` computes.
        on_note: told what is built, and how far it is.

    Raises:
        RestorekitError: the cache cannot be written.
    """
    size = fresh.settings.batch_size
    steps = math.ceil(crops / size)
    count = math.ceil(steps * size / SHARD_CROPS)
    per_shard = math.ceil(steps / count)
    place = folder / f"prior-pool-{_key(fresh, steps, names)}"
    shards = [place / f"{number:05d}-of-{count:05d}.safetensors" for number in range(count)]
    if shards[0].is_file() and not _is_current(shards[0], extras, device):
        on_note(f"{place}: made with another prior or base; making it anew")
        shutil.rmtree(place)
    for number, path in enumerate(shards):
        if not path.is_file():
            on_note(f"crops with their prior into {place}: part {number + 1} of {count}")
            start = number * per_shard
            _write(path, _shard(fresh, range(start, start + per_shard), extras, device))
    return PooledBatches(shards, batch_size=size, seed=fresh.seed)


class PooledBatches:
    """``Batches`` from a pool: every crop once in each epoch, in an order that follows from the seed alone.

    A batch holds "clean", "degraded", "choice" as ``CropBatches`` gives them, and what else was kept, all float32.

    Args:
        shards: files of the pool, of as many crops each.
        batch_size: crops per batch.
        seed: of the run.
    """

    def __init__(self, shards: Sequence[Path], *, batch_size: int, seed: int) -> None:
        self.batch_size = batch_size
        self.seed = seed
        self._shards: list[Any] = [safe_open(path, framework="pt") for path in shards]  # mapped, not read
        self._names = list(self._shards[0].keys())
        self._per_shard: int = self._shards[0].get_slice("choice").get_shape()[0]

    def __len__(self) -> int:
        return self._per_shard * len(self._shards)

    def steps(self, start: int, stop: int, *, device: torch.device) -> Iterator[Batch]:
        """The batches of updates ``start + 1`` to ``stop``, on the device."""
        for step in range(start, stop):
            places = self._places(step).tolist()
            rows = {name: torch.stack([self._row(name, place) for place in places]) for name in self._names}
            yield {name: _unpacked(name, row.to(device)) for name, row in rows.items()}

    def _places(self, step: int) -> Int64[Tensor, " batch"]:
        """Numbers of the crops of a step."""
        position = torch.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs, within = (position // len(self)).tolist(), (position % len(self)).tolist()
        orders = {
            epoch: torch.randperm(len(self), generator=generator_for(self.seed, "prior pool", epoch))
            for epoch in set(epochs)
        }
        return torch.stack([orders[epoch][place] for epoch, place in zip(epochs, within, strict=True)])

    def _row(self, name: str, place: int) -> Tensor:
        row: Tensor = self._shards[place // self._per_shard].get_slice(name)[place % self._per_shard]
        return row


def _shard(fresh: CropBatches, steps: range, extras: Extras, device: torch.device) -> dict[str, Tensor]:
    parts: dict[str, list[Tensor]] = {}
    for batch in fresh.steps(steps.start, steps.stop, device=device):
        seen = {name: batch[name].half() for name in SEEN if name in batch}  # what is kept is what prior and base see
        said = extras({**batch, **{name: value.float() for name, value in seen.items()}})
        kept = {**seen, "clean": (batch["clean"] * 255).round().to(torch.uint8), "choice": batch["choice"]}
        kept |= {name: value.half() if name == "restored" else value.float() for name, value in said.items()}
        for name, value in kept.items():
            parts.setdefault(name, []).append(value.cpu())
    return {name: torch.cat(values) for name, values in parts.items()}


def _unpacked(name: str, rows: Tensor) -> Tensor:
    if name == "choice":
        return rows
    return rows.float() / 255 if rows.dtype == torch.uint8 else rows.float()


def _is_current(path: Path, extras: Extras, device: torch.device) -> bool:
    """Whether prior and base still say of some crops what they said when the pool was made."""
    try:
        kept = {name: tensor[:PROBED].to(device) for name, tensor in load_weights(path).items()}
    except ModelError:
        return False
    said = extras({name: _unpacked(name, tensor) for name, tensor in kept.items() if name in (*SEEN, "choice")})
    return all(
        name in kept and kept[name].shape == value.shape and bool(((kept[name].float() - value).abs() < SAME).all())
        for name, value in said.items()
    )


def _key(fresh: CropBatches, steps: int, names: Sequence[str]) -> str:
    """Changes with the number of batches, the photos, how they are cut and degraded, and the names."""
    settings = fresh.settings
    cut = [settings.batch_size, settings.crop_px, settings.view_px, settings.clean_share, *["gray"] * settings.gray]
    cut += [settings.view_share] * (settings.view_share != 1)
    drawn = [fresh.degradation.spec, fresh.pool.path.name]
    text = json.dumps([LAYOUT, steps, *cut, *drawn, fresh.seed, fresh.process, *names])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    try:
        save_weights(path, tensors)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RestorekitError(
            f"{path}: the pool of crops could not be written: {reason}; choose a folder with room by --cache"
        ) from error
