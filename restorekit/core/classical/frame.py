"""What all classical restorers share: photos as arrays, checked options, one image at a time.

- The libraries work on (height, width, 3) arrays on the CPU; results go back to the device of the input.
- A restorer that must know something of the whole image finds it in ``survey``; tiled then equals whole.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict

from restorekit.core.image.convention import Images, check_images
from restorekit.core.image.tiling import TensorView
from restorekit.core.restorer import InputSpec, WholeView, Window

__all__ = ["ClassicalConfig", "ClassicalRestorer", "LocalRestorer", "Photo", "SurveyedRestorer", "to_photo"]

Photo = npt.NDArray[np.float32]
"""One image as the libraries want it: (height, width, 3), RGB, sRGB-encoded, nominally in [0, 1], float32."""

Code = TypeVar("Code")


class ClassicalConfig(BaseModel):
    """Options of one algorithm: frozen, unknown keys refused; the text under a field is its help text."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class ClassicalRestorer(ABC):
    """What every algorithm states about itself. It runs on the CPU in float32, whatever device the image is on."""

    name: str
    """As given to ``--model``, for example "classical:nlm"."""
    summary: ClassVar[str]
    """One line for lists of models."""
    helps: ClassVar[tuple[str, ...]]
    """What it helps against: noise, haze, low_light, blur, colour."""
    config_type: ClassVar[type[ClassicalConfig]]
    formula: ClassVar[bool] = True
    """It does what its formula says, however strongly: ``core.guard`` does not watch it."""

    config: ClassicalConfig
    spec: InputSpec

    @abstractmethod
    def __init__(self, config: Any = None) -> None:
        """With a checked config of ``config_type``; its defaults when None."""

    def to(self, device: torch.device, precision: str = "float32") -> "ClassicalRestorer":  # noqa: ARG002
        """Itself: the work stays on the CPU, and each result goes back to the device of its input."""
        return self

    @abstractmethod
    def restore(self, degraded: Images, *, generator: torch.Generator | None = None) -> Images:
        """Restore each image by itself.

        Args:
            degraded: (batch, 3, height, width), nominally in [0, 1]; never modified.
            generator: not used, nothing here is random.

        Returns:
            float32, same shape and device as ``degraded``.

        Raises:
            ImageError: ``degraded`` is no finite floating point batch of RGB images.
        """


class LocalRestorer(ClassicalRestorer):
    """An algorithm that looks at a neighbourhood only."""

    @abstractmethod
    def restore_photo(self, photo: Photo) -> Photo:
        """Restore one photo; the argument is not modified."""

    def restore(self, degraded: Images, *, generator: torch.Generator | None = None) -> Images:  # noqa: ARG002
        """Restore each image by itself, see ``ClassicalRestorer.restore``."""
        check_images(degraded, self.name)
        return _each(degraded, lambda image: self.restore_photo(to_photo(image)))


class SurveyedRestorer(ClassicalRestorer, Generic[Code]):
    """An algorithm that first measures something on the whole image (a ``GlobalRestorer``)."""

    @abstractmethod
    def survey(self, view: WholeView) -> Code:
        """What ``restore_photo`` needs to know of the whole image."""

    @abstractmethod
    def restore_photo(self, photo: Photo, code: Code) -> Photo:
        """Restore one photo or tile, given what ``code_at`` found of the survey; the argument is not modified."""

    def code_at(self, code: Code, window: Window) -> Code:  # noqa: ARG002  (for those that survey a map)
        """The part of the survey that concerns ``window``: all of it, unless the survey is a map."""
        return code

    def restore(self, degraded: Images, *, generator: torch.Generator | None = None) -> Images:  # noqa: ARG002
        """Survey, then restore each image by itself, see ``ClassicalRestorer.restore``."""
        check_images(degraded, self.name)
        return _each(degraded, self._restore_whole)

    def restore_tile(
        self,
        degraded: Images,
        code: Any,
        *,
        window: Window,
        generator: torch.Generator | None = None,  # noqa: ARG002
    ) -> Images:
        """Restore one tile (batch of one), given the survey's ``code`` and the tile's place in the whole."""
        return _each(degraded, lambda image: self.restore_photo(to_photo(image), self.code_at(code, window)))

    def _restore_whole(self, image: Images) -> Photo:
        return self.restore_photo(to_photo(image), self.survey(TensorView(image)))


def to_photo(image: Images) -> Photo:
    """An image (batch of one) as an array of its own, so that the caller's tensor is never written to."""
    photo = image[0].detach().to("cpu", torch.float32).permute(1, 2, 0).numpy()
    return np.array(photo, dtype=np.float32, order="C")


def _each(images: Images, restore: Callable[[Images], Photo]) -> Images:
    """Apply ``restore`` to each image of a batch."""
    restored = [torch.from_numpy(np.ascontiguousarray(restore(image[None]).transpose(2, 0, 1))) for image in images]
    return torch.stack(restored).to(images.device)
