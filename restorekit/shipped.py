"""The models that come with the package: in ``restorekit/weights``, one weight file and one TOML record each.

The record is what the zoo knows without opening the weights, the file says by itself how it is loaded. ``publish``
writes both from a training run: averaged weights, rounded to float16.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from restorekit.core.atomic import write_bytes
from restorekit.core.weights import WeightFile, load_metadata, load_weights, save_weights
from restorekit.errors import ModelError

__all__ = ["LARGEST_BYTES", "WEIGHTS_FOLDER", "ShippedModel", "publish", "shipped_models"]

WEIGHTS_FOLDER = Path(__file__).parent / "weights"

LARGEST_BYTES = 12_000_000
"""Of one weight file: what is shipped is downloaded by everybody."""


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

    def file(self, folder: Path = WEIGHTS_FOLDER) -> WeightFile:
        """The record of its weight file."""
        return WeightFile(folder / f"{self.name}.safetensors", self.sha256, self.bytes, self.licence)


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


def publish(
    source: Path,
    folder: Path,
    *,
    name: str,
    summary: str,
    helps: tuple[str, ...],
    licence: str,
    recipe: str,
) -> ShippedModel:
    """Write the averaged weights of a training run in float16, and their record.

    Args:
        source: ``weights.safetensors`` of a run.
        folder: where ``NAME.safetensors`` and ``NAME.toml`` are written.
        name, summary, helps, licence, recipe: as in ``ShippedModel``.

    Raises:
        ModelError: weights that do not say which method they are for, that leave the range of float16, or that make a
            file larger than ``LARGEST_BYTES``.
    """
    import torch

    metadata = load_metadata(source)
    if "method" not in metadata:
        raise ModelError(f"{source}: expected weights written by restorekit train, got ones that name no method")
    tensors = load_weights(source, dtype=torch.float16)
    overflown = [key for key, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
    if overflown:
        raise ModelError(f"{source}: expected weights within the range of float16, {overflown[0]} leaves it")
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if size > LARGEST_BYTES:
        raise ModelError(f"{source}: expected at most {LARGEST_BYTES} bytes in float16, got {size}")
    written = save_weights(folder / f"{name}.safetensors", tensors, metadata | {"licence": licence})
    model = ShippedModel(
        name=name,
        method=metadata["method"],
        summary=summary,
        helps=helps,
        licence=licence,
        parameters=sum(tensor.numel() for tensor in tensors.values() if tensor.is_floating_point()),
        bytes=written.bytes,
        sha256=written.sha256,
        recipe=recipe,
    )
    write_bytes(folder / f"{name}.toml", _toml(model.model_dump(mode="json")).encode())
    return model


def _toml(values: dict[str, Any]) -> str:
    """Texts, whole numbers and lists of texts, one a line."""
    return "".join(f"{key} = {_value(value)}\n" for key, value in values.items())


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, int):
        return str(value)
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
