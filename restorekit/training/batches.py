"""Batches of clean and degraded crops: the batch of a step is a function of (seed, step, process) and nothing else.

- A resumed run, another number of workers, or a slower disk therefore gives the same batches.
- Photos are decoded once (``pool``); a batch costs the copying of its crops and the degradation, drawn per crop.
"""

import os
import signal
from collections.abc import Iterator, Mapping
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from restorekit.core.degradation.base import Degradation, Params
from restorekit.core.image.convention import Images
from restorekit.core.randomness import generator_for
from restorekit.errors import UsageError
from restorekit.training.pool import PhotoPool
from restorekit.training.settings import TrainingSettings

__all__ = ["Batch", "Batches", "CropBatches", "gray_pixels"]

Batch = Mapping[str, Tensor]
Pixels = npt.NDArray[np.uint8]


@runtime_checkable
class Batches(Protocol):
    """What the loop asks of its data."""

    def steps(self, start: int, stop: int, *, device: torch.device) -> Iterator[Batch]:
        """The batches of updates ``start + 1`` to ``stop``, on the device."""
        ...


class CropBatches(Dataset[dict[str, Tensor]]):
    """Random crops of a pool, turned, mirrored and degraded.

    A scale is chosen, each equally likely, then a crop uniformly among all positions in all photos at that scale, then
    one of the 8 symmetries of the square. A batch holds

    - ``clean``: (batch, 3, crop, crop) float32 in [0, 1]; ``degraded``: the same shape, as the degradation leaves it;
    - ``choice``: (batch,) int64, which alternative of a mixture ``a|b|c`` was applied, -1 where the crop stayed clean;
      all 0 for a degradation that is no mixture;
    - ``view``, if ``settings.view_px`` is not 0: (batch, 3, view, view), the whole photo that each crop is from, or a
      random window of it (``settings.view_share``), area averaged to a square, then degraded with the same parameters:
      what a survey of the photo would see.

    Args:
        pool: decoded photos, at the settings' scales.
        degradation: drawn for every crop.
        settings: ``batch_size``, ``crop_px``, ``gray``, ``clean_share``, ``view_px``, ``workers``, ``degrade_in``.
        seed: of the run.
        process: number of this process, from 0; each sees other crops.

    Raises:
        UsageError: no photo at some scale is as large as a crop.
    """

    def __init__(
        self, pool: PhotoPool, degradation: Degradation, settings: TrainingSettings, seed: int, *, process: int = 0
    ) -> None:
        self.pool = pool
        self.degradation = degradation
        self.settings = settings
        self.seed = seed
        self.process = process
        self._scales = _positions(pool, settings.crop_px)
        self._thumbnails = _Thumbnails(pool, settings) if settings.view_px else None
        self._degrade_early = settings.degrade_in == "workers"

    def steps(self, start: int, stop: int, *, device: torch.device) -> Iterator[Batch]:
        """The batches of updates ``start + 1`` to ``stop``, on the device."""
        choice = self.settings.degrade_in
        self._degrade_early = choice == "workers" or (choice == "auto" and device.type == "cpu")
        pinned = device.type == "cuda"
        loader: DataLoader[dict[str, Tensor]] = DataLoader(
            self,
            batch_size=None,
            sampler=range(start, stop),
            num_workers=_workers(self.settings.workers, device),
            pin_memory=pinned,
            worker_init_fn=_leave_interrupts_to_the_loop,
        )
        for step, batch in zip(range(start, stop), loader, strict=True):
            yield self._finished(step, {name: part.to(device, non_blocking=pinned) for name, part in batch.items()})

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        """The crops of a step as uint8, and degraded ones if that is done where crops are cut."""
        parts = self._cut(step)
        return parts | (self._degraded(step, parts) if self._degrade_early else {})

    def _finished(self, step: int, parts: dict[str, Tensor]) -> Batch:
        if "degraded" not in parts:
            parts = parts | self._degraded(step, parts)
        params, kept_clean = self._draw(step)
        choice = params.get("choice", torch.zeros(len(kept_clean), dtype=torch.int64)).masked_fill(kept_clean, -1)
        images = {name: parts[name] for name in ("degraded", "view") if name in parts}
        return {"clean": _unit(parts["crops"]), "choice": choice.to(parts["crops"].device)} | images

    def _cut(self, step: int) -> dict[str, UInt8[Tensor, "batch 3 height width"]]:
        size, count = self.settings.crop_px, self.settings.batch_size
        generator = generator_for(self.seed, "crops", step, self.process)
        scales = torch.randint(0, len(self._scales), (count,), generator=generator).tolist()
        places = torch.rand(count, dtype=torch.float64, generator=generator).tolist()
        symmetries = torch.randint(0, 8, (count,), generator=generator).tolist()
        crops = np.empty((count, size, size, 3), np.uint8)
        photos = []
        for crop, scale, place, symmetry in zip(crops, scales, places, symmetries, strict=True):
            view, top, left = self._scales[scale].at(place)
            pixels = self.pool.pixels(view)[top : top + size, left : left + size]
            pixels = np.rot90(pixels, symmetry % 4)
            crop[:] = self._coloured(pixels[:, ::-1] if symmetry >= 4 else pixels)
            photos.append(self.pool.views[view].name)
        parts = {"crops": torch.from_numpy(crops).permute(0, 3, 1, 2)}
        if self._thumbnails is not None:
            windows = generator_for(self.seed, "views", step, self.process)
            thumbnails = np.stack([self._coloured(self._thumbnails.of(name, windows)) for name in photos])
            parts["thumbnails"] = torch.from_numpy(thumbnails).permute(0, 3, 1, 2)
        return parts

    def _coloured(self, pixels: Pixels) -> Pixels:
        return gray_pixels(pixels) if self.settings.gray else pixels

    def _degraded(self, step: int, parts: Mapping[str, Tensor]) -> dict[str, Images]:
        degraded = {"degraded": self._degrade(step, _unit(parts["crops"]))}
        return degraded | ({"view": self._degrade(step, _unit(parts["thumbnails"]))} if "thumbnails" in parts else {})

    def _degrade(self, step: int, clean: Images) -> Images:
        params, kept_clean = self._draw(step)
        degraded = self.degradation.apply(clean, params)
        return torch.where(kept_clean.to(clean.device)[:, None, None, None], clean, degraded)

    def _draw(self, step: int) -> tuple[Params, Tensor]:
        """Drawn anew wherever it is needed: cheaper than to send it between processes."""
        generator = generator_for(self.seed, "degradation", step, self.process)
        kept_clean = torch.rand(self.settings.batch_size, generator=generator) < self.settings.clean_share
        return self.degradation.draw(self.settings.batch_size, generator=generator), kept_clean


def gray_pixels(pixels: Pixels) -> Pixels:
    """BT.601 luma in each of three planes, (height, width, 3)."""
    luma = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
    return np.repeat(luma[:, :, None], 3, axis=2).astype(np.uint8, copy=False)


class _Positions:
    """All positions of a crop in the views of one scale, numbered."""

    def __init__(self, pool: PhotoPool, views: list[int], crop_px: int) -> None:
        self._views = views
        self._columns = [pool.views[index].width - crop_px + 1 for index in views]
        rows = [pool.views[index].height - crop_px + 1 for index in views]
        self._ends = np.cumsum(np.array(rows, np.int64) * np.array(self._columns, np.int64))

    def at(self, place: float) -> tuple[int, int, int]:
        """View, top and left of the position at a share ``place`` in [0, 1) of all."""
        number = int(place * int(self._ends[-1]))
        index = int(np.searchsorted(self._ends, number, side="right"))
        within = number - (int(self._ends[index - 1]) if index else 0)
        top, left = divmod(within, self._columns[index])
        return self._views[index], top, left


def _positions(pool: PhotoPool, crop_px: int) -> list[_Positions]:
    positions = []
    for scale in sorted({view.scale for view in pool.views}):
        sized = [(i, min(v.height, v.width)) for i, v in enumerate(pool.views) if v.scale == scale]
        fitting = [index for index, side in sized if side >= crop_px]
        if not fitting:
            raise UsageError(
                f"training.crop_px: expected at most {max(side for _, side in sized)}, the largest shorter side of the "
                f"photos at scale {scale:g}, got {crop_px}; lower it or leave out that scale"
            )
        positions.append(_Positions(pool, fitting, crop_px))
    return positions


class _Thumbnails:
    """Square views of photos, by name; made from the smallest view of each in the pool.

    The few hundred photos of a pool are soon known by heart: how light each one is, say. Random windows are not.
    """

    def __init__(self, pool: PhotoPool, settings: TrainingSettings) -> None:
        smallest = sorted(range(len(pool.views)), key=lambda index: -pool.views[index].scale)
        self._pool = pool
        self._least = settings.view_share
        self._size = (settings.view_px, settings.view_px)
        self._views = {pool.views[index].name: index for index in smallest}
        self._wholes = {} if self._least < 1 else {name: self._square(self._whole(name)) for name in self._views}

    def of(self, name: str, generator: torch.Generator) -> Pixels:
        """The whole photo, or a window of it, of a random size at a random place."""
        if self._wholes:
            return self._wholes[name]
        photo = self._whole(name)
        cuts = []
        for length, (size, place) in zip(photo.shape, torch.rand(2, 2, generator=generator).tolist(), strict=False):
            side = max(1, round(length * (self._least + (1 - self._least) * size)))
            start = round((length - side) * place)
            cuts.append(slice(start, start + side))
        return self._square(photo[tuple(cuts)])

    def _whole(self, name: str) -> Pixels:
        return self._pool.pixels(self._views[name])

    def _square(self, pixels: Pixels) -> Pixels:
        return cv2.resize(pixels, self._size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _workers(wanted: int | None, device: torch.device) -> int:
    """On a CPU the workers would take the cores that the network computes on.

    Measured on 2 cores, 32 crops of 64 px under one of seven degradations: 54 batches per second in the loop, 39 by one
    worker, 54 by two; a step of a small network takes 0.4 s.
    """
    if wanted is not None:
        return wanted
    return 0 if device.type == "cpu" else min(8, max(1, (os.cpu_count() or 1) - 1))


def _leave_interrupts_to_the_loop(_: int) -> None:
    """Ctrl-C reaches the workers too; the loop still needs the batch it waits for, to stop in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _unit(crops: Tensor) -> Images:
    return crops.float() / 255
