"""The prior without its network: a tiny student looks at the degraded image and foretells the prior's vector.

Distilled as in Hinton, Vinyals, Dean 2015 (arXiv:1503.02531), with features in place of classes. What ships is the
student, so that nobody needs CLIP to restore a photo.

Its features are local until their mean is taken, so the vector of a photo of any size is found exactly, tile by tile,
at full resolution: noise, which an overview would average away, is seen.
"""

import itertools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from restorekit.core.image.convention import Images, check_images
from restorekit.core.placement import resolve_precision
from restorekit.core.prior import PriorMaps, PriorVectors
from restorekit.core.restorer import WholeView, Window
from restorekit.refine.config import SLOPE

__all__ = ["CELL_PX", "Student", "StudentConfig", "StudentPrior", "distillation_loss"]

CELL_PX = 16
"""Side of the square of pixels that each of the last features stands for."""

HALO_PX = 16  # radius of what such a feature depends on, 15 px, as whole cells

StudentMaps = Float[Tensor, "batch features cell_rows cell_columns"]


class StudentConfig(BaseModel):
    """How large the student is; the default has 97,952 parameters for a prior of 512 numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    width: int = Field(default=16, ge=1, le=256)
    """Channels at half resolution; further halvings have 2, 4 and 4 times as many."""


class Student(nn.Module):
    """Four 3x3 convolutions with stride two, the mean over the image, two linear layers, unit length.

    Args:
        config: its size.
        dim: of the prior.
    """

    def __init__(self, config: StudentConfig, dim: int) -> None:
        super().__init__()
        self.dim = dim
        widths = [3, *(config.width * factor for factor in (1, 2, 4, 4))]
        self.layers = nn.ModuleList(
            nn.Conv2d(taken, given, 3, stride=2, padding=1) for taken, given in itertools.pairwise(widths)
        )
        self.hidden = nn.Linear(widths[-1], widths[-1])
        self.answer = nn.Linear(widths[-1], dim)

    def forward(self, images: Images) -> PriorVectors:
        """One vector of unit length for each whole image of any size, in float32."""
        return self.vectors(self.cells(images).float().mean(dim=(2, 3)))

    def cells(self, images: Images) -> StudentMaps:
        """Local features, one for each ``CELL_PX`` x ``CELL_PX`` px or part of it at the right and bottom edge."""
        features = images
        for layer in self.layers:
            features = F.leaky_relu(layer(features), SLOPE)
        return features

    def vectors(self, pooled: Float[Tensor, "batch features"]) -> PriorVectors:
        """What is said of the mean of ``cells``."""
        answer = self.answer(F.leaky_relu(self.hidden(pooled), SLOPE))
        return F.normalize(answer.float(), dim=1)


def distillation_loss(student: PriorVectors, prior: PriorVectors) -> Float[Tensor, ""]:
    """1 - cos of the angle between what the student and the prior say, in [0, 2], mean over the batch.

    Args:
        student: (batch, dim), unit length.
        prior: (batch, dim), unit length; no gradient reaches it.
    """
    return 1 - (student * prior.detach()).sum(dim=1).mean()


class StudentPrior:
    """A student as a ``FeaturePrior`` that looks at whole photos by itself.

    Args:
        load: makes the student on the CPU; called on first use, and again after unpickling. It travels with a pickled
            prior.
        dim: length of a vector.
    """

    name = "student"
    cell_px = CELL_PX
    """Tiles that ``features_of`` reads start at multiples of this, in px."""

    def __init__(self, load: Callable[[], Student], dim: int) -> None:
        self.load = load
        self.dim = dim
        self.device = torch.device("cpu")
        self._student: Student | None = None

    @property
    def student(self) -> Student:
        """The loaded student, frozen, on ``device``."""
        if self._student is None:
            self._student = self.load().eval().requires_grad_(False).to(self.device)
        return self._student

    def to(self, device: torch.device, precision: str = "float32") -> "StudentPrior":
        """This prior, computing on ``device``, always in float32: it is a hundredth of the work.

        Raises:
            UsageError: an unknown precision, or float16 on a CPU.
        """
        resolve_precision(precision, device)
        self.device = torch.device(device)
        if self._student is not None:
            self._student = self._student.to(self.device)
        return self

    @torch.no_grad()
    def features(self, images: Images) -> PriorVectors:
        """One vector for each whole image.

        Raises:
            ImageError: ``images`` is no finite floating point batch of RGB images.
        """
        check_images(images, self.name)
        vectors: PriorVectors = self.student(images.to(self.device, torch.float32))
        return vectors.to(images.device)

    @torch.no_grad()
    def feature_map(self, images: Images) -> PriorMaps:
        """What it would say of each cell alone.

        Raises:
            ImageError: as in ``features``.
        """
        check_images(images, self.name)
        cells = self.student.cells(images.to(self.device, torch.float32))
        vectors = self.student.vectors(cells.permute(0, 2, 3, 1).flatten(0, 2))
        rows, columns = cells.shape[2:]
        return vectors.view(len(images), rows, columns, self.dim).permute(0, 3, 1, 2).to(images.device)

    @torch.no_grad()
    def features_of(self, view: WholeView) -> PriorVectors:
        """The vector of a whole photo, (1, dim), in the memory of one tile; equals ``features`` of it."""
        total, count = torch.zeros((), dtype=torch.float64, device=self.device), 0
        for tile, window, core in view.tiles(halo=HALO_PX):
            inner = _of_core(self.student.cells(tile.to(self.device, torch.float32)), window, core)
            total = total + inner.double().sum(dim=(2, 3))
            count += inner.shape[2] * inner.shape[3]
        return self.student.vectors((total / count).float())

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_student": None}


def _of_core(
    cells: StudentMaps, window: Window, core: Window
) -> Float[Tensor, "batch features core_rows core_columns"]:
    """The cells of a tile's core."""
    top, left = (core.top - window.top) // CELL_PX, (core.left - window.left) // CELL_PX
    height, width = (-(-side // CELL_PX) for side in (core.height, core.width))
    return cells[:, :, top : top + height, left : left + width]
