"""The verbs of the Python interface: load, restore, degrade, score, compare.

import restorekit

restorekit.restore("night.jpg", "classical:gamma").save("brighter.jpg")
report = restorekit.compare("sample:coffee", degrade="noise:sigma=25", models=["classical:nlm"])
print(report.table().to_markdown())
"""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

from restorekit.adapt import AnyImage, InMemory, map_image, samples_of
from restorekit.auto import AUTO, AutoModel
from restorekit.comparison import ComparisonOptions, clear_journal, compare_subjects, find_subjects
from restorekit.core.degradation.chain import degrade_images, parse_degradation
from restorekit.core.guard import restore_guarded
from restorekit.core.image.convention import Samples, from_images, to_images
from restorekit.core.image.files import SourceImage
from restorekit.core.image.pairs import list_images, pair_images
from restorekit.core.image.samples import is_sample, sample_file_name
from restorekit.core.image.tiling import TilingOptions
from restorekit.core.metric.base import make_metric
from restorekit.core.metric.protocol import aggregate
from restorekit.core.randomness import derive_seed, generator_for
from restorekit.core.restorer import Restorer
from restorekit.datasets.copies import find_copy, shortfall
from restorekit.datasets.known_sets import find_split
from restorekit.datasets.results import results_with_clean
from restorekit.errors import UsageError
from restorekit.report.record import Report
from restorekit.zoo import DEFAULT_MODEL, load

__all__ = ["Scores", "compare", "degrade", "load", "restore", "score"]


@overload
def restore(
    image: str | Path | SourceImage,
    model: str | Restorer = ...,
    *,
    strength: float = ...,
    seed: int = ...,
    tile_px: int | None = ...,
    device: str = ...,
    precision: str = ...,
    guard: bool = ...,
) -> SourceImage: ...
@overload
def restore(
    image: InMemory,
    model: str | Restorer = ...,
    *,
    strength: float = ...,
    seed: int = ...,
    tile_px: int | None = ...,
    device: str = ...,
    precision: str = ...,
    guard: bool = ...,
) -> InMemory: ...
def restore(
    image: Any,
    model: str | Restorer = DEFAULT_MODEL,
    *,
    strength: float = 1.0,
    seed: int = 0,
    tile_px: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    guard: bool = True,
) -> Any:
    """Restore one image of any kind and size; what comes in as X goes out as X.

    Args:
        image: a path or ``sample:coffee`` (gives a ``SourceImage`` with ``save``), a PIL image, an array
            (height, width[, 1, 3 or 4]) of uint8, uint16 or float in [0, 1], or a float tensor
            ([batch,] 3, height, width) in [0, 1]. Alpha and depth are kept.
        model: a name (see ``restorekit models list``), a loaded restorer, or ``auto``: what ``diagnose`` proposes;
            where it finds nothing wrong, the image comes back as it is.
        strength: 0 gives the input back, 1 the restored image, values between blend them.
        seed: for stochastic restorers; with the file's name it decides all random numbers.
        tile_px: side of a tile in px; chosen from free memory when None.
        device: auto, cpu, cuda, cuda:N or mps; ignored for a loaded restorer.
        precision: auto, float32, bfloat16 or float16; ignored for a loaded restorer.
        guard: keep the input where the model runs away (see ``core.guard``). It says so among the ``warnings`` of a
            ``SourceImage``, and as a Python warning for what is in memory.

    Raises:
        ImageError: the image cannot be read, has another shape, or (auto) is smaller than 32x32 px.
        ModelError: no model of that name.

    >>> import numpy as np
    >>> restore(np.zeros((8, 8, 3), dtype=np.uint8), "classical:median").shape
    (8, 8, 3)
    """
    if not 0.0 <= strength <= 1.0:
        raise UsageError(f"strength: expected 0 to 1, got {strength}")
    options = TilingOptions(tile_px=tile_px, strength=strength, seed=derive_seed(seed, _name_of(image)))
    choose = _chooser(model, device, precision)
    told: list[str] = []

    def apply(samples: Samples) -> Samples:
        restorer = choose(samples)
        if restorer is None:
            return samples
        found = restore_guarded(restorer, samples, options, watched=guard)
        told.extend(found.warnings)
        return found.samples

    restored = map_image(image, apply)
    if isinstance(restored, SourceImage):
        return replace(restored, warnings=(*restored.warnings, *told))
    for line in told:
        warnings.warn(line, stacklevel=2)
    return restored


@overload
def degrade(image: str | Path | SourceImage, spec: str, *, seed: int = ..., name: str | None = ...) -> SourceImage: ...
@overload
def degrade(image: InMemory, spec: str, *, seed: int = ..., name: str | None = ...) -> InMemory: ...
def degrade(image: Any, spec: str, *, seed: int = 0, name: str | None = None) -> Any:
    """Degrade one image of any kind, reproducibly; what comes in as X goes out as X.

    Args:
        image: as for ``restore``.
        spec: such as ``noise:sigma=25+jpeg:quality=40``; see ``restorekit degrade --help``.
        seed: with ``name`` it decides all random numbers.
        name: of the image; the file's name when None.

    Raises:
        SpecError: the spec cannot be read.
    """
    degradation = parse_degradation(spec)
    generator = generator_for(seed, _name_of(image) if name is None else name)

    def apply(samples: Samples) -> Samples:
        degraded, _ = degrade_images(to_images(samples), degradation, generator=generator)
        return from_images(degraded, samples.dtype, channels=samples.shape[2])

    return map_image(image, apply)


@dataclass(frozen=True)
class Scores:
    """Scores of one or many images under one protocol each."""

    images: Mapping[str, Mapping[str, float]]
    """Value by image name, then by metric address such as ``psnr[rgb|per-image|u8|crop0]``."""
    mean: Mapping[str, float]
    """Over the images, as each address's averaging says; by metric address."""


def score(
    restored: AnyImage,
    clean: AnyImage | None = None,
    metrics: Sequence[str] = (),
    *,
    preset: str | None = None,
    dataset: str | None = None,
    on_image: Callable[[str], None] | None = None,
) -> Scores:
    """Measure an image, or a folder of images, against its reference.

    Args:
        restored: one image of any kind, or a folder.
        clean: the reference of the same kind, with the same names in a folder; None for metrics without reference.
        metrics: names or full addresses, such as ``psnr`` or ``psnr[y-studio|crop4]``; PSNR and SSIM when empty, or
            the protocol of ``dataset``.
        preset: a field's protocol, such as ``kair`` or ``basicsr-y``.
        dataset: a known set such as ``lol-v1:test``; ``clean`` is then the folder where it lies, and ``restored`` one
            of results that are named as the set's inputs.
        on_image: called before each image with its name.

    Raises:
        UsageError: a metric needs a reference, names do not match.
        SpecError: no such metric or protocol.
    """
    pairs: Iterable[tuple[str, AnyImage, AnyImage | None]]
    pairs, protocol = _results_on(dataset, restored, clean) if dataset else (_matched(restored, clean), ())
    texts = metrics or (not preset and protocol) or ("psnr", "ssim")
    chosen = [make_metric(text, preset=preset) for text in texts]
    needing = [metric.address for metric in chosen if metric.needs_reference and clean is None]
    if needing:
        raise UsageError(f"score: expected a clean reference for {', '.join(needing)}, got none")
    images: dict[str, dict[str, float]] = {}
    for name, restored_one, clean_one in pairs:
        if on_image:
            on_image(name)
        pair = [None if image is None else to_images(samples_of(image)) for image in (restored_one, clean_one)]
        assert pair[0] is not None
        images[name] = {metric.address: float(metric.score(pair[0], pair[1])) for metric in chosen}
    mean = {
        metric.address: aggregate([values[metric.address] for values in images.values()], metric.protocol)
        for metric in chosen
    }
    return Scores(images, mean)


def compare(
    inputs: str | Path | Sequence[str | Path],
    *,
    clean: str | Path | None = None,
    degrade: str | None = None,
    dataset: str | None = None,
    models: Sequence[str] = (),
    output: str | Path | None = None,
    options: ComparisonOptions | None = None,
    on_step: Callable[[str, str], None] | None = None,
) -> Report:
    """Restore the same photos with several restorers and measure them side by side.

    Args:
        inputs: photos, folders or ``sample:`` names. They are degraded photos, unless ``degrade`` is given.
        clean: the reference, or a folder of references with the same names.
        degrade: a spec; ``inputs`` are then clean photos that are degraded here.
        dataset: a known set such as ``lol-v1:test`` (see ``restorekit data list``); ``inputs`` is then the folder where
            it lies, or a folder of data sets. Its pairs are compared, or with ``degrade`` its clean photos; under the
            protocol of its papers unless ``options`` name metrics or a preset.
        models: restorers to compare, besides the degraded input and the classical rows, which are always there.
        output: folder for table.md, scores.csv, report.json, sheet.png and index.html; nothing is written when None. An
            interrupted comparison goes on there.
        options: metrics, protocol, device, seed and region.
        on_step: called before each restoration with (image, model).

    Raises:
        UsageError: ``clean`` beside ``degrade`` or ``dataset``, unmatched names, unknown models or metrics; the set is
            not there.
    """
    options = options or ComparisonOptions()
    keep = options.journal is not None
    if output is not None and not keep:
        options = replace(options, journal=Path(output))
    paths = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    if dataset is not None and not (options.metrics or options.preset):
        options = replace(options, metrics=find_split(dataset)[0].protocol)
    chosen: dict[str, Any] = {"clean": clean, "degrade": degrade, "dataset": dataset}
    subjects = find_subjects(paths, **chosen, seed=options.seed, photos=options.photos)
    report = compare_subjects(subjects, models, options, degradation=degrade, on_step=on_step)
    if dataset is not None and (short := shortfall(find_copy(paths[0], dataset))):
        report = report.model_copy(update={"notes": (*report.notes, short)})
    if output is not None:
        report.save(Path(output))
        if not keep:
            clear_journal(Path(output))
    return report


def _chooser(model: str | Restorer, device: str, precision: str) -> Callable[[Samples], Restorer | None]:
    """What restores an image, or None where nothing is wrong with it."""
    if model == AUTO:
        return AutoModel(device=device, precision=precision).choose
    restorer = load(model, device=device, precision=precision) if isinstance(model, str) else model
    return lambda _: restorer


def _name_of(image: Any) -> str:
    """The name that seeds are derived from: the same one that the commands use for a single file."""
    if isinstance(image, SourceImage):
        image = image.record.name
    if not isinstance(image, str | Path):
        return ""
    return sample_file_name(str(image)) if is_sample(str(image)) else Path(image).name


def _matched(restored: AnyImage, clean: AnyImage | None) -> list[tuple[str, AnyImage, AnyImage | None]]:
    """Names with restored and clean images: one pair, or the pairs of two folders."""
    if isinstance(restored, str | Path) and (clean is None or isinstance(clean, str | Path)):
        if clean is None:
            return [(entry.name, entry.path, None) for entry in list_images([restored])]
        return [(pair.name, pair.degraded, pair.clean) for pair in pair_images(restored, clean)]
    return [(_name_of(restored) or "image", restored, clean)]


def _results_on(
    dataset: str, restored: AnyImage, data: AnyImage | None
) -> tuple[Iterable[tuple[str, AnyImage, AnyImage | None]], Sequence[str]]:
    """Names, results and clean images of a known set, and its protocol."""
    if not (isinstance(restored, str | Path) and isinstance(data, str | Path)):
        raise UsageError(f"score: expected a folder of results, and the folder that holds {dataset}; give two paths")
    located = find_copy(data, dataset)
    return results_with_clean(located, restored), located.dataset.protocol
