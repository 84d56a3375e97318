"""The position features of a layer are computed once per size, and never stale."""

import copy
import pickle

import pytest
import torch

from restorekit.core.restorer import Window
from restorekit.refine.guided_convolution import GuidedConv2d

TILE = Window(0, 0, 4, 4, full_height=8, full_width=8)


def whole(height, width):
    return Window(0, 0, height, width, full_height=height, full_width=width)


@pytest.fixture
def layer():
    return GuidedConv2d(3, 0, 4, 2).double().eval()


def test_position_is_kept_for_the_next_image_of_that_size(layer) -> None:
    with torch.no_grad():
        first = layer.position(whole(4, 4))
        assert layer.position(whole(4, 4)) is first


def test_position_is_not_kept_with_gradients(layer) -> None:
    first = layer.position(whole(4, 4))
    assert first.requires_grad
    assert layer.position(whole(4, 4)) is not first


def test_position_of_a_tile_is_not_kept(layer) -> None:
    with torch.no_grad():
        first = layer.position(whole(8, 8))
        assert layer.position(TILE) is not layer.position(TILE)
        assert layer.position(whole(8, 8)) is first


def test_kept_position_follows_size_dtype_device_and_precision(layer) -> None:
    with torch.no_grad():
        position = layer.position(whole(4, 4))
        assert layer.position(whole(4, 5)).shape == (1, 4, 4, 5)
        torch.testing.assert_close(layer.position(whole(4, 4)), position)
        assert layer.float().position(whole(4, 4)).dtype == torch.float32
        with torch.autocast("cpu", torch.bfloat16):
            assert layer.position(whole(4, 4)).dtype == torch.bfloat16
        assert layer.position(whole(4, 4)).dtype == torch.float32
        assert layer.to("meta").position(whole(4, 4)).device.type == "meta"


def write(layer) -> None:
    layer.embedding.mix.weight.mul_(2)


def step(layer) -> None:
    with torch.enable_grad():
        layer.position(whole(4, 4)).sum().backward()
    torch.optim.SGD(layer.parameters(), lr=1.0).step()


def load(layer) -> None:
    layer.load_state_dict(GuidedConv2d(3, 0, 4, 2).double().state_dict())


def assign(layer) -> None:
    layer.load_state_dict(GuidedConv2d(3, 0, 4, 2).double().state_dict(), assign=True)


@pytest.mark.parametrize("change", [write, step, load, assign])
def test_kept_position_follows_the_weights(layer, change) -> None:
    with torch.no_grad():
        before = layer.position(whole(4, 4))
        change(layer)
        after = layer.position(whole(4, 4))
    assert not torch.allclose(after, before)
    torch.testing.assert_close(after, layer.position(whole(4, 4)).detach())


def test_position_kept_in_inference_mode_serves_without_it(layer) -> None:
    features = torch.randn(1, 3, 4, 4, dtype=torch.float64)
    with torch.inference_mode():
        expected = layer(features, None, layer.position(whole(4, 4))).clone()
    with torch.no_grad():
        torch.testing.assert_close(layer(features, None, layer.position(whole(4, 4))), expected)


def test_weights_made_in_inference_mode_are_no_obstacle() -> None:
    with torch.inference_mode():
        layer = GuidedConv2d(3, 0, 4, 2)
        assert layer.position(whole(4, 4)) is layer.position(whole(4, 4))


def test_copies_and_pickles_leave_the_kept_position_behind(layer) -> None:
    size = len(pickle.dumps(layer))
    with torch.no_grad():
        position = layer.position(whole(64, 64))
        assert len(pickle.dumps(layer)) == size
        for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            assert twin.position(whole(64, 64)) is not position
            torch.testing.assert_close(twin.position(whole(64, 64)), position)
