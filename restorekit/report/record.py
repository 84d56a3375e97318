"""What was run and what was measured, as data: written once, read back without loss.

- Scores are per image and never averaged here; means and intervals are the table's business.
- Every number is filed under the full address of its metric (``psnr[rgb|per-image|u8|crop0]``), so that numbers of
  two protocols cannot meet under one name.
- Infinity (PSNR of identical images) and NaN are written as text: the file is valid JSON for every reader.
- Pictures ride along for the sheet and the page; they are not part of the record.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import UInt8
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SkipValidation, field_validator, model_validator

from restorekit.core.metric.protocol import MetricProtocol, ensure_same_protocol, format_address, parse_address
from restorekit.errors import ProtocolError, SpecError
from restorekit.report.failures import failure_lines
from restorekit.report.machine import Machine

if TYPE_CHECKING:
    import restorekit.report.pairs
    import restorekit.report.tables

__all__ = ["CLEAN", "ImageScore", "InputAudit", "Machine", "MetricInfo", "ModelInfo", "Picture", "Report", "RunRecord"]

Picture = UInt8[np.ndarray, "height width 3"]
"""RGB, sRGB-encoded, upright: exactly the pixels that were measured, or would be written to a file."""

CLEAN = "clean"
"""The label of the reference among the pictures of an image; no restorer may bear it."""


class _Record(BaseModel):
    """Frozen; unknown keys are refused; infinity and NaN are written as text."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class RunRecord(_Record):
    """Everything needed to run the comparison again."""

    version: str
    """Of restorekit."""
    commit: str | None = None
    """Of the source checkout, if it ran from one."""
    modified: bool | None = None
    """Whether that checkout held changes that no commit has; None: no commit, or not recorded."""
    command: str
    time: AwareDatetime
    """When it started, UTC."""
    machine: Machine
    device: str = "cpu"
    precision: str = "float32"
    seed: int = 0
    seeds: int = Field(default=1, ge=1)
    """How many seeds stochastic restorers were run with: seed, seed + 1, ..."""
    degradation: str | None = None
    """What was done to the clean images, as text; None where the inputs came degraded."""
    region: str | None = None
    """Which part of the images was measured, if not all of it."""
    inputs: tuple[str, ...] = ()

    @property
    def code(self) -> str:
        """Which code ran: ``restorekit 0.1.0 (commit 1a2b3c4, modified)``."""
        commit = f" (commit {self.commit}{', modified' * bool(self.modified)})" if self.commit else ""
        return f"restorekit {self.version}{commit}"


class MetricInfo(_Record):
    """How to read one column of numbers.

    Raises:
        SpecError: ``address`` is not one that ``format_address`` writes.
    """

    address: str
    """Name and full protocol, ``psnr[rgb|per-image|u8|crop0]``."""
    name: str
    """Short, for headings: ``PSNR``."""
    unit: str = ""
    higher_is_better: bool = True
    decimals: int = Field(default=3, ge=0, le=12)
    needs_reference: bool = True

    @field_validator("address")
    @classmethod
    def _full(cls, address: str) -> str:
        full = format_address(*parse_address(address))
        if address != full:
            raise SpecError(f"metric: expected a full address, got {address!r}; write {full}")
        return address

    @property
    def protocol(self) -> MetricProtocol:
        """The address, read."""
        return parse_address(self.address)[1]


class ModelInfo(_Record):
    """One row of the comparison."""

    name: str
    kind: Literal["input", "classical", "model"] = "model"
    asked: bool = False
    """A classical restorer that was asked for by name: shown even where it is not among the best."""
    parameters: int | None = None
    """Weights that an answer uses, those of a base and of a prior included; None where there are none, or unknown."""
    parameters_total: int | None = None
    """Weights that are held, used or not; None: unknown."""
    parameters_prior: int | None = None
    """Of those held, the frozen ones of a pretrained prior; None where there is no prior, or unknown."""
    macs: int | None = None
    """Multiply-accumulate operations for one image of 256x256 px; the report's notes name the counter."""
    stochastic: bool = False
    """Whether another seed gave another answer; known only where several seeds were asked for."""
    failed: str = ""
    """What was raised, where the model could not be built or answered on no image; empty elsewhere."""
    note: str = ""


class ImageScore(_Record):
    """What one restorer made of one image."""

    image: str
    model: str
    scores: dict[str, float] = Field(default_factory=dict)
    """Value by metric address; NaN or a missing key where the metric is undefined. The mean over seeds."""
    by_seed: tuple[dict[str, float], ...] = ()
    """The scores of each seed, the run's own first; empty where one seed was run."""
    seconds: float | None = None
    """Wall time of one restoration, without decoding and encoding."""
    peak_bytes: int | None = Field(default=None, ge=0)
    """Most memory that the restoration held at once beyond what was held before; see ``comparison.cost``."""
    megapixels: float = Field(gt=0.0)
    failed: str = ""
    """What the restorer raised instead of an answer; there are no scores then."""
    warnings: tuple[str, ...] = ()
    """That the restorer ran away on this image, and whether its input was scored instead; see ``core.guard``."""


class InputAudit(_Record):
    """What a degraded image was said to be, and what it really holds; see ``diagnosis.audit``."""

    image: str
    label: str
    sigma: float
    """Noise in grey levels of 255; with a reference, of everything that differs from it."""
    correlation: float
    """Autocorrelation of that noise at a lag of 1 px."""
    source: Literal["difference", "blind"]
    """What sigma and correlation were read from."""
    clipped: float
    """Share of samples at 0 or 1."""
    blur_px: float
    haze: float
    jpeg: int | None
    problems: tuple[str, ...]
    """One line for each thing that is not as the label says."""


class Report(_Record):
    """A whole comparison: the run, who took part, every score, and what the reader must know.

    Raises:
        ProtocolError: two addresses of one metric, or a score under an address that ``metrics`` does not list.
        pydantic.ValidationError: two models, metrics or scores of one name; not exactly one input; unknown names.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    run: RunRecord
    metrics: tuple[MetricInfo, ...]
    models: tuple[ModelInfo, ...]
    scores: tuple[ImageScore, ...]
    audits: tuple[InputAudit, ...] = ()
    """Of the inputs, where they have a label."""
    notes: tuple[str, ...] = ()
    pictures: SkipValidation[Mapping[str, Mapping[str, Picture]]] = Field(
        default_factory=dict, exclude=True, repr=False
    )
    """Picture by image, then by model name or "clean". Any mapping will do, one that reads files on demand too."""

    @model_validator(mode="after")
    def _consistent(self) -> "Report":
        _check_protocols(self.metrics, self.scores)
        _check_unique("metrics", (metric.address for metric in self.metrics))
        _check_unique("models", (model.name for model in self.models))
        _check_unique("scores", (f"{score.model} on {score.image}" for score in self.scores))
        names = {model.name for model in self.models}
        if CLEAN in names:
            raise ValueError(f"models: expected no model named {CLEAN!r}, the label of the reference; rename it")
        inputs = sum(model.kind == "input" for model in self.models)
        if inputs != 1:
            raise ValueError(f"models: expected exactly one of kind 'input', the baseline of every table, got {inputs}")
        if unknown := sorted({score.model for score in self.scores} - names):
            raise ValueError(f"scores: expected models among {', '.join(sorted(names))}, got {', '.join(unknown)}")
        return self

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the images, in order of first appearance."""
        return tuple(dict.fromkeys(score.image for score in self.scores))

    @property
    def input(self) -> ModelInfo:
        """The degraded input, as a model."""
        return next(model for model in self.models if model.kind == "input")

    @property
    def has_reference(self) -> bool:
        """Whether the restorers were measured against clean images."""
        return any(metric.needs_reference for metric in self.metrics)

    @property
    def failures(self) -> tuple[str, ...]:
        """One line for each restorer that failed, on all images or on some; see ``report.failures``."""
        return tuple(failure_lines(self))

    def find(self, image: str, model: str) -> ImageScore | None:
        """The score of one model on one image, or None where it has none."""
        return next((score for score in self.scores if (score.image, score.model) == (image, model)), None)

    def table(self, *, classical_rows: int = 3) -> "restorekit.report.tables.Table":
        """Means, paired differences and speed; see ``report.tables.build_table``."""
        from restorekit.report.tables import build_table

        return build_table(self, classical_rows=classical_rows)

    def pairs(self) -> "tuple[restorekit.report.pairs.Pairing, ...]":
        """Every two restorers against each other; see ``report.pairs.build_pairs``."""
        from restorekit.report.pairs import build_pairs

        return build_pairs(self)

    def save(self, folder: Path, *, extras: Sequence[str] = ()) -> list[Path]:
        """Write report.json and everything drawn from it into ``folder``; see ``report.files.save``."""
        from restorekit.report.files import save

        return save(self, folder, extras=extras)

    @classmethod
    def load(cls, path: Path) -> "Report":
        """Read a report back, from its folder or its report.json; pictures are not stored."""
        from restorekit.report.files import load

        return load(path)


def _check_protocols(metrics: Iterable[MetricInfo], scores: Iterable[ImageScore]) -> None:
    """One metric, one protocol: refuse what cannot stand in one column."""
    addresses = [metric.address for metric in metrics]
    ensure_same_protocol(addresses)
    for score in scores:
        if unknown := sorted({*score.scores, *(key for seed in score.by_seed for key in seed)} - set(addresses)):
            raise ProtocolError(
                f"{score.model} on {score.image}: expected scores under {', '.join(addresses) or 'no metric'}, "
                f"got {', '.join(unknown)}; list the metric in the report, or measure again"
            )


def _check_unique(where: str, names: Iterable[str]) -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(f"{where}: expected each once, got twice: {', '.join(twice)}")
