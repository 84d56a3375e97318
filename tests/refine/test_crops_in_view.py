"""A base that looks at whole photos is shown a view of the photo that a crop is from."""

import torch
from torch import nn

from restorekit.core.networks import network_restorer
from restorekit.core.networks.dense_unet import DenseUNetConfig
from restorekit.refine.task import _restored_seen


def test_base_reads_the_view_and_restores_the_crop() -> None:
    torch.manual_seed(0)
    base = network_restorer("toned", DenseUNetConfig(widths=(4,), blocks=(1,), tones=True))
    nn.init.normal_(base.module.toner.curves.weight, std=0.3)
    crops, view = torch.rand(3, 3, 16, 16), torch.rand(3, 3, 24, 24) / 4
    seen = _restored_seen(base, crops, view)
    for place in range(3):
        one = slice(place, place + 1)
        expected = base.module.restore(crops[one], base.module.toner(view[one]))
        torch.testing.assert_close(seen[one], expected, atol=1e-4, rtol=1e-4)
    assert (seen - _restored_seen(base, crops, None)).abs().max() > 0.01


def test_base_that_sees_crops_alone_is_shown_no_view() -> None:
    base = network_restorer("plain", DenseUNetConfig(widths=(4,), blocks=(1,)))
    crops = torch.rand(2, 3, 16, 16)
    assert torch.equal(_restored_seen(base, crops, None), base.restore(crops))
