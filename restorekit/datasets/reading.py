"""Pictures of data sets from whatever holds them: image files, ``.npy`` arrays, ``.mat`` files of blocks."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from restorekit.core.image.convention import Samples
from restorekit.core.image.files import read_image
from restorekit.errors import UnreadableImage

__all__ = ["block_count", "block_names", "block_shape", "read_blocks", "read_picture"]


def read_picture(path: Path, *, bgr: bool = False) -> Samples:
    """One picture, (height, width, 1 or 3), uint8, uint16 or float32, red first.

    Args:
        path: an image file, or ``.npy`` with an array of that shape (or without its last axis).
        bgr: an array has blue first.

    Raises:
        ImageError: it cannot be read, or the array is no picture.
    """
    if path.suffix.lower() != ".npy":
        return read_image(path).samples
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UnreadableImage(f"{path}: expected an array, got {error}; copy or download it again") from error
    samples = np.asarray(array[..., None] if array.ndim == 2 else array)
    _check(path, samples.shape, samples.dtype)
    return np.ascontiguousarray(samples[..., ::-1] if bgr else samples)


def block_shape(path: Path) -> tuple[tuple[int, ...], str]:
    """Shape of the blocks in a ``.mat`` file, (..., height, width, 3), and their type, without reading them.

    Raises:
        UnreadableImage: no MATLAB file, or none with one array of pictures named as the file is.
    """
    import scipy.io

    try:
        variables = {name: (shape, kind) for name, shape, kind in scipy.io.whosmat(path)}
    except (OSError, ValueError, TypeError, NotImplementedError, LookupError) as error:
        raise UnreadableImage(f"{path}: expected a MATLAB file, got {error}; copy or download it again") from error
    if path.stem not in variables:
        raise UnreadableImage(f"{path}: expected a variable {path.stem}, got {', '.join(variables) or 'none'}")
    shape, kind = variables[path.stem]
    if len(shape) < 4 or shape[-1] not in (1, 3):
        raise UnreadableImage(f"{path}: expected blocks of shape (..., height, width, 1 or 3), got {tuple(shape)}")
    return tuple(shape), str(kind)


def block_count(path: Path) -> int:
    """How many blocks a ``.mat`` file has; raises as ``block_shape``."""
    return math.prod(block_shape(path)[0][:-3])


def block_names(path: Path) -> list[str]:
    """The blocks of a ``.mat`` file in order: their indices from 1, such as ``0003_12``; raises as ``block_shape``."""
    return [_block_name(index) for index in np.ndindex(block_shape(path)[0][:-3])]


def read_blocks(path: Path) -> Iterator[tuple[str, Samples]]:
    """The blocks of a ``.mat`` file in order, named as ``block_names`` says.

    Raises:
        ImageError: as ``block_shape``, or no pictures.
    """
    import scipy.io

    shape, _ = block_shape(path)
    blocks = scipy.io.loadmat(path, variable_names=[path.stem])[path.stem]
    _check(path, shape[-3:], blocks.dtype)
    for index in np.ndindex(shape[:-3]):
        yield _block_name(index), np.ascontiguousarray(blocks[index])


def _block_name(index: tuple[int, ...]) -> str:
    first, *rest = (position + 1 for position in index)
    return "_".join([f"{first:04d}", *(f"{position:02d}" for position in rest)])


def _check(path: Path, shape: tuple[int, ...], dtype: "npt.DTypeLike | np.dtype[Any]") -> None:
    if len(shape) != 3 or shape[-1] not in (1, 3) or np.dtype(dtype).name not in ("uint8", "uint16", "float32"):
        raise UnreadableImage(
            f"{path}: expected (height, width, 1 or 3) of uint8, uint16 or float32, got {tuple(shape)} of {dtype}"
        )
