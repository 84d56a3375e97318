"""Patches: evenly spaced, within the image, the same from a tensor and from a view."""

import numpy as np
import pytest
import torch

from restorekit.core.image.canvas import Canvas
from restorekit.core.image.patches import PATCH_PX, cut_patches, patch_corners
from restorekit.core.restorer import InputSpec


@pytest.mark.parametrize(
    ("size", "count"), [((40, 50), 1), ((96, 96), 1), ((97, 96), 2), ((99, 99), 16), ((512, 768), 16)]
)
def test_patches_lie_apart_within_the_image_and_reach_its_edges(size, count) -> None:
    corners = patch_corners(*size)
    assert len(set(corners)) == len(corners) == count
    for axis in (0, 1):
        starts = sorted({corner[axis] for corner in corners})
        assert starts[0] == 0
        assert starts[-1] == max(size[axis] - PATCH_PX, 0)
        assert max(np.diff(starts), default=0) - min(np.diff(starts), default=0) <= 1


@pytest.mark.parametrize("size", [(30, 120), (150, 131)])
def test_a_view_cuts_the_same_patches_and_none_of_its_padding(size) -> None:
    samples = np.random.default_rng(0).random((*size, 3), dtype=np.float32)
    images = torch.from_numpy(samples).permute(2, 0, 1)[None]
    assert torch.equal(Canvas(samples, InputSpec(multiple_of=64)).patches(), cut_patches(images))
