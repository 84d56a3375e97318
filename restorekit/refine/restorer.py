"""Any restorer, refined: what it makes of the whole photo is found once, then the module refines it tile by tile.

- The base restores the photo through the core's tiler, as it would by itself: its own survey, halo and cross-fades. Its
  result stays in memory as float32, 12 bytes per pixel; the survey of the module and all tiles read it from there.
- The prior sees the whole photo, once: an overview, or, if it is a ``WholePhotoPrior``, whatever it asks for.
- The statistics of the photo are found when the first tile needs them. A photo that fits one tile needs none.
- A gray module refines the three planes of a photo side by side, as a batch; of a gray photo one plane is enough.
"""

import copy
import math
from collections.abc import Callable, Iterator
from functools import cache, cached_property, partial
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from restorekit.core.image.canvas import Canvas, TensorView
from restorekit.core.image.convention import Images, Samples, check_images, from_images
from restorekit.core.image.tiling import restore_samples
from restorekit.core.networks.base import PlainImages
from restorekit.core.networks.measure import peak_bytes_per_pixel
from restorekit.core.networks.restorer import MEMORY_MARGIN, ModuleRestorer
from restorekit.core.prior import FeaturePrior, PriorVectors
from restorekit.core.restorer import InputSpec, Restorer, WholeView, Window
from restorekit.errors import DependencyError, ModelError
from restorekit.refine.config import RefinementConfig
from restorekit.refine.module import HALO_PX, MULTIPLE_OF, RefinementModule
from restorekit.refine.shapes import DegradedImages, Prior
from restorekit.refine.statistics import Statistics
from restorekit.refine.survey import TilePair, survey

__all__ = ["OVERVIEW_PX", "RefinedRestorer", "Surveyed", "WholePhotoPrior", "prior_of", "refined", "samples_of"]

OVERVIEW_PX = 512
"""Longer side, in px, of the overview that a prior sees of a photo; networks squeeze it further, most to 224 px."""


@runtime_checkable
class WholePhotoPrior(Protocol):
    """A ``FeaturePrior`` that an overview would mislead: it looks at all pixels of a photo by itself."""

    cell_px: int
    """Tiles of the view start at multiples of this, in px."""

    def features_of(self, view: WholeView) -> PriorVectors:
        """The vector of a whole photo, (1, dim), unit length."""
        ...


def refined(
    base: Restorer, module: RefinementModule, prior: FeaturePrior | None = None, *, name: str = "refined"
) -> "RefinedRestorer":
    """Any restorer, refined by a module in memory, guided by any prior.

    Args:
        base: restores first; shared, not copied, and moved along by ``to``.
        module: copied, so that the original may be trained on; a pickled restorer carries it.
        prior: the one that the module was trained with, or a control in its place; None for ``prior_use = "none"``.
        name: for messages and tables.

    Raises:
        ModelError: a module for dual-pixel pairs, or without the prior that it asks for.
    """
    return RefinedRestorer(name, base, module.config, partial(_copied, copy.deepcopy(module).cpu()), prior)


class RefinedRestorer(ModuleRestorer):
    """A ``GlobalRestorer``: PTG-RM on top of any restorer.

    Args:
        name: as given to ``--model``.
        base: restores first.
        config: of the module.
        load: makes the module on the CPU in float32; called on first use, and again after unpickling. It travels with
            a pickled restorer.
        prior: what guides the module.
        without_prior: for messages, what can be done where the prior's weights are absent.

    Raises:
        ModelError: a module for dual-pixel pairs, or without the prior that it asks for.
    """

    def __init__(
        self,
        name: str,
        base: Restorer,
        config: RefinementConfig,
        load: Callable[[], nn.Module],
        prior: FeaturePrior | None = None,
        *,
        without_prior: str = "",
    ) -> None:
        super().__init__(name, self._planes(config), _spec(config, prior))
        if prior is None and config.prior_use != "none":
            raise ModelError(
                f"{name}: expected the prior that the module was trained with, got none; pass one, or a ZeroPrior to "
                "see the module without"
            )
        self.base = base
        self.config = config
        self.prior = prior if config.prior_use != "none" else None
        self._load = load
        self._without_prior = without_prior

    def load(self) -> nn.Module:
        """The module with its weights, on the CPU.

        Raises:
            ModelError: the weights are absent, damaged, or of another module.
        """
        return self._load()

    def to(self, device: torch.device, precision: str = "float32") -> "RefinedRestorer":
        """This restorer, moved, its base and its prior with it; see ``ModuleRestorer.to``."""
        super().to(device, precision)
        self.base = self.base.to(device, precision)
        self.prior = None if self.prior is None else self.prior.to(device, precision)
        return self

    def survey(self, view: WholeView) -> "Surveyed":
        """The base's result for the whole photo, and what the prior says of it; a base that draws does so from seed 0.

        Raises:
            DependencyError: the prior's weights are absent.
            ModelError, MemoryLimitError: as the base raises them.
        """
        degraded = samples_of(view)
        restored = restore_samples(self.base, degraded, dtype=np.float32)
        planes = 1 if self.planes == (1, 1) and _is_gray(degraded) and _is_gray(restored) else 3
        return self.known(view, restored, view, planes=planes)

    def known(self, degraded: WholeView, restored: Samples, seen: WholeView, *, planes: int = 3) -> "Surveyed":
        """The survey of a photo once its base has restored it; the prior looks at ``seen``."""
        with torch.inference_mode():
            return Surveyed(self, degraded, Canvas(restored, self.spec), self._look(seen), planes)

    def restore_tile(
        self,
        degraded: Images,
        code: "Surveyed",
        *,
        window: Window,
        generator: torch.Generator | None = None,  # noqa: ARG002  (nothing here is random)
    ) -> Images:
        """Refine one tile of a photo given its survey; errors as in ``restore``."""
        check_images(degraded, self.name)
        return self.refine_tile(degraded, code, window)

    def refine_tile(self, degraded: DegradedImages, code: "Surveyed", window: Window) -> Images:
        """``restore_tile`` for whatever planes the module takes."""
        is_whole = (window.height, window.width) == (window.full_height, window.full_width)
        with torch.inference_mode():
            pair = TilePair(code.restored.read(window), degraded, window, window)
            statistics = None if is_whole else code.statistics
            restored = self._refine(pair, code.prior, statistics, planes=code.planes).to(degraded.device)
        return restored if torch.is_inference_mode_enabled() else restored.clone()

    def restore(self, degraded: Images, *, generator: torch.Generator | None = None) -> Images:
        """Restore and refine whole photos, each surveyed on its own; see ``ModuleRestorer.restore``."""
        check_images(degraded, self.name)
        restored = []
        for photo in torch.split(degraded, 1):
            view = TensorView(photo)
            restored.append(self.restore_tile(photo, self.survey(view), window=view.whole(), generator=generator))
        return torch.cat(restored)

    def refine(self, restored: Images, degraded: Images, prior: Prior | None) -> Images:
        """The module alone, on whole images whose sizes are multiples of 4 px; same device as ``degraded``."""
        height, width = degraded.shape[2:]
        window = Window(0, 0, height, width, full_height=height, full_width=width)
        with torch.inference_mode():
            result = self._refine(TilePair(restored, degraded, window, window), prior, None).to(degraded.device)
        return result if torch.is_inference_mode_enabled() else result.clone()

    def statistics_of(self, surveyed: "Surveyed") -> Statistics:
        """What the module must know of a whole photo to refine its tiles."""

        def tiles(halo: int) -> Iterator[TilePair]:
            for tile, window, core in surveyed.view.tiles(halo=halo):
                restored = self._folded(self._here(surveyed.restored.read(window)), surveyed.planes)
                yield TilePair(restored, self._folded(self._here(tile), surveyed.planes), window, core)

        half = self.precision != "float32"
        dtype = getattr(torch, self.precision) if half else None
        with torch.inference_mode(), torch.autocast(self.device.type, dtype, enabled=half):
            return survey(self.module, tiles, self._given(surveyed.prior, surveyed.planes))  # type: ignore[arg-type]

    def _refine(
        self, pair: TilePair, prior: Prior | None, statistics: Statistics | None, *, planes: int = 3
    ) -> PlainImages:
        restored, degraded = (self._folded(self._here(images), planes) for images in (pair.restored, pair.degraded))
        given = self._given(prior, planes)
        run = partial(self.module, degraded=degraded, prior=given, statistics=statistics, window=pair.window)
        refined = self._run(run, restored)
        if self.planes == (3, 3):
            return refined
        return refined.reshape(-1, planes, *refined.shape[2:]).expand_as(pair.restored)

    def _folded(self, images: DegradedImages, planes: int) -> Float[Tensor, "folded planes height width"]:
        """As the module takes them: for a gray one the first ``planes`` planes of each image, one after the other."""
        return images if self.planes == (3, 3) else images[:, :planes].flatten(0, 1)[:, None]

    def _given(self, prior: Prior | None, planes: int) -> Tensor | None:
        """The prior of each image, for a gray module once for each of its planes."""
        if prior is None:
            return None
        return prior.to(self.device).repeat_interleave(1 if self.planes == (3, 3) else planes, dim=0)

    def _look(self, view: WholeView) -> Prior | None:
        """What the prior says of the whole photo, on this restorer's device."""
        if self.prior is None:
            return None
        try:
            if isinstance(self.prior, WholePhotoPrior) and self.config.prior_use != "concat_2d":
                return self.prior.features_of(view).to(self.device)
            return prior_of(self.prior, view.overview(OVERVIEW_PX), self.config).to(self.device)
        except DependencyError as error:
            raise DependencyError(f"{self.name}: {error}{self._without_prior}") from error

    def _here(self, images: PlainImages) -> PlainImages:
        return images.to(self.device, torch.float32)

    @staticmethod
    def _planes(config: RefinementConfig) -> tuple[int, int]:
        """Planes of photos that the module takes and gives."""
        return config.degraded_planes, config.restored_planes


class Surveyed:
    """What is known of a whole photo."""

    def __init__(
        self, restorer: RefinedRestorer, view: WholeView, restored: Canvas, prior: Prior | None, planes: int
    ) -> None:
        self.view = view
        self.planes = planes
        self.restored = restored
        self.prior = prior
        self._restorer = restorer

    @cached_property
    def statistics(self) -> Statistics:
        """Found when first asked for: seven passes over the photo."""
        return self._restorer.statistics_of(self)


def prior_of(prior: FeaturePrior, images: Images, config: RefinementConfig) -> Prior:
    """What a prior says of whole images, in the form that a module of this configuration takes."""
    return prior.feature_map(images) if config.prior_use == "concat_2d" else prior.features(images)


def _is_gray(samples: Samples) -> bool:
    return bool((samples == samples[..., :1]).all())


def _copied(module: RefinementModule) -> nn.Module:
    return copy.deepcopy(module)  # what is placed on a device is not what a pickle carries


def samples_of(view: WholeView) -> Samples:
    """The photo behind a view; put together from its tiles if the view is none of the core's."""
    if isinstance(view, Canvas):
        return view.samples
    samples = np.empty((view.height, view.width, 3), np.float32)
    for tile, _, core in view.tiles():
        rows, columns = slice(core.top, core.top + core.height), slice(core.left, core.left + core.width)
        samples[rows, columns] = from_images(tile, np.float32)
    return samples


def _spec(config: RefinementConfig, prior: FeaturePrior | None) -> InputSpec:
    """The module's own needs; those of the base are met where it runs."""
    multiple_of = math.lcm(MULTIPLE_OF, prior.cell_px if isinstance(prior, WholePhotoPrior) else 1)
    side_by_side = 3 // config.restored_planes
    return InputSpec(
        multiple_of=multiple_of,
        minimum=multiple_of,
        tiling="shared",
        halo=HALO_PX,
        bytes_per_pixel=int(MEMORY_MARGIN * side_by_side * _working_memory(config)),
    )


@cache
def _working_memory(config: RefinementConfig) -> int:
    """Largest number of bytes, per pixel, that the module needs at once in float32."""
    with torch.device("meta"):
        module = RefinementModule(config).eval()
        prior = torch.empty(1, config.prior_dim, *((7, 7) if config.prior_use == "concat_2d" else ()))
        images = torch.empty(1, config.degraded_planes, 128, 128)
    return peak_bytes_per_pixel(lambda degraded: module(degraded[:, : config.restored_planes], degraded, prior), images)
