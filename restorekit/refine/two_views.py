"""Dual-pixel pairs, restored: a network from six planes to three, and the refinement of its result.

The core cuts and blends photos of three planes. So each pair becomes a restorer of its left view, which the core cuts;
the right view is read at the same places, beside it. A pair of any size thus needs the memory of a tile.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from restorekit.core.image.canvas import Canvas
from restorekit.core.image.convention import Images, Samples, check_images, convert_depth
from restorekit.core.image.files import read_image, write_image
from restorekit.core.image.pairs import list_images
from restorekit.core.image.tiling import TilingOptions, restore_samples
from restorekit.core.networks.base import NetworkConfig
from restorekit.core.networks.restorer import ModuleRestorer, NetworkRestorer, network_spec
from restorekit.core.restorer import InputSpec, WholeView, Window
from restorekit.errors import ImageError, ModelError
from restorekit.refine.config import RefinementConfig
from restorekit.refine.pairs import left_name, match_scenes
from restorekit.refine.restorer import RefinedRestorer, Surveyed, samples_of
from restorekit.refine.shapes import DegradedImages

__all__ = ["DualPixelRestorer", "TwoViewNetwork"]


class TwoViewNetwork(NetworkRestorer):
    """A network of dual-pixel pairs, six planes to three, with the weights of a file; arguments as ``NetworkRestorer``.

    Raises:
        ModelError: a network for other planes, or one that looks at the whole photo first.
    """

    def __init__(self, name: str, config: NetworkConfig, weights: Path | None = None) -> None:
        if config.planes != (6, 3) or config.surveyed:
            raise ModelError(f"{name}: expected a network from 6 planes to 3 that needs no survey, got {config!r}")
        ModuleRestorer.__init__(self, name, (3, 3), network_spec(config))  # of the left view, beside the right one
        self.config = config
        self.weights = weights

    def restore(self, degraded: Images, *, generator: torch.Generator | None = None) -> Images:  # noqa: ARG002
        """Always refuses.

        Raises:
            ImageError: always; one photo is no pair.
        """
        raise _one_photo(self.name)

    def survey_views(self, view: WholeView, right: Canvas) -> None:
        """Nothing: tiles need to know nothing of the whole pair."""

    def restore_views(self, views: DegradedImages, code: None, window: Window) -> Images:  # noqa: ARG002
        """The photo of a tile of both views, (batch, 6, height, width)."""
        with torch.inference_mode():
            here = views.to(self.device, torch.float32)
            network = self.module
            return self._run(lambda left: network(torch.cat([left, here[:, 3:]], dim=1)), here[:, :3])


class DualPixelRestorer(RefinedRestorer):
    """PTG-RM on top of a network of dual-pixel pairs; the prior sees the mean of both views.

    Arguments and errors as for ``RefinedRestorer``, whose ``restore`` it refuses: use ``restore_pair``,
    ``restore_pair_samples`` or ``restore_pair_folder``.
    """

    base: TwoViewNetwork

    def restore_pair(self, left: Tensor, right: Tensor, options: TilingOptions | None = None) -> Images:
        """The photos of pairs in memory, each by itself, on the device of ``left``, not clamped.

        Args:
            left, right: (batch, 3, height, width), nominally in [0, 1], of any size.
            options: how they are cut.

        Raises:
            ImageError: no images, or views of two shapes.
            ModelError, DependencyError, MemoryLimitError: as ``RefinedRestorer`` raises them.
        """
        for images in (left, right):
            check_images(images, self.name)
        self._ensure_alike(left.shape, right.shape)
        views = [images.detach().float().cpu().permute(0, 2, 3, 1).numpy() for images in (left, right)]
        restored = [self.restore_pair_samples(*pair, options=options) for pair in zip(*views, strict=True)]
        return torch.from_numpy(np.stack(restored)).permute(0, 3, 1, 2).contiguous().to(left.device)

    def restore_pair_samples(
        self, left: Samples, right: Samples, *, options: TilingOptions | None = None, dtype: npt.DTypeLike | None = None
    ) -> Samples:
        """The photo of a pair of any size in bounded memory, (height, width, 1 or 3) in the depth of ``left`` unless
        ``dtype`` is another; errors as for ``restore_pair``.
        """
        self._ensure_alike(left.shape, right.shape)
        return restore_samples(_LeftView(self, right), left, options, dtype=dtype)

    def restore_pair_folder(self, folder: str | Path, output: str | Path) -> list[Path]:
        """Restore the pairs of a folder, ``inputL`` and ``inputR``, into files that are called as the left views.

        Args:
            folder: see ``pairs.LAYOUTS``.
            output: a folder; results have the format and the depth of the left views.

        Returns:
            The files that were written, in sorted order.

        Raises:
            UsageError: a view has no partner; all of those are named.
            ImageError: a view cannot be read, or has another size than its partner: the message names both.
            ModelError, DependencyError, MemoryLimitError: as ``RefinedRestorer`` raises them.
        """
        files, written = list_images([folder]), []
        for pair in match_scenes([item.name for item in files], "restore", str(folder)):
            left, right = (read_image(files[number].path) for number in pair)
            self._ensure_alike(left.samples.shape, right.samples.shape, *(files[number].name for number in pair))
            target = Path(output) / left_name(files[pair[0]].name)
            write_image(target, self.restore_pair_samples(left.samples, right.samples), record=left.record)
            written.append(target)
        return written

    def survey(self, view: WholeView) -> Surveyed:  # noqa: ARG002
        """Always refuses.

        Raises:
            ImageError: always; one photo is no pair.
        """
        raise _one_photo(self.name)

    def survey_views(self, view: WholeView, right: Canvas) -> Surveyed:
        """What ``restore_views`` needs to know of a whole pair, the left view of which is ``view``."""
        left = samples_of(view)
        restored = restore_samples(_LeftView(self.base, right.samples), left, dtype=np.float32)
        both = _BothViews(left, right.samples, self.spec)
        return self.known(both, restored, Canvas(_mean(left, right.samples), self.spec))

    def restore_views(self, views: DegradedImages, code: Surveyed, window: Window) -> Images:
        """Refine one tile of a pair, (1, 6, height, width), given its survey."""
        return self.refine_tile(views, code, window)

    def _ensure_alike(self, left: Any, right: Any, *names: str) -> None:
        if tuple(left) != tuple(right):
            views = " and ".join(names) or "a left and a right view"
            raise ImageError(f"{self.name}: expected {views} of one shape, got {tuple(left)} and {tuple(right)}")

    @staticmethod
    def _planes(config: RefinementConfig) -> tuple[int, int]:
        """Of the left view, beside the right one."""
        return config.degraded_planes // 2, config.restored_planes


class _LeftView:
    """A ``GlobalRestorer`` of the one left view that belongs to a right one."""

    def __init__(self, paired: TwoViewNetwork | DualPixelRestorer, right: Samples) -> None:
        self.name = paired.name
        self.spec = replace(paired.spec, tiling="shared")
        self.device = paired.device
        self._paired = paired
        self._right = Canvas(right, self.spec)

    def to(self, device: torch.device, precision: str = "float32") -> "_LeftView":  # noqa: ARG002
        return self

    def survey(self, view: WholeView) -> Any:
        return self._paired.survey_views(view, self._right)

    def restore_tile(
        self,
        degraded: Images,
        code: Any,
        *,
        window: Window,
        generator: torch.Generator | None = None,  # noqa: ARG002
    ) -> Images:
        return self._paired.restore_views(torch.cat([degraded, self._right.read(window)], dim=1), code, window)

    def restore(self, degraded: Images, *, generator: torch.Generator | None = None) -> Images:  # noqa: ARG002
        raise _one_photo(self.name)


class _BothViews(Canvas):
    """Left and right view as one canvas of six planes."""

    def __init__(self, left: Samples, right: Samples, spec: InputSpec) -> None:
        super().__init__(left, spec)
        self._right = Canvas(right, spec)

    def read(self, window: Window) -> DegradedImages:
        """The pixels of one window of both views, the left one's first."""
        return torch.cat([super().read(window), self._right.read(window)], dim=1)


def _mean(left: Samples, right: Samples) -> npt.NDArray[np.float32]:
    """In [0, 1]."""
    total: npt.NDArray[np.float32] = np.add(*(convert_depth(samples, np.float32) for samples in (left, right)))
    total *= np.float32(0.5)
    return total


def _one_photo(name: str) -> ImageError:
    return ImageError(
        f"{name}: expected the left and the right view of a dual-pixel pair, got one photo; give both in Python: "
        "restorekit.load(MODEL).restore_pair(left, right), or restore_pair_folder(FOLDER, OUT) for files"
    )
