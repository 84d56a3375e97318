"""The rows of a comparison, and one row's answer to one photo: what came out, how long it took, what it held."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from restorekit.comparison.cost import peak_memory
from restorekit.comparison.options import ComparisonOptions
from restorekit.comparison.subjects import Subject
from restorekit.core.classical import CLASSICAL
from restorekit.core.guard import restore_guarded
from restorekit.core.image.convention import Images, Samples, to_images
from restorekit.core.image.patches import centred_window
from restorekit.core.image.tiling import TilingOptions
from restorekit.core.randomness import derive_seed
from restorekit.core.restorer import Restorer
from restorekit.errors import RestorekitError, UsageError
from restorekit.report.record import ModelInfo
from restorekit.zoo import load

__all__ = ["ALWAYS", "INPUT", "Answer", "Region", "Row", "build_rows", "centred_region", "reason_of", "restore_row"]

INPUT = "input"
"""The row of the degraded input itself."""

ALWAYS = tuple(CLASSICAL)
"""Short names of the classical restorers that are measured whatever is asked for."""

Region = tuple[slice, slice]


@dataclass(frozen=True)
class Row:
    """One restorer of the comparison; None stands for the degraded input, and for a model that could not be built."""

    info: ModelInfo
    restorer: Restorer | None


@dataclass(frozen=True)
class Answer:
    """What one row made of one photo."""

    restored: Images
    """The measured region."""
    pixels: int
    """How many were restored, measured or not."""
    seconds: float | None = None
    peak_bytes: int | None = None
    warnings: tuple[str, ...] = ()
    """That the restorer ran away, and what was done then; see ``core.guard``."""


def build_rows(models: Sequence[str], options: ComparisonOptions) -> list[Row]:
    """Input, classical rows, then what was asked for; all are built before any work, so that a typo costs nothing.

    A model whose own code raises while it is built keeps its row, which says so.

    Raises:
        UsageError: a model that there is not, options it does not take, a device this machine lacks.
    """
    rows = [Row(ModelInfo(name=INPUT, kind="input", note="the degraded photo itself"), None)]
    asked = dict.fromkeys(models)
    for short in ALWAYS:
        name = f"classical:{short}"
        if name not in asked:
            rows.append(Row(ModelInfo(name=name, kind="classical"), load(name, device="cpu")))
    for name in asked:
        kind: Literal["classical", "model"] = "classical" if name.startswith("classical:") else "model"
        info = ModelInfo(name=name, kind=kind, asked=True)
        try:
            restorer = load(name, device=options.device, precision=options.precision)
        except Exception as error:  # a constructor may run anybody's code
            if isinstance(error, UsageError) and not _raised_by_own_code(name, error):
                raise
            rows.append(Row(info.model_copy(update={"failed": reason_of(name, error)}), None))
        else:
            rows.append(Row(info.model_copy(update={"parameters": getattr(restorer, "parameters", None)}), restorer))
    return rows


def reason_of(model: str, error: Exception) -> str:
    """What was raised, for the model's row."""
    text = str(error) if isinstance(error, RestorekitError) else f"{type(error).__name__}: {error}"
    return text.removeprefix(f"{model}: ") or type(error).__name__


def _raised_by_own_code(model: str, error: UsageError) -> bool:
    """Whether the request was right, and the code behind ``python:`` raised; a module that is absent is a typo."""
    cause = error.__cause__
    if cause is None or not model.startswith("python:"):
        return False
    module = model.removeprefix("python:").partition(":")[0]
    return not (isinstance(cause, ModuleNotFoundError) and f"{module}.".startswith(f"{cause.name}."))


def restore_row(row: Row, subject: Subject, region: Region, options: ComparisonOptions, *, turn: int = 0) -> Answer:
    """The measured region as one row restores it.

    Args:
        row: who restores.
        subject: the photo.
        region: what is measured of it; classical restorers that nobody asked for see nothing else.
        options: seed, tile, device.
        turn: 0 for the run's own seed, 1 for the next one, ...
    """
    inside = subject.degraded[region]
    if row.restorer is None:
        return Answer(to_images(inside), inside.shape[0] * inside.shape[1])
    local = row.info.kind == "classical" and not row.info.asked
    tiling = TilingOptions(tile_px=options.tile_px, seed=derive_seed(options.seed + turn, subject.name))
    samples: Samples = inside if local else subject.degraded
    with peak_memory(row.restorer) as peak:
        started = time.perf_counter()
        found = restore_guarded(row.restorer, samples, tiling, dtype=np.float32)
        seconds = time.perf_counter() - started
    restored = found.samples
    pixels = restored.shape[0] * restored.shape[1]
    return Answer(to_images(restored if local else restored[region]), pixels, seconds, peak(), found.warnings)


def centred_region(height: int, width: int, megapixels: float) -> Region:
    """The centred window of at most ``megapixels`` million px with the image's own shape.

    >>> centred_region(100, 200, 1.0)
    (slice(0, 100, None), slice(0, 200, None))
    """
    scale = min(1.0, (megapixels * 1e6 / (height * width)) ** 0.5)
    return centred_window((height, width), [max(1, int(size * scale)) for size in (height, width)])
