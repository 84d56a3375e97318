"""The parts of a refinement that lie in its weight file: each is read when it is first used."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from restorekit.core.networks.base import NetworkConfig
from restorekit.core.networks.loading import put_weights
from restorekit.core.networks.restorer import NetworkRestorer
from restorekit.core.networks.surveyed import SurveyedNetworkRestorer
from restorekit.core.weights import load_weights
from restorekit.errors import ModelError
from restorekit.refine.parts import Tensors, TensorSource
from restorekit.refine.student import Student, StudentConfig
from restorekit.refine.two_views import TwoViewNetwork

__all__ = ["embedded_base", "module_of", "parts_in", "student_of", "tensors_of"]

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def tensors_of(path: Path, part: str) -> TensorSource:
    """Reads one part of a refinement's weight file, in float32, by the names that tensors have in the part.

    Args:
        path: the file.
        part: "module", "base", "student" or "prior".

    Raises:
        ModelError: when called: the file is absent or damaged, or has no such part.
    """
    return partial(_read, path, part)


def parts_in(path: Path) -> set[str]:
    """The names of the parts that a weight file has.

    Raises:
        ModelError: the file is absent or damaged.
    """
    return {name.partition(".")[0] for name in load_weights(path)}


def module_of(build: Callable[[], AnyModule], path: Path | None) -> AnyModule:
    """The module of a weight file; without one, a fresh one from torch's global generator.

    Args:
        build: makes a fresh module.
        path: the file.

    Raises:
        ModelError: the file is absent or damaged, or its module is another one: the message names a tensor.
    """
    if path is None:
        return build()
    with torch.device("meta"):
        module = build()
    put_weights(module, _read(path, "module"), str(path))
    return module


def student_of(config: StudentConfig, dim: int, path: Path | None) -> Student:
    """The student of a weight file; without one, a fresh one. Errors as in ``module_of``."""
    student = Student(config, dim)
    if path is not None:
        put_weights(student, _read(path, "student"), str(path))
    return student


def embedded_base(name: str, config: NetworkConfig, path: Path) -> NetworkRestorer:
    """The base network of a weight file as a restorer, tiled and surveyed as it would be by itself, or of pairs."""
    if config.planes == (6, 3):
        return _TwoViews(name, config, path)
    return (_Surveyed if config.surveyed else _Network)(name, config, path)


class _Inside(NetworkRestorer):
    """A network whose weights are one part of a file."""

    def load(self) -> nn.Module:
        assert self.weights is not None
        with torch.device("meta"):
            network = self.config.build()
        put_weights(network, _read(self.weights, "base"), str(self.weights))
        return network


class _Network(_Inside):
    """Any network that needs no survey."""


class _Surveyed(_Inside, SurveyedNetworkRestorer):
    """A network that reads the whole photo first."""


class _TwoViews(_Inside, TwoViewNetwork):
    """A network of dual-pixel pairs."""


def _read(path: Path, part: str) -> Tensors:
    tensors = load_weights(path, dtype=torch.float32)
    prefix = f"{part}."
    found = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    if not found:
        names = ", ".join(sorted({name.partition(".")[0] for name in tensors})) or "nothing"
        raise ModelError(f"{path}: expected the weights of a refinement with a part {part!r}, got {names}")
    return found
