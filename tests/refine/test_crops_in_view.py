"""A base that looks at whole photos is shown a view of the photo that a crop is from."""

import torch
from torch import nn

from restorekit.core.networks import network_restorer
from restorekit.core.networks.catalogue import build_network
from restorekit.core.networks.dense_unet import DenseUNetConfig
from restorekit.refine.restored_crops import restored_by_network, restored_by_restorer


def test_base_reads_the_view_and_restores_the_crop() -> None:
    torch.manual_seed(0)
    base = network_restorer("toned", DenseUNetConfig(widths=(4,), blocks=(1,), tones=True))
    nn.init.normal_(base.module.toner.curves.weight, std=0.3)
    crops, view = torch.rand(3, 3, 16, 16), torch.rand(3, 3, 24, 24) / 4
    seen = restored_by_restorer(base, crops, view)
    for place in range(3):
        one = slice(place, place + 1)
        expected = base.module.restore(crops[one], base.module.toner(view[one]))
        torch.testing.assert_close(seen[one], expected, atol=1e-4, rtol=1e-4)
    assert (seen - restored_by_restorer(base, crops, None)).abs().max() > 0.01


def test_base_that_sees_crops_alone_is_shown_no_view() -> None:
    base = network_restorer("plain", DenseUNetConfig(widths=(4,), blocks=(1,)))
    crops = torch.rand(2, 3, 16, 16)
    assert torch.equal(restored_by_restorer(base, crops, None), base.restore(crops))


def test_base_that_learns_reads_the_view_too_and_takes_the_route_it_is_told() -> None:
    torch.manual_seed(0)
    experts = [{"widths": (4,), "blocks": (1,)}, {"widths": (4,), "blocks": (1,), "tones": True}]
    base = build_network("routed_unets", {"experts": experts, "leads": [0.0, 3.0]})
    for expert in base.experts:
        nn.init.normal_(expert.head.weight, std=0.1)
    nn.init.normal_(base.experts[1].toner.curves.weight, std=0.3)
    degraded, view = torch.rand(3, 3, 16, 16), torch.rand(3, 3, 24, 24) / 4
    batch = {"degraded": degraded, "view": view, "choice": torch.tensor([0, -1, 1])}
    told = restored_by_network(base, degraded, batch, routes=[1, 0])
    toned = base.experts[1].restore(degraded[:1], base.experts[1].toner(view[:1]))
    torch.testing.assert_close(told, torch.cat([toned, base.experts[0].restore(degraded[1:], None)]))
    told.sum().backward()
    assert base.experts[1].toner.curves.weight.grad.abs().max() > 0
    assert base.router.logits.weight.grad is None
    found = restored_by_network(base, degraded, batch)
    torch.testing.assert_close(found, base.restore(degraded, base.read(view, degraded[:, None])))
    whole = restored_by_network(base, degraded, {"degraded": degraded}, routes=[1, 0])
    torch.testing.assert_close(whole, base(degraded))
