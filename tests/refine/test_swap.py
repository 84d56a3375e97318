"""A trained module restores with another vector in place of its prior, and its file says nothing of it."""

import json

import pytest
import torch

from restorekit.refine import METHOD
from restorekit.refine.settings import RefineConfig

CONFIG = {
    "base_network": "dense_unet",
    "base_options": {"widths": [4, 8], "blocks": [1, 1]},
    "module": {"prior_dim": 31, "width": 4, "parity": "official", "prior_use": "concat_1d"},
    "prior": "statistics",
}


@pytest.mark.parametrize("swap", ["zero", "shuffled", "mean", "random"])
def test_only_the_vector_changes(swap) -> None:
    own, swapped = (METHOD.restorer(RefineConfig(**CONFIG, swap=how)) for how in (None, swap))
    photo = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    vector = swapped.prior.features(photo)
    assert not torch.allclose(vector, own.prior.features(photo))
    assert float(vector.norm()) == pytest.approx(0.0 if swap == "zero" else 1.0, abs=1e-6)
    restored = swapped.restore(photo)
    assert torch.equal(restored, own.refine(own.base.restore(photo), photo, vector))
    assert not torch.equal(restored, own.restore(photo))


def test_swap_is_no_part_of_what_a_file_says() -> None:
    said = json.loads(METHOD.metadata(RefineConfig(**CONFIG, swap="zero"))["method_config"])
    assert said["swap"] is None
    assert said["prior"] == "statistics"
