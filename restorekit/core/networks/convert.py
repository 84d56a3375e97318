"""Checkpoints in the layouts of the authors' codes, turned into ours.

- A pickle is read with ``weights_only``, so nothing in it runs. The licence of a checkpoint is its owner's: it is
  asked for and stored beside the weights, with the network's name and options.
"""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restorekit.core.networks.base import NetworkConfig
from restorekit.core.networks.catalogue import NETWORKS
from restorekit.core.networks.layouts import LAYOUTS
from restorekit.core.networks.loading import put_weights
from restorekit.core.weights import WeightFile, load_metadata, load_weights, save_weights
from restorekit.errors import ModelError

__all__ = ["Converted", "convert_checkpoint", "convert_tensors", "read_checkpoint", "read_description"]


@dataclass(frozen=True)
class Converted:
    """A checkpoint in our names."""

    network: str
    """Name in ``NETWORKS``."""
    config: NetworkConfig
    """The hyper-parameters that its shapes imply."""
    tensors: dict[str, Tensor]
    """For ``config.build().load_state_dict``."""


def convert_checkpoint(source: Path, destination: Path, *, licence: str) -> WeightFile:
    """Read a checkpoint in an official layout and write it as ours, in the precision it has.

    Args:
        source: .pth, .pt or .ckpt (read without running anything), or .safetensors, of NAFNet or Restormer.
        destination: ends in ``.safetensors``; written whole or not at all.
        licence: SPDX identifier of the licence of these weights, or what their owner calls it.

    Raises:
        ModelError: a file that is absent or damaged, or of no layout that is known here.
    """
    converted = convert_tensors(read_checkpoint(source), str(source))
    description = {
        "network": converted.network,
        "config": converted.config.model_dump_json(),
        "source": source.name,
        "licence": licence,
    }
    return save_weights(destination, converted.tensors, description)


def read_description(path: Path) -> tuple[str, NetworkConfig]:
    """The network's name and configuration that ``convert_checkpoint`` stored in a file.

    Raises:
        ModelError: the file is absent, damaged, or does not say which network it holds.
    """
    metadata = load_metadata(path)
    name = metadata.get("network", "")
    if name not in NETWORKS or "config" not in metadata:
        raise ModelError(
            f"{path}: expected weights that say which network they are for ({', '.join(NETWORKS)}), got "
            f"{name or 'no such note'}; convert the original with: restorekit models convert FILE"
        )
    try:
        return name, NETWORKS[name].model_validate_json(metadata["config"])
    except ValueError as error:
        raise ModelError(f"{path}: expected options of {name} in its note, got others: {error}") from None


def convert_tensors(tensors: Mapping[str, Tensor], where: str) -> Converted:
    """Recognise the layout, deduce the configuration, rename every tensor, and check that all of them fit.

    Args:
        tensors: by official name.
        where: the file, for messages.

    Raises:
        ModelError: another layout, or tensors that do not belong together.
    """
    layout = next((layout for layout in LAYOUTS if layout.marks <= tensors.keys()), None)
    if layout is None:
        known = " or ".join(f"{layout.network} ({', '.join(sorted(layout.marks))}, ...)" for layout in LAYOUTS)
        raise ModelError(
            f"{where}: expected the official layout of {known}, got {_first(tensors)}; other architectures: give the "
            "file as spandrel:FILE"
        )
    try:
        config = layout.deduce(tensors)
    except (KeyError, IndexError, ValueError) as error:
        raise ModelError(
            f"{where}: expected a whole {layout.network} checkpoint in the official layout, got a part: {error}"
        ) from None
    renamed = {layout.rename(name, tensors): tensor for name, tensor in tensors.items()}
    with torch.device("meta"):
        network = config.build()
    put_weights(network, renamed, where)
    return Converted(layout.network, config, renamed)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, freed of the wrappings that training codes put around them.

    Raises:
        ModelError: the file is absent, damaged, or holds more than plain data.
    """
    if path.suffix == ".safetensors":
        return load_weights(path)
    if not path.is_file():
        raise ModelError(f"{path}: expected a checkpoint here, got nothing; check the path")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of unusual pickles: what matters is whether plain tensors come out
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to lead to
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{path}: expected a checkpoint of plain tensors, got one that cannot be read: {reason}"
        ) from error
    for wrapping in ("params_ema", "params", "state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapping), Mapping):
            content = content[wrapping]
            break
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        found = _first(content) if isinstance(content, Mapping) else type(content).__name__
        raise ModelError(f"{path}: expected tensors by name, at the top or under 'params' or 'state_dict', got {found}")
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def _first(names: Iterable[object]) -> str:
    """The first few names, for messages."""
    listed = [str(name) for name in names]
    return ", ".join(listed[:3]) + (f", ... ({len(listed)} names)" if len(listed) > 3 else "") or "an empty file"
