"""One function for every kind of image a Python user holds: what comes in as X goes out as X.

Paths become ``SourceImage`` (pixels in the file's depth, alpha, metadata, ``save``); PIL images, numpy arrays and
tensors stay what they are, with their depth, channels and batch.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt
import PIL.Image
import torch  # noqa: TID253 (only api.py imports this module, when a verb is first called)

from restorekit.core.image.convention import SAMPLE_PEAK, Samples
from restorekit.core.image.files import SourceImage, read_image
from restorekit.errors import ImageError

__all__ = ["AnyImage", "map_image", "samples_of"]

AnyImage = str | Path | SourceImage | PIL.Image.Image | npt.NDArray[Any] | torch.Tensor
SampleFunction = Callable[[Samples], Samples]
InMemory = TypeVar("InMemory", PIL.Image.Image, npt.NDArray[Any], torch.Tensor)


@overload
def map_image(image: str | Path | SourceImage, function: SampleFunction) -> SourceImage: ...
@overload
def map_image(image: InMemory, function: SampleFunction) -> InMemory: ...
def map_image(image: AnyImage, function: SampleFunction) -> Any:
    """Apply ``function`` to the colour samples of any image; alpha and metadata are kept.

    Args:
        image: a path or ``sample:`` name; a PIL image; an array (height, width), (height, width, 1, 3 or 4) of uint8,
            uint16 or float in [0, 1]; a float tensor (3, height, width) or (batch, 3, height, width) in [0, 1].
        function: (height, width, 1 or 3) samples to samples of the same shape and depth.

    Raises:
        ImageError: another shape or type.
    """
    if isinstance(image, str | Path):
        image = read_image(image)
    if isinstance(image, SourceImage):
        return dataclasses.replace(image, samples=function(image.samples))
    if isinstance(image, PIL.Image.Image):
        return _map_pil(image, function)
    if isinstance(image, torch.Tensor):
        return _map_tensor(image, function)
    return _map_array(image, function)


def samples_of(image: AnyImage) -> Samples:
    """The colour samples of any single image, (height, width, 1 or 3)."""
    seen: list[Samples] = []
    map_image(image, lambda samples: seen.append(samples) or samples)  # type: ignore[func-returns-value]
    if len(seen) != 1:
        raise ImageError(f"image: expected one image, got a batch of {len(seen)}")
    return seen[0]


def _map_array(array: npt.NDArray[Any], function: SampleFunction) -> npt.NDArray[Any]:
    dtype = np.dtype(np.float32) if array.dtype.kind == "f" else array.dtype
    if dtype.name not in SAMPLE_PEAK:
        raise ImageError(f"array: expected uint8, uint16 or floating point in [0, 1], got {array.dtype}")
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))):
        raise ImageError(f"array: expected (height, width) or (height, width, 1, 3 or 4), got {array.shape}")
    planes = array[..., None] if array.ndim == 2 else array
    colour = np.ascontiguousarray(planes[..., :3], dtype=dtype)
    changed = function(colour).astype(array.dtype, copy=False)
    return np.concatenate([changed, planes[..., 3:]], axis=2).reshape(array.shape)


def _map_tensor(tensor: torch.Tensor, function: SampleFunction) -> torch.Tensor:
    if tensor.ndim not in (3, 4) or tensor.shape[-3] != 3 or not tensor.is_floating_point():
        raise ImageError(
            "tensor: expected floating point (3, height, width) or (batch, 3, height, width) in [0, 1], "
            f"got {tensor.dtype} {tuple(tensor.shape)}"
        )
    batch = tensor.detach().reshape(-1, *tensor.shape[-3:]).float().cpu()
    changed = np.stack([function(np.ascontiguousarray(image.permute(1, 2, 0).numpy())) for image in batch])
    return torch.from_numpy(changed).permute(0, 3, 1, 2).reshape(tensor.shape).to(tensor)


def _map_pil(image: PIL.Image.Image, function: SampleFunction) -> PIL.Image.Image:
    if image.mode == "I;16":
        changed = PIL.Image.fromarray(_map_array(np.asarray(image).astype(np.uint16), function))
    else:
        if image.mode not in ("L", "RGB", "RGBA", "LA"):
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        alpha = image.getchannel("A") if "A" in image.mode else None
        colour = image.convert("RGB" if image.mode.startswith("RGB") else "L")
        changed = PIL.Image.fromarray(_map_array(np.asarray(colour), function))
        if alpha is not None:
            changed.putalpha(alpha)
    changed.info.update(image.info)
    return changed
