"""What happened in a run, as pictures and a table: the clean estimate over time, its degraded simulation, the losses.

A trace watches a restorer (``ZeroAIRRestorer.on_progress``) while it restores one image, and is then written to a
folder: ``strip.png``, ``curves.png``, ``steps.csv`` and, where there were several samples, ``deviation.png``.
"""

import csv
import io
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from restorekit.core.atomic import write_bytes
from restorekit.errors import UsageError
from restorekit.priors.pixel_diffusion import to_unsigned
from restorekit.zeroair.degradation_model import OneImage
from restorekit.zeroair.large_canvas import degrade_in_pieces
from restorekit.zeroair.restorer import RunProgress

__all__ = ["Trace"]

Picture = npt.NDArray[np.uint8]
"""(height, width, 3), as it is shown."""

LARGEST_PX = 256
"""Longer side of a picture in the strip."""


@dataclass(frozen=True)
class _Moment:
    """One column of the strip."""

    title: str
    pictures: tuple[Picture, ...]


class Trace:
    """A record of the first sample of one image.

    Args:
        columns: moments that the strip shows, evenly spaced over the steps, the last one among them.

    Raises:
        UsageError: fewer than two columns.
    """

    def __init__(self, *, columns: int = 8) -> None:
        if columns < 2:
            raise UsageError(f"columns: expected at least 2, got {columns}")
        self.columns = columns
        self.steps: list[dict[str, float]] = []
        """One row for each step: step, timestep, alpha_bar, guidance (root mean square), and the guidance's scalars."""
        self._moments: list[_Moment] = []
        self._degraded: Picture | None = None

    def __call__(self, progress: RunProgress) -> None:
        """Take note of one step; samples after the first are passed over."""
        if progress.sample > 0:
            return
        report, moment = progress.report, progress.report.moment
        size = math.nan if report.step is None else float(report.step[:1].square().mean().sqrt())
        numbers = {name: float(value) for name, value in report.logs.items()}
        place = {"step": float(moment.step), "timestep": float(moment.timestep), "alpha_bar": moment.alpha_bar}
        self.steps.append(place | {"guidance": size} | numbers)
        if moment.step in self._shown(moment.steps):
            self._degraded = _picture(progress.degraded)
            self._moments.append(_Moment(f"t = {moment.timestep}", tuple(self._pictures(progress))))

    def save(self, folder: Path, *, restored: OneImage | None = None, deviation: OneImage | None = None) -> list[Path]:
        """Write what was seen; returns the files.

        Args:
            folder: made as needed.
            restored: the result, as the last column.
            deviation: of several samples, (1, 3, height, width), in [0, 1].

        Raises:
            UsageError: nothing was seen.
            OSError: the folder cannot be written.
        """
        if not self.steps:
            raise UsageError("trace: expected a run to be watched before it is saved, got none")
        folder.mkdir(parents=True, exist_ok=True)
        files = {"steps.csv": self._table(), "strip.png": self._strip(restored), "curves.png": self._curves()}
        if deviation is not None:
            files["deviation.png"] = _deviation_map(deviation)
        return [write_bytes(folder / name, content) for name, content in files.items()]

    def _shown(self, steps: int) -> set[int]:
        return {round(1 + index * (steps - 1) / (self.columns - 1)) for index in range(self.columns)}

    def _pictures(self, progress: RunProgress) -> "list[Picture]":
        """The clean estimate, what φ makes of it, and the first auxiliary image, if there is one."""
        estimates = to_unsigned(progress.report.estimate[:2])
        with torch.no_grad():
            simulated = degrade_in_pieces(progress.degradation, estimates[:1])
        return [_picture(estimates[:1]), _picture(simulated), *(_picture(image[None]) for image in estimates[1:])]

    def _table(self) -> bytes:
        names = list(dict.fromkeys(name for row in self.steps for name in row))
        stream = io.StringIO(newline="")
        table = csv.DictWriter(stream, names, lineterminator="\n")
        table.writeheader()
        table.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in self.steps)
        return stream.getvalue().encode()

    def _strip(self, restored: OneImage | None) -> bytes:
        assert self._degraded is not None, "the last step is always shown"
        moments = list(self._moments)
        if restored is not None:
            moments.append(_Moment("restored", (_picture(restored), self._degraded)))
        rows = ("clean estimate", "degraded by φ\n(last: the input)", "auxiliary")[: len(moments[0].pictures)]
        ratio = self._degraded.shape[0] / self._degraded.shape[1]
        figure = _figure(1.6 * len(moments) + 1.2, 1.6 * ratio * len(rows) + 0.5)
        grid = figure.subplots(len(rows), len(moments), squeeze=False)
        for column, moment in enumerate(moments):
            grid[0, column].set_title(moment.title, fontsize=8)
            for row in range(len(rows)):
                axes = grid[row, column]
                axes.set_xticks([])
                axes.set_yticks([])
                axes.spines[:].set_visible(False)
                if row < len(moment.pictures):
                    axes.imshow(moment.pictures[row])
        for row, title in enumerate(rows):
            grid[row, 0].set_ylabel(title, fontsize=8)
        return _png(figure)

    def _curves(self) -> bytes:
        """Guidance and losses over the steps, with the stages marked."""
        figure = _figure(8.0, 5.0)
        upper, lower = figure.subplots(2, 1, sharex=True)
        numbers = [row["step"] for row in self.steps]
        upper.plot(numbers, [row["guidance"] for row in self.steps], color="black", label="guidance")
        for name in ("change", "saturated", "distance"):
            if any(name in row for row in self.steps):
                upper.plot(numbers, [row.get(name, math.nan) for row in self.steps], label=name)
        losses = [name for name in self.steps[-1] | self.steps[0] if name not in _NOT_LOSSES]
        for name in losses:
            lower.plot(numbers, [row.get(name, math.nan) for row in self.steps], label=name.replace("_", " "))
        for axes, title in ((upper, "root mean square, share"), (lower, "loss times its weight")):
            axes.set_yscale("log")
            axes.set_ylabel(title)
            axes.grid(alpha=0.25)
            axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
            for step in _borders(self.steps):
                axes.axvline(step, color="0.6", linestyle=":")
        lower.set_xlabel("step; dotted: a new stage")
        return _png(figure)


_NOT_LOSSES = {
    "step",
    "timestep",
    "alpha_bar",
    "guidance",
    "stage",
    "saturated",
    "change",
    "distance",
    "stability",
}


def _borders(steps: Sequence[dict[str, float]]) -> list[float]:
    """The steps at which a stage ends."""
    return [
        after["step"] - 0.5 for before, after in itertools.pairwise(steps) if before.get("stage") != after.get("stage")
    ]


def _picture(image: OneImage) -> Picture:
    """Clamped, and averaged over blocks down to ``LARGEST_PX``."""
    factor = math.ceil(max(image.shape[-2:]) / LARGEST_PX)
    shown = image.detach().float().cpu().clamp(0.0, 1.0)
    small: Tensor = torch.nn.functional.avg_pool2d(shown, factor, ceil_mode=True) if factor > 1 else shown
    return np.asarray((small[0].permute(1, 2, 0) * 255.0).round().to(torch.uint8).numpy())


def _deviation_map(deviation: OneImage) -> bytes:
    """Mean over the colours, in 8-bit grey levels, with a scale."""
    figure = _figure(6.0, 5.0)
    axes = figure.add_subplot()
    shown = axes.imshow(deviation[0].float().cpu().mean(dim=0).numpy() * 255.0, cmap="magma", vmin=0.0)
    axes.set_xticks([])
    axes.set_yticks([])
    figure.colorbar(shown, label="deviation of one sample, in 8-bit grey levels")
    return _png(figure)


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def _png(figure: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()
