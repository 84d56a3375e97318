"""Crops of dual-pixel scenes in place of crops that are degraded here: two views, and the photo that both should be."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from restorekit.core.randomness import generator_for
from restorekit.errors import UsageError
from restorekit.refine.pairs import match_scenes
from restorekit.training.batches import CropBatches

__all__ = ["PairBatches"]


class PairBatches(CropBatches):
    """Random crops of pairs; ``Batches`` whose "degraded" has six planes, the left view's first.

    A scene is chosen, each that is as large as a crop equally likely, then a position in it, then one of four
    symmetries: upside down or not, mirrored or not. Mirroring exchanges the views, since what was left is right then;
    there are no quarter turns, since the views differ along rows alone.

    Args:
        fresh: of the folder with the pairs, ``inputL``, ``inputR`` and ``target``; see ``pairs.LAYOUTS``. Its
            degradation is not asked.

    Raises:
        UsageError: a view has no partner, or another size than it; no scene is as large as a crop.

    Differs from Restormer's training on these pairs: that turns by quarters too, and keeps the views where they are.
    The pool holds 8 bits, of DPDD's 16.
    """

    def __init__(self, fresh: CropBatches) -> None:
        views = fresh.pool.views
        scenes = match_scenes([view.name for view in views], "train", "training photos")
        for scene in scenes:
            if len({(views[number].width, views[number].height) for number in scene}) > 1:
                listed = ", ".join(f"{views[n].name} {views[n].width}x{views[n].height}" for n in scene)
                raise UsageError(f"training photos: expected one size in each scene, got {listed}; check the pairs")
        sides = [min(views[scene[0]].width, views[scene[0]].height) for scene in scenes]
        crop_px = fresh.settings.crop_px
        self._scenes = [scene for scene, side in zip(scenes, sides, strict=True) if side >= crop_px]
        if not self._scenes:
            raise UsageError(
                f"training.crop_px: expected at most {max(sides)}, the largest shorter side of the scenes, got "
                f"{crop_px}; lower it"
            )
        super().__init__(fresh.pool, fresh.degradation, fresh.settings, fresh.seed, process=fresh.process)

    def _cut(self, step: int) -> dict[str, UInt8[Tensor, "batch planes height width"]]:
        size, count = self.settings.crop_px, self.settings.batch_size
        generator = generator_for(self.seed, "pairs", step, self.process)
        chosen = torch.randint(0, len(self._scenes), (count,), generator=generator).tolist()
        places = torch.rand(count, 2, dtype=torch.float64, generator=generator).tolist()
        symmetries = torch.randint(0, 4, (count,), generator=generator).tolist()
        crops = np.empty((count, size, size, 9), np.uint8)
        for crop, number, place, symmetry in zip(crops, chosen, places, symmetries, strict=True):
            left, right, clean = (self.pool.pixels(index) for index in self._scenes[number])
            top, start = (int(p * (side - size + 1)) for p, side in zip(place, left.shape[:2], strict=True))
            mirrored = symmetry % 2 == 1
            for index, pixels in enumerate((right, left, clean) if mirrored else (left, right, clean)):
                part = pixels[top : top + size, start : start + size]
                part = part[:, ::-1] if mirrored else part
                crop[..., 3 * index : 3 * index + 3] = part[::-1] if symmetry >= 2 else part
        planes = torch.from_numpy(crops).permute(0, 3, 1, 2)
        return {"crops": planes[:, 6:], "views": planes[:, :6]}

    def _degraded(self, step: int, parts: Mapping[str, Tensor]) -> dict[str, Float[Tensor, "batch 6 height width"]]:  # noqa: ARG002
        return {"degraded": parts["views"].float() / 255}
