"""The frame around every network that serves as a feature prior: loading, placement, input size, unit length.

- A network is loaded on first use, frozen, in evaluation mode. A pickled prior carries no weights.
- ``input = "resize"`` squeezes the whole image into the size that the network was trained at: nothing is cropped away
  and the cost is constant, but fine noise is averaged out. ``"native"`` keeps the pixels: position embeddings are
  interpolated, and the cost grows with the image (hand over an overview of a large photo).
- So a prior that shall tell degradations apart is better off with ``"native"``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from restorekit.core.image.convention import Images, check_images
from restorekit.core.placement import resolve_precision
from restorekit.core.prior import PriorMaps, PriorVectors
from restorekit.errors import ModelError

__all__ = [
    "FeatureNetwork",
    "InputPreparation",
    "InputSize",
    "NetworkPrior",
    "PreparedImages",
    "PriorOptions",
    "SizeOptions",
    "fit",
    "run_until",
    "tokens_to_map",
]

InputSize = Literal["resize", "native"]

PreparedImages = Float[Tensor, "batch 3 seen_height seen_width"]
"""Images as a network is given them: of another size, shifted and scaled."""

Tokens = Float[Tensor, "batch tokens channels"]
"""One vector for each patch of an image, row by row."""


class PriorOptions(BaseModel):
    """Base of what can be set about a prior, behind its name; a network's own add fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class SizeOptions(PriorOptions):
    """At which size a network sees an image."""

    input: InputSize = "resize"
    """resize: the whole image at the network's training size (224 px for most). native: every pixel; costs more."""


class FeatureNetwork(nn.Module, ABC):
    """A network that answers for whole images of any size; what it says need not have unit length."""

    dim: int
    """Length of a vector."""

    @abstractmethod
    def vectors(self, images: Images) -> Float[Tensor, "batch dim"]:
        """One vector for each image in [0, 1]; noise may leave the range."""

    @abstractmethod
    def maps(self, images: Images) -> Float[Tensor, "batch map_channels map_rows map_columns"]:
        """A coarse map for each image.

        Raises:
            ModelError: this network has none.
        """


class NetworkPrior:
    """A ``FeatureNetwork`` as a ``FeaturePrior``.

    Args:
        name: as given to ``--prior``.
        load: makes the network on the CPU in float32; called on first use, and again after unpickling. It travels with
            a pickled prior, so it is a module's function or a ``functools.partial`` of one.
    """

    def __init__(self, name: str, load: Callable[[], FeatureNetwork]) -> None:
        self.name = name
        self.load = load
        self.device = torch.device("cpu")
        self.precision = "float32"
        self._network: FeatureNetwork | None = None
        self._dim: int | None = None

    @property
    def network(self) -> FeatureNetwork:
        """The loaded network, frozen, in evaluation mode on ``device``."""
        if self._network is None:
            with torch.random.fork_rng(devices=[]):  # libraries draw weights before they read the real ones
                self._network = self.load().eval().requires_grad_(False).to(self.device)
        return self._network

    @property
    def dim(self) -> int:
        """Length of a vector; the first question loads the network."""
        if self._dim is None:
            self._dim = self.network.dim
        return self._dim

    def to(self, device: torch.device, precision: str = "float32") -> "NetworkPrior":
        """This prior, moved; weights stay float32, bfloat16 and float16 are autocast's.

        Raises:
            UsageError: an unknown precision, or float16 on a CPU.
        """
        self.precision = resolve_precision(precision, device)
        self.device = torch.device(device)
        if self._network is not None:
            self._network = self._network.to(self.device)
        return self

    def features(self, images: Images) -> PriorVectors:
        """See ``FeaturePrior``.

        Raises:
            ImageError: ``images`` is no finite floating point batch of RGB images.
            DependencyError: the weights are not there.
            ModelError: the weights do not fit.
        """
        return self._run(self.network.vectors, images)

    def feature_map(self, images: Images) -> PriorMaps:
        """See ``FeaturePrior``; errors as in ``features``, and ModelError where the network has no map."""
        return self._run(self.network.maps, images)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_network": None}

    @torch.no_grad()
    def _run(self, answer: Callable[[Images], Tensor], images: Images) -> Tensor:
        check_images(images, self.name)
        half = self.precision != "float32"
        with torch.autocast(self.device.type, getattr(torch, self.precision) if half else None, enabled=half):
            said = answer(images.to(self.device, torch.float32))
        return F.normalize(said.float(), dim=1).to(images.device)


class InputPreparation(nn.Module):
    """Images as a network was trained on them: in [0, 1], of a size that it takes, shifted and scaled.

    Args:
        side_px: (height, width) of its training images.
        cell_px: native heights and widths are cut down to multiples of this, its patch or its total stride.
        input: see ``SizeOptions``.
        mean: of each colour, taken off.
        std: of each colour, divided by.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        side_px: tuple[int, int],
        *,
        cell_px: int,
        input: InputSize,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
    ) -> None:
        super().__init__()
        self.side_px = side_px
        self.cell_px = cell_px
        self.input = input
        self.register_buffer("mean", torch.tensor(list(mean), dtype=torch.float32).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(list(std), dtype=torch.float32).view(1, 3, 1, 1))

    def forward(self, images: Images) -> PreparedImages:
        """What the network is given."""
        seen = images.clamp(0.0, 1.0)  # as the authors of PTG-RM do; a photo never leaves the range, added noise may
        seen = _resize(seen, self.side_px).clamp(0.0, 1.0) if self.input == "resize" else fit(seen, self.cell_px)
        return (seen - self.mean) / self.std


def fit(images: Images, cell_px: int, *, minimum_px: int = 1) -> PreparedImages:
    """Pixels as they are, heights and widths cut down to multiples of ``cell_px`` at the bottom and the right.

    A side shorter than a cell, or than ``minimum_px``, is enlarged to the next multiple.
    """
    least = -(-minimum_px // cell_px)
    height, width = (max(side // cell_px, least) * cell_px for side in images.shape[2:])
    larger = tuple(max(side, least) for side, least in zip(images.shape[2:], (height, width), strict=True))
    return _resize(images, larger)[:, :, :height, :width]


def run_until(module: nn.Module, layer: nn.Module, *inputs: Any, **named: Any) -> Any:
    """What ``layer`` answers when ``module`` is called; what would come after it is not computed.

    Raises:
        ModelError: ``module`` finished without asking ``layer``.
    """

    class Reached(Exception):
        def __init__(self, answer: Any) -> None:
            self.answer = answer

    def stop(_module: nn.Module, _inputs: Any, answer: Any) -> None:
        raise Reached(answer)

    hook = layer.register_forward_hook(stop)
    try:
        module(*inputs, **named)
    except Reached as reached:
        return reached.answer
    finally:
        hook.remove()
    raise ModelError(
        f"{type(module).__name__}: expected it to run the chosen layer, got an answer without that; name another"
    )


def tokens_to_map(tokens: Tokens, rows: int) -> Float[Tensor, "batch channels rows columns"]:
    """Patch tokens, row by row, as a map of ``rows`` rows."""
    return tokens.transpose(1, 2).reshape(len(tokens), tokens.shape[2], rows, -1)


def _resize(images: Images, size: tuple[int, ...]) -> PreparedImages:
    """Bicubic and antialiased, as PIL does it; images of that size already are returned as they are."""
    if tuple(images.shape[2:]) == tuple(size):
        return images
    return F.interpolate(images, size=size, mode="bicubic", antialias=True, align_corners=False)
