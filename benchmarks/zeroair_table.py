"""ZeroAIR's presets beside classical restorers, ``base`` and GDP, on noise, haze and low light, all with one prior.

    python benchmarks/zeroair_table.py --photos FOLDER [--count 4] [--side 128] [--reference-count 1] [--json FILE.json]

- The centres of ``--count`` photos, evenly spaced in the folder; the degradation of a photo comes from (0, its name).
- Every restorer is told the image alone, but for the ``reference`` rows: the authors' settings were chosen for each
  degradation, and each is run on its own. GDP is ours in its frame (``zeroair.presets``).
- The feature losses of ``reference`` need VGG-16: ``--vgg16 FILE``; else their weights are 0, and the row says so.
- The mean is over photos; the deviation is that of this mean from seed to seed. PSNR with corrected colours is that of
  the image after the 3x4 colour matrix that brings it nearest to the clean one: what is left is no luck with colours.
- Evaluations count images that the diffusion model sees for one photo, without the pool of ``blind``, which is made
  once. Seconds are the median, for the same reason; only their ratios mean something on a busy machine.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from results import Run

import restorekit
from restorekit.core.image.convention import Images, to_images
from restorekit.core.image.files import read_image
from restorekit.core.image.pairs import evenly_spaced, list_images
from restorekit.core.image.patches import centred_window
from restorekit.errors import RestorekitError
from restorekit.zeroair.presets import PRESETS
from restorekit.zeroair.restorer import RunProgress, ZeroAIRRestorer

__all__ = ["DEGRADATIONS", "METRICS", "Degradation", "Photo", "Row", "Subject", "main", "measure", "to_markdown"]


@dataclass(frozen=True)
class Degradation:
    """A block of the table."""

    spec: str
    reference: str
    """The preset of the authors for it."""


DEGRADATIONS = {
    "white noise sigma 30": Degradation("noise:sigma=30,clip=0", "reference-denoise"),
    "haze": Degradation("haze", "reference-dehaze"),
    "low light": Degradation("low_light", "reference-low-light"),
}

METRICS = {
    "psnr": "psnr[rgb|per-image|u8|crop0]",
    "psnr_affine": "psnr-affine[rgb|per-image|u8|crop0]",
    "ssim": "ssim[rgb|per-image|u8|crop0|gauss11]",
    "lpips": "lpips",
}
"""Column to address; one that cannot be computed here, as LPIPS without its weights, is left open."""

CLASSICAL = ("nlm", "dcp", "gamma")


@dataclass(frozen=True)
class Photo:
    """A clean image and what was made of it, (1, 3, side, side)."""

    name: str
    clean: Images
    degraded: Images


@dataclass(frozen=True)
class Subject:
    """One row to be measured."""

    name: str
    restore: Callable[[Images, int], tuple[Images, int]]
    """Degraded image and seed to restored image and evaluations."""
    seeds: int = 1
    photos: int | None = None
    """The first so many alone; None: all."""


@dataclass
class Row:
    """One restorer on one degradation; a list of photos for each seed."""

    degradation: str
    name: str
    scores: dict[str, list[list[float]]] = field(default_factory=dict)
    """By column of ``METRICS``."""
    seconds: list[list[float]] = field(default_factory=list)
    evaluations: int = 0
    """Of the diffusion model, for one photo."""
    note: str = ""
    """Why there are no scores."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Restore everything with all of them, print the table, write the record."""
    chosen = _parser().parse_args(arguments)
    run = Run.here(
        "python " + " ".join(["benchmarks/zeroair_table.py", *(sys.argv[1:] if arguments is None else arguments)]),
        threads=[torch.get_num_threads()],
        smoke=False,
    )
    files = evenly_spaced(list_images([chosen.photos]), chosen.count)
    rows: list[Row] = []
    for name, degradation in DEGRADATIONS.items():
        photos = [_photo(entry.name, entry.path, degradation.spec, chosen.side) for entry in files]
        for row in measure(name, photos, _subjects(degradation, chosen)):
            rows.append(row)
            print(f"{name}: {row.name}", file=sys.stderr, flush=True)
            if chosen.json is not None:  # after every row: a run takes hours
                record = {"run": run.model_dump(mode="json"), "side_px": chosen.side}
                record |= {"photos": [entry.name for entry in files], "metrics": METRICS}
                chosen.json.write_text(json.dumps(record | {"rows": [asdict(row) for row in rows]}, indent=1) + "\n")
    print(to_markdown(rows))


def measure(degradation: str, photos: Sequence[Photo], subjects: Sequence[Subject]) -> Iterator[Row]:
    """One row after the other; a subject that fails leaves a note in place of its scores."""
    for subject in subjects:
        row = Row(degradation, subject.name)
        try:
            for seed in range(subject.seeds):
                _measure_seed(row, photos[: subject.photos], subject, seed)
        except RestorekitError as error:
            row = Row(degradation, subject.name, note=str(error))
        yield row


def to_markdown(rows: Sequence[Row]) -> str:
    """A block for each degradation."""
    heads = ("degradation", "restorer", "photos x seeds", "evaluations", "PSNR, dB", "± seeds", "colours corrected")
    lines = ["| " + " | ".join((*heads, "SSIM", "LPIPS", "seconds")) + " |", "| --- | --- |" + " ---: |" * 8]
    for row in rows:
        if row.note:
            lines.append(f"| {row.degradation} | {row.name} |" + " – |" * 8)
            continue
        by_seed = [statistics.mean(values) for values in row.scores["psnr"]]
        cells = [row.degradation, row.name, f"{len(row.seconds[0])} x {len(row.seconds)}", str(row.evaluations)]
        cells += [f"{statistics.mean(by_seed):.2f}", f"{statistics.stdev(by_seed):.2f}" if len(by_seed) > 1 else "–"]
        cells += [_mean(row.scores.get(column), digits) for column, digits in (("psnr_affine", 2), ("ssim", 3))]
        cells += [_mean(row.scores.get("lpips"), 3)]
        cells += [f"{statistics.median(value for photos in row.seconds for value in photos):.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    notes = dict.fromkeys(f"{row.name}, {row.degradation}: {row.note}" for row in rows if row.note)
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def _mean(values: list[list[float]] | None, digits: int) -> str:
    return f"{statistics.mean(value for photos in values for value in photos):.{digits}f}" if values else "–"


def _measure_seed(row: Row, photos: Sequence[Photo], subject: Subject, seed: int) -> None:
    """All photos with one seed, added to the row."""
    found: dict[str, list[float]] = {}
    seconds = []
    for photo in photos:
        start = time.perf_counter()
        restored, row.evaluations = subject.restore(photo.degraded, seed)
        seconds.append(round(time.perf_counter() - start, 3))
        for column, value in _scores(restored, photo.clean).items():
            found.setdefault(column, []).append(value)
    row.seconds.append(seconds)
    for column, values in found.items():
        row.scores.setdefault(column, []).append(values)


def _scores(restored: Images, clean: Images) -> dict[str, float]:
    found = {}
    for column, address in METRICS.items():
        try:
            (found[column],) = restorekit.score(restored, clean, [address]).mean.values()
        except RestorekitError:
            if column != "lpips":
                raise
    return found


def _photo(name: str, path: Path | str, spec: str, side: int) -> Photo:
    samples = read_image(path).samples
    clean = to_images(samples[centred_window(samples.shape[:2], (side, side))])
    return Photo(name, clean, restorekit.degrade(clean, spec, name=name))


def _subjects(degradation: Degradation, chosen: argparse.Namespace) -> list[Subject]:
    """The degraded image itself, restorers that are always the same, and the presets."""
    named = [*(f"classical:{name}" for name in CLASSICAL), "base"]
    presets = {"fast": chosen.seeds, "sample": chosen.seeds, "blind": chosen.blind_seeds}
    subjects = [Subject("input", lambda degraded, _: (degraded, 0)), *map(_named, named)]
    subjects += [Subject(f"zeroair, {name}", _zeroair(name), seeds) for name, seeds in presets.items() if seeds]
    if chosen.gdp_count:
        subjects.append(Subject("gdp, in our frame", _zeroair("gdp"), photos=chosen.gdp_count))
    if chosen.reference_count:
        said = "" if chosen.vgg16 else ", no features"
        restore = _zeroair(degradation.reference, vgg16=chosen.vgg16)
        subjects.append(Subject(degradation.reference + said, restore, photos=chosen.reference_count))
    return subjects


def _named(model: str) -> Subject:
    restorer = restorekit.load(model, device="cpu")
    return Subject(model, lambda degraded, seed: (restorekit.restore(degraded, restorer, seed=seed, guard=False), 0))


def _zeroair(preset: str, *, vgg16: str = "") -> Callable[[Images, int], tuple[Images, int]]:
    """A preset with the prior that ships; a pool is made at the first call."""
    changes: dict[str, Any] = {"preset": preset}
    if vgg16:
        changes["vgg16"] = vgg16
    elif PRESETS[preset].needs_features:
        stages = [stage.model_copy(update={"features": 0.0}).model_dump() for stage in PRESETS[preset].stages]
        changes["sampling"] = {"stages": stages, "fit": {"features": 0.0}}
    restorer = restorekit.load("recipe:zeroair/blind", device="cpu")
    assert isinstance(restorer, ZeroAIRRestorer)
    restorer = restorer.changed(**changes)
    seen: list[int] = []

    def count(progress: RunProgress) -> None:
        seen.append(len(progress.report.estimate))

    restorer.on_progress = count

    def restore(degraded: Images, seed: int) -> tuple[Images, int]:
        seen.clear()
        restored = restorer.restore(degraded, generator=torch.Generator().manual_seed(seed))
        return restored, sum(seen)

    return restore


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", required=True, metavar="FOLDER", help="clean photos")
    parser.add_argument("--count", type=int, default=4, help="how many of them")
    parser.add_argument("--side", type=int, default=128, help="of their centres, in px")
    parser.add_argument("--seeds", type=int, default=5, help="of fast and sample")
    parser.add_argument("--blind-seeds", type=int, default=2)
    parser.add_argument("--gdp-count", type=int, default=1, metavar="N", help="photos for GDP, 1000 evaluations each")
    parser.add_argument("--reference-count", type=int, default=0, metavar="N", help="the same for reference, 2000 each")
    parser.add_argument("--vgg16", default="", metavar="FILE.safetensors", help="torchvision's weights")
    parser.add_argument("--json", type=Path, metavar="FILE.json")
    return parser


if __name__ == "__main__":
    main()
