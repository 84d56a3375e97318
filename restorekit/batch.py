"""Photos in, photos out: one bad file never stops the run, a second run does only what is left.

- Reading the next photo and writing the last one overlap with restoring this one.
- ``restorekit.jsonl`` in the output folder records every photo with the settings' hash: the same command again skips
  what is done and unchanged, retries what failed, and redoes what was made with other settings.
- A photo whose restorer ran away keeps its input (see ``core.guard``); with a model for each photo (``auto``), so does
  one with nothing wrong. The record says so, and which model restored which photo.
- ``shard=(i, n)`` takes the photos whose name hashes to i: n machines share a folder without talking to each other.
"""

import dataclasses
import hashlib
import itertools
import json
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from restorekit import __version__
from restorekit.auto import AutoModel
from restorekit.core.guard import Guarded, restore_guarded
from restorekit.core.image.convention import convert_depth
from restorekit.core.image.files import DEFAULT_MAX_MEGAPIXELS, IMAGE_SUFFIXES, SourceImage, read_image
from restorekit.core.image.pairs import NamedInput
from restorekit.core.image.tiling import TilingOptions
from restorekit.core.randomness import derive_seed
from restorekit.core.restorer import Restorer
from restorekit.errors import RestorekitError, UsageError
from restorekit.manifest import MANIFEST, Manifest

__all__ = [
    "MANIFEST",
    "BatchOptions",
    "Outcome",
    "Restored",
    "is_file_target",
    "output_path",
    "restore_files",
    "restore_source",
]

OVERLAP_MEGAPIXELS = 32.0  # above this one photo fills memory and time alone: nothing is read ahead


@dataclass(frozen=True)
class BatchOptions:
    """How photos are restored and written."""

    model: str
    """What identifies the model, such as ``zoo.model_identity`` gives; part of the settings' hash."""
    strength: float = 1.0
    """0 keeps the input, 1 the restored photo."""
    seed: int = 0
    tile_px: int | None = None
    """Side of a tile in px; chosen from free memory when None."""
    depth: Literal["same", "8", "16"] = "same"
    """Bits of a sample in the output."""
    suffix: str | None = None
    """Format of the output, such as ``.png``; that of the input when None."""
    quality: int | None = None
    """JPEG and lossy WebP quality, 1 to 100."""
    drop_alpha: bool = False
    overwrite: bool = False
    """Redo photos that the manifest says are done."""
    shard: tuple[int, int] = (0, 1)
    """(index, count)."""
    max_megapixels: float = DEFAULT_MAX_MEGAPIXELS
    guard: bool = True
    """Whether the input is kept where a restorer runs away."""

    @property
    def settings_hash(self) -> str:
        """Changes when anything that changes the output's pixels or format does."""
        neutral: dict[str, Any] = {"overwrite": False, "shard": (0, 1), "max_megapixels": 0.0}
        text = json.dumps([__version__, dataclasses.asdict(dataclasses.replace(self, **neutral))])
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Outcome:
    """What became of one photo."""

    name: str
    status: Literal["restored", "kept", "skipped", "failed"]
    """kept: the output holds the input's own pixels; ``warnings`` say why, unless nothing was wrong with the photo."""
    output: Path | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    megapixels: float = 0.0
    model: str | None = None
    """What restored it; "none" where nothing was wrong with it; None where nothing was tried."""

    def as_record(self) -> dict[str, Any]:
        """For JSON: plain types only."""
        record = dataclasses.asdict(self)
        return record | {"output": str(self.output) if self.output else None, "warnings": list(self.warnings)}


@dataclass(frozen=True)
class Restored:
    """One photo, restored in memory."""

    image: SourceImage
    model: str
    """The restorer's name, or "none"."""
    kept: bool
    """Whether the pixels are those of the input."""


def restore_source(
    restorer: Restorer | AutoModel,
    source: SourceImage,
    name: str,
    options: BatchOptions,
    *,
    on_tile: Callable[[int, int], None] | None = None,
) -> Restored:
    """Restore one decoded photo; alpha is kept apart untouched, the record travels along.

    Args:
        name: with ``options.seed`` it decides the random numbers of a stochastic restorer.
    """
    dtype = {"same": source.samples.dtype, "8": np.dtype(np.uint8), "16": np.dtype(np.uint16)}[options.depth]
    tiling = TilingOptions(options.tile_px, options.strength, derive_seed(options.seed, name), on_tile)
    chosen = restorer.choose(source.samples) if isinstance(restorer, AutoModel) else restorer
    if chosen is None:
        found = Guarded(convert_depth(source.samples, dtype), kept=True)
    else:
        found = restore_guarded(chosen, source.samples, tiling, dtype=dtype, watched=options.guard)
    alpha = None if source.alpha is None or options.drop_alpha else convert_depth(source.alpha, dtype)
    warnings = (*source.warnings, *found.warnings)
    image = dataclasses.replace(source, samples=found.samples, alpha=alpha, warnings=warnings)
    return Restored(image, chosen.name if chosen else "none", found.kept)


def restore_files(
    restorer: Restorer | AutoModel,
    inputs: Sequence[NamedInput],
    output: Path,
    options: BatchOptions,
    *,
    on_tile: Callable[[int, int], None] | None = None,
) -> Iterator[Outcome]:
    """Restore photos one after the other; yields what became of each: first what is skipped, then the rest in order.

    Args:
        restorer: any restorer, the tiler gives it what it asks for; or one that is chosen for each photo.
        inputs: named photos; the name decides the output's place and the seed.
        output: a folder, or a file name with an image suffix when there is one input.
        options: see ``BatchOptions``.
        on_tile: called after each tile with (tiles done, tiles in all) of the photo at hand.

    Raises:
        UsageError: two outputs would be the same file, an output would replace an input, or no folder can be made.
    """
    tasks = _plan(inputs, output, options)
    _make_folder(output.parent if is_file_target(output, len(inputs)) else output)
    manifest = None if is_file_target(output, len(inputs)) else Manifest(output / MANIFEST, options.settings_hash)
    todo = []
    for task in tasks:
        if manifest and not options.overwrite and manifest.has(task.name, task.path, task.target):
            yield Outcome(task.name, "skipped", task.target)
        else:
            todo.append(task)
    with ThreadPoolExecutor(max_workers=1) as reader, ThreadPoolExecutor(max_workers=1) as writer:
        writing: deque[tuple[_Task, Future[Outcome]]] = deque()
        for task, source in _read_ahead(reader, todo, options.max_megapixels):
            writing.append((task, _restore_and_submit(writer, restorer, task, source, options, on_tile)))
            while len(writing) > int(_may_overlap(source)):
                yield _settle(*writing.popleft(), manifest)
        while writing:
            yield _settle(*writing.popleft(), manifest)


def _make_folder(folder: Path) -> None:
    """Made before any work, so that hours of it are not in vain."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"-o {folder}: expected a folder that can be written, got: {error.strerror}") from None


def output_path(entry: NamedInput, output: Path, suffix: str | None, count: int) -> Path:
    """Where a photo goes: the file named, or its own relative name inside the output folder."""
    if is_file_target(output, count):
        return output
    name = Path(entry.name)
    return output / (name.with_suffix(suffix) if suffix else name)


def is_file_target(output: Path, count: int) -> bool:
    """One input and an image suffix mean a file; everything else means a folder."""
    return count == 1 and output.suffix.lower() in IMAGE_SUFFIXES and not output.is_dir()


@dataclass(frozen=True)
class _Task:
    """One photo's way through the run."""

    name: str
    path: Path
    target: Path


def _plan(inputs: Sequence[NamedInput], output: Path, options: BatchOptions) -> list[_Task]:
    """The tasks of this shard, after checking that no output hits another output or an input."""
    tasks = [_Task(entry.name, entry.path, output_path(entry, output, options.suffix, len(inputs))) for entry in inputs]
    sources = {task.path.resolve() for task in tasks}
    replaced = [task.name for task in tasks if task.target.resolve() in sources]
    if replaced:
        raise UsageError(f"-o {output}: expected another place than the input's, got {', '.join(replaced[:5])} itself")
    counts = Counter(task.target.resolve() for task in tasks)
    clashes = [str(target) for target, count in counts.items() if count > 1]
    if clashes:
        raise UsageError(f"-o {output}: expected one output for each input, got several for {', '.join(clashes[:5])}")
    index, count = options.shard
    return [task for task in tasks if derive_seed(0, task.name) % count == index]


def _read_ahead(
    pool: ThreadPoolExecutor, tasks: Sequence[_Task], max_megapixels: float
) -> Iterator[tuple[_Task, SourceImage | BaseException]]:
    """Each task with its photo or the error of reading it; the next photo is read meanwhile."""
    reading: Future[SourceImage] | None = None
    for task, following in itertools.zip_longest(tasks, tasks[1:]):
        current = reading or pool.submit(read_image, task.path, max_megapixels=max_megapixels)
        source = current.exception() or current.result()
        reading = None
        if following and _may_overlap(source):
            reading = pool.submit(read_image, following.path, max_megapixels=max_megapixels)
        yield task, source


def _may_overlap(source: SourceImage | BaseException) -> bool:
    """A very large photo fills memory and time alone; beside it nothing is read ahead or written behind."""
    return not isinstance(source, SourceImage) or source.height * source.width < OVERLAP_MEGAPIXELS * 1e6


def _restore_and_submit(
    writer: ThreadPoolExecutor,
    restorer: Restorer | AutoModel,
    task: _Task,
    source: SourceImage | BaseException,
    options: BatchOptions,
    on_tile: Callable[[int, int], None] | None,
) -> Future[Outcome]:
    """Restore here, write in the background; an expected failure becomes the photo's outcome."""
    started = time.perf_counter()
    try:
        if isinstance(source, BaseException):
            raise source
        restored = restore_source(restorer, source, task.name, options, on_tile=on_tile)
    except (RestorekitError, OSError) as error:
        failed: Future[Outcome] = Future()
        failed.set_result(Outcome(task.name, "failed", error=str(error)))
        return failed
    seconds = time.perf_counter() - started
    return writer.submit(_write, restored, task, options.quality, seconds)


def _write(restored: Restored, task: _Task, quality: int | None, seconds: float) -> Outcome:
    image = restored.image
    try:
        warnings = image.save(task.target, quality=quality)
    except (RestorekitError, OSError) as error:
        return Outcome(task.name, "failed", error=str(error))
    return Outcome(
        task.name,
        "kept" if restored.kept else "restored",
        task.target,
        warnings=(*image.warnings, *warnings),
        seconds=seconds,
        megapixels=image.height * image.width / 1e6,
        model=restored.model,
    )


def _settle(task: _Task, writing: Future[Outcome], manifest: Manifest | None) -> Outcome:
    outcome = writing.result()
    if manifest:
        manifest.add(task.path, outcome.as_record())
    return outcome
