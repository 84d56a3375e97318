"""The models that come with the package: in ``restorekit/weights``, one weight file and one TOML record each.

The record is what the zoo knows without opening the weights, the file says by itself how it is loaded. ``publish``
writes both from a training run: averaged weights, rounded to float16.
"""

import csv
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from restorekit.core.atomic import write_bytes
from restorekit.core.weights import WeightFile, load_metadata, load_weights, save_weights
from restorekit.errors import ModelError

if TYPE_CHECKING:
    import torch

__all__ = [
    "LARGEST_BYTES",
    "SCORED",
    "WEIGHTS_FOLDER",
    "About",
    "ShippedModel",
    "publish",
    "shipped_models",
]

WEIGHTS_FOLDER = Path(__file__).parent / "weights"

LARGEST_BYTES = 12_000_000
"""Of one weight file: what is shipped is downloaded by everybody."""

SCORED = "psnr[rgb|per-image|u8|crop0]"
"""What the scores of a record are; dB."""


class ShippedModel(BaseModel):
    """What is known of a shipped model before its weights are opened."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]*$")
    method: str
    summary: str
    helps: tuple[str, ...]
    licence: str
    parameters: int = Field(ge=1)
    bytes: int = Field(ge=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    recipe: str
    """The recipe that trained it, as given to ``restorekit train``."""
    data: tuple[str, ...]
    """The photos it learned from, one line a set, with their licences."""
    steps: int = Field(ge=1)
    """Of all stages together."""
    hours: float = Field(gt=0)
    """Time in the training loop, of all stages together, on ``machine``."""
    machine: str
    scores: dict[str, float] = Field(default_factory=dict)
    """By data set, the mean of ``SCORED``, as ``restorekit bench`` measured it."""

    def file(self, folder: Path = WEIGHTS_FOLDER) -> WeightFile:
        """The record of its weight file."""
        return WeightFile(folder / f"{self.name}.safetensors", self.sha256, self.bytes, self.licence)

    @property
    def notice(self) -> str:
        """What the NOTICE of a package that holds the weights says of them."""
        return f"{self.name}  {self.licence}. Trained on photos of {', '.join(self.data)}; it holds none of them."


def shipped_models(folder: Path = WEIGHTS_FOLDER) -> dict[str, ShippedModel]:
    """Every shipped model by name, sorted.

    Raises:
        ModelError: a record cannot be read: the installation is damaged.
    """
    models = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            model = ShippedModel.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise ModelError(
                f"{path}: expected the record of a shipped model, got {error}; reinstall restorekit"
            ) from None
        models[model.name] = model
    return models


class About(BaseModel):
    """What a person says of a model that is published; the meanings are those of ``ShippedModel``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    summary: str
    helps: tuple[str, ...]
    licence: str
    recipe: str
    data: tuple[str, ...]
    machine: str


def publish(
    run: Path, folder: Path, about: About, *, earlier: Sequence[Path] = (), scores: Mapping[str, float] | None = None
) -> ShippedModel:
    """Write the averaged weights of a training run in float16, and their record.

    Args:
        run: output folder of ``restorekit train``: ``weights.safetensors`` and ``log.csv``.
        folder: where ``NAME.safetensors`` and ``NAME.toml`` are written.
        about: what the run itself does not know.
        earlier: runs whose weights this one started from or holds; their steps and hours count.
        scores: what ``suite.scores_of`` gives.

    Raises:
        ModelError: no finished run, weights that do not say which method they are for, that leave the range of
            float16, or that make a file larger than ``LARGEST_BYTES``.
    """
    source = run / "weights.safetensors"
    metadata = load_metadata(source)
    if "method" not in metadata:
        raise ModelError(f"{source}: expected weights written by restorekit train, got ones that name no method")
    tensors = _in_float16(source)
    lengths = [_length(stage / "log.csv") for stage in (*earlier, run)]
    written = save_weights(folder / f"{about.name}.safetensors", tensors, metadata | {"licence": about.licence})
    model = ShippedModel(
        **about.model_dump(),
        method=metadata["method"],
        parameters=sum(tensor.numel() for tensor in tensors.values() if tensor.is_floating_point()),
        bytes=written.bytes,
        sha256=written.sha256,
        steps=sum(steps for steps, _ in lengths),
        hours=round(sum(seconds for _, seconds in lengths) / 3600, 2),
        scores=dict(scores or {}),
    )
    write_bytes(folder / f"{about.name}.toml", _toml(model.model_dump(mode="json")).encode())
    return model


def _in_float16(source: Path) -> "dict[str, torch.Tensor]":
    import torch

    tensors = load_weights(source, dtype=torch.float16)
    overflown = [key for key, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
    if overflown:
        raise ModelError(f"{source}: expected weights within the range of float16, {overflown[0]} leaves it")
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if size > LARGEST_BYTES:
        raise ModelError(f"{source}: expected at most {LARGEST_BYTES} bytes in float16, got {size}")
    return tensors


def _length(log: Path) -> tuple[int, float]:
    """Steps and seconds of a run."""
    try:
        with log.open(encoding="utf-8", newline="") as stream:
            *_, last = csv.DictReader(stream)
        return int(last["step"]), float(last["seconds"])
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{log}: expected the log of a training run, got {error or 'no rows'}") from None


def _toml(values: dict[str, Any]) -> str:
    """Texts, numbers, lists of texts and tables of numbers, one a line."""
    return "".join(f"{key} = {_value(value)}\n" for key, value in values.items())


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_value(key)} = {_value(item)}' for key, item in value.items())}}}"
    if isinstance(value, int | float):
        return str(value)
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
