import pytest
import torch
from torch import nn

from restorekit.constyle.encoder import ConStyleEncoder
from restorekit.constyle.momentum import MomentumEncoder


def moved(encoder: ConStyleEncoder) -> ConStyleEncoder:
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(torch.randn_like(parameter))
    return encoder


def test_momentum_encoder_starts_as_a_copy() -> None:
    encoder = ConStyleEncoder(width=2)
    images = torch.rand(2, 3, 16, 16)
    copied = MomentumEncoder(encoder, momentum=0.9, buffers=True).read(images)
    assert torch.equal(copied.code, encoder(images).code)
    assert not copied.code.requires_grad


def test_momentum_encoder_follows_by_its_closed_form() -> None:
    encoder = ConStyleEncoder(width=2)
    follower = MomentumEncoder(encoder, momentum=0.9, buffers=True)
    start = {name: parameter.detach().clone() for name, parameter in encoder.named_parameters()}
    moved(encoder)
    for _ in range(7):
        follower.follow()
    for name, target in encoder.named_parameters():
        expected = 0.9**7 * start[name] + (1 - 0.9**7) * target.detach()
        torch.testing.assert_close(follower.state_dict()[name], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("buffers", [True, False])
def test_momentum_encoder_takes_running_statistics_only_if_asked(buffers: bool) -> None:
    encoder = ConStyleEncoder("official", 2)
    follower = MomentumEncoder(encoder, momentum=0.75, buffers=buffers)
    norm = encoder.head[1]
    assert isinstance(norm, nn.BatchNorm1d)
    norm.running_mean.fill_(8.0)
    norm.num_batches_tracked.fill_(5)
    follower.follow()
    state = follower.state_dict()
    assert torch.equal(state["head.1.running_mean"], torch.full((128,), 2.0 if buffers else 0.0))
    assert int(state["head.1.num_batches_tracked"]) == (5 if buffers else 0)


def test_momentum_encoder_normalises_by_the_batch_as_the_release_does() -> None:
    encoder = ConStyleEncoder("official", 2)
    encoder.eval()
    follower = MomentumEncoder(encoder, momentum=0.9, buffers=False)
    images = torch.rand(4, 3, 16, 16)
    expected = encoder.train()(images).code
    assert torch.equal(follower.read(images).code, expected)
