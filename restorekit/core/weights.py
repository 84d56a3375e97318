"""Weight files: safetensors only, checked by size and SHA-256, written whole or not at all.

- A safetensors file holds numbers and nothing that runs. A pickle (``.pth``, ``.pt``) runs code when read, so it is
  refused here and goes through ``restorekit models convert`` once.
- torch is imported when weights are read or written, so the zoo can hold :class:`WeightFile` records without it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from restorekit.core.atomic import replacing
from restorekit.errors import ModelError

if TYPE_CHECKING:
    import torch

__all__ = ["WeightFile", "load_metadata", "load_weights", "save_weights", "sha256_of", "verify_weights"]


@dataclass(frozen=True)
class WeightFile:
    """What is known of a weight file before it is opened."""

    path: Path
    """Where the file is, or will be."""
    sha256: str
    """SHA-256 of the whole file, 64 lower-case hexadecimal digits."""
    bytes: int
    """Size of the file."""
    licence: str
    """SPDX identifier of the licence of the weights, for example "Apache-2.0"."""


def load_weights(path: Path, *, dtype: "torch.dtype | None" = None) -> "dict[str, torch.Tensor]":
    """Every tensor of a safetensors file by name, on the CPU.

    Args:
        path: A ``.safetensors`` file.
        dtype: Floating-point tensors are converted to it (files often store float16); integers stay as they are.
            None keeps what the file holds.

    Raises:
        ModelError: The file is absent, of another format, or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    _check_readable(path)
    try:
        tensors = load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise _damaged(path, error) from error
    if dtype is None:
        return tensors
    return {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def load_metadata(path: Path) -> dict[str, str]:
    """The texts that :func:`save_weights` stored beside the tensors; the tensors are not read.

    Raises:
        ModelError: The file is absent, of another format, or damaged.
    """
    from safetensors import SafetensorError, safe_open

    _check_readable(path)
    try:
        with safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise _damaged(path, error) from error


def save_weights(
    path: Path, tensors: "Mapping[str, torch.Tensor]", metadata: Mapping[str, str] | None = None
) -> WeightFile:
    """Write a safetensors file atomically: after a crash there is the old file or the new one, never half a file.

    Args:
        path: Ends in ``.safetensors``; folders are made as needed.
        tensors: Any device, any strides; tensors that share memory (tied weights) are stored once each.
        metadata: Texts to keep with the tensors. "licence" also enters the record returned.

    Returns:
        The record of the file just written.

    Raises:
        ModelError: ``path`` does not end in ``.safetensors``.
    """
    from safetensors.torch import save_file

    if path.suffix != ".safetensors":
        raise ModelError(f"{path}: expected a name ending in .safetensors, got {path.suffix or 'no suffix'}; rename it")
    metadata = dict(metadata or {})
    own_memory = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.touch()
        mode = partial.stat().st_mode
        save_file(own_memory, partial, metadata)
        partial.chmod(mode)  # safetensors makes files that only their owner may read; ours follow the umask
        return WeightFile(path, sha256_of(partial), partial.stat().st_size, metadata.get("licence", ""))


def verify_weights(file: WeightFile) -> None:
    """Check that the file is the one its record describes.

    Raises:
        ModelError: The file is absent, or its size or SHA-256 differs from the record.
    """
    _check_present(file.path)
    size = file.path.stat().st_size
    if size != file.bytes:
        raise ModelError(f"{file.path}: expected {file.bytes} bytes, got {size}; {_RENEW}")
    digest = sha256_of(file.path)
    if digest != file.sha256.lower():
        raise ModelError(f"{file.path}: expected sha256 {file.sha256}, got {digest}; {_RENEW}")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file as 64 hexadecimal digits, read in pieces so that its size does not matter."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_PICKLES = frozenset({".pth", ".pt", ".ckpt", ".bin", ".pkl"})

_RENEW = (
    "the file is incomplete, damaged or was replaced: delete it and fetch it again, "
    "or run pip install --force-reinstall --no-deps restorekit if it came with the package"
)


def _check_readable(path: Path) -> None:
    if path.suffix in _PICKLES:
        raise ModelError(
            f"{path}: expected a .safetensors file, got {path.suffix}, a pickle, which can run code when it is read; "
            f"convert it once with: restorekit models convert {path}"
        )
    if path.suffix != ".safetensors":
        raise ModelError(f"{path}: expected a .safetensors file, got {path.suffix or 'no suffix'}")
    _check_present(path)


def _check_present(path: Path) -> None:
    if not path.is_file():
        raise ModelError(
            f"{path}: expected a weight file here, got nothing; put the file there, "
            "or run pip install --force-reinstall --no-deps restorekit if it should have come with the package"
        )


def _damaged(path: Path, error: Exception) -> ModelError:
    size = path.stat().st_size
    return ModelError(f"{path}: expected a safetensors file, got {size} bytes that are not one ({error}); {_RENEW}")
