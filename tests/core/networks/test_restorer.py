"""Networks as restorers: lazy, picklable, placed, exact about weights that do not fit."""

import pickle

import pytest
import torch

from restorekit.core.networks import NetworkRestorer, configure
from restorekit.core.networks.measure import working_memory
from restorekit.core.networks.restorer import MEMORY_MARGIN, UNBOUNDED_HALO_PX, network_spec
from restorekit.core.restorer import InputSpec, Restorer
from restorekit.core.weights import save_weights
from restorekit.errors import ImageError, ModelError, UsageError

TINY = {"widths": [4, 6], "blocks": [1, 1]}


@pytest.fixture
def config():
    return configure("dense_unet", TINY)


@pytest.fixture
def network(config):
    torch.manual_seed(3)
    network = config.build()
    torch.nn.init.normal_(network.head.weight, std=0.1)
    return network.eval()


@pytest.fixture
def weights(network, tmp_path):
    return save_weights(tmp_path / "tiny.safetensors", network.half().state_dict()).path


def test_restorer_computes_what_the_network_does(config, network, weights) -> None:
    restorer = NetworkRestorer("dense", config, weights)
    assert isinstance(restorer, Restorer)
    images = torch.rand(2, 3, 16, 24)
    restored = restorer.restore(images)
    assert restored.dtype == torch.float32
    torch.testing.assert_close(restored, network.float()(images).detach())  # stored as float16, computed in float32
    assert restorer.module.head.weight.dtype == torch.float32
    assert not restorer.module.training


def test_restorer_reads_no_file_until_first_use(config, tmp_path) -> None:
    restorer = NetworkRestorer("dense", config, tmp_path / "absent.safetensors")
    assert restorer.parameters == sum(parameter.numel() for parameter in config.build().parameters())
    with pytest.raises(ModelError, match=r"absent\.safetensors: expected a weight file here, got nothing"):
        restorer.restore(torch.rand(1, 3, 8, 8))


def test_pickled_restorer_carries_no_weights_and_restores_the_same(config, weights) -> None:
    restorer = NetworkRestorer("dense", config, weights).to(torch.device("cpu"), "bfloat16")
    images = torch.rand(1, 3, 16, 16)
    restored = restorer.restore(images)
    packed = pickle.dumps(restorer)
    assert len(packed) < weights.stat().st_size
    awake = pickle.loads(packed)
    assert awake.precision == "bfloat16"
    assert torch.equal(awake.restore(images), restored)


def test_fresh_weights_are_the_same_each_time_and_leave_the_random_state_alone(config) -> None:
    state = torch.random.get_rng_state()
    first, second = (NetworkRestorer("dense", config).module.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_bfloat16_is_close_and_returns_float32(config, weights) -> None:
    images = torch.rand(1, 3, 32, 32)
    exact = NetworkRestorer("dense", config, weights).restore(images)
    coarse = NetworkRestorer("dense", config, weights).to(torch.device("cpu"), "bfloat16").restore(images)
    assert coarse.dtype == torch.float32
    assert 0 < (coarse - exact).abs().max() < 0.02


def test_unknown_precision_is_refused(config) -> None:
    with pytest.raises(UsageError, match="expected one of auto, float32, bfloat16, float16, got 'half'"):
        NetworkRestorer("dense", config).to(torch.device("cpu"), "half")


def test_result_may_enter_a_differentiated_computation(config, weights) -> None:
    scale = torch.ones(1, requires_grad=True)
    (NetworkRestorer("dense", config, weights).restore(torch.rand(1, 3, 8, 8)) * scale).sum().backward()
    assert scale.grad is not None


def test_input_stays_as_it_was_and_is_checked(config, weights) -> None:
    restorer = NetworkRestorer("dense", config, weights)
    images = torch.rand(1, 3, 8, 8)
    before = images.clone()
    restorer.restore(images)
    assert torch.equal(images, before)
    with pytest.raises(ImageError, match="dense: expected finite values"):
        restorer.restore(torch.full((1, 3, 8, 8), torch.nan))


def test_gray_network_restores_each_colour_by_itself_and_gray_once() -> None:
    restorer = NetworkRestorer("gray", configure("dense_unet", TINY | {"channels": 1}))
    torch.nn.init.normal_(restorer.module.head.weight, std=0.1)
    colour = torch.rand(2, 3, 8, 16)
    each = [restorer.module(colour[:, index : index + 1]) for index in range(3)]
    torch.testing.assert_close(restorer.restore(colour), torch.cat(each, dim=1).detach())
    sizes = []
    restorer.module.register_forward_hook(lambda module, inputs, output: sizes.append(tuple(inputs[0].shape)))
    gray = colour[:, :1].expand(2, 3, 8, 16)
    torch.testing.assert_close(restorer.restore(gray), each[0].expand(2, 3, 8, 16).detach())
    assert sizes == [(2, 1, 8, 16)]


def test_network_for_other_planes_is_refused() -> None:
    with pytest.raises(ModelError, match=r"dual: expected a network from 3 planes to 3 .* got 6 to 3"):
        NetworkRestorer("dual", configure("restormer", {"in_channels": 6, "dual_pixel": True}), spec=InputSpec())


def test_spec_follows_from_the_configuration(config) -> None:
    spec = network_spec(config)
    assert (spec.multiple_of, spec.halo, spec.tiling) == (4, config.receptive_field_px, "overlap")
    assert network_spec(configure("nafnet", {"width": 2})).halo == UNBOUNDED_HALO_PX
    assert spec.bytes_per_pixel == int(MEMORY_MARGIN * working_memory(config))


def test_weights_of_another_size_are_refused_with_both_shapes(weights) -> None:
    wider = configure("dense_unet", {"widths": [8, 6], "blocks": [1, 1]})
    with pytest.raises(
        ModelError, match=r"expected stem\.weight of shape \(8, 12, 3, 3\), got \(4, 12, 3, 3\) \(\d+ of"
    ):
        NetworkRestorer("dense", wider, weights).restore(torch.rand(1, 3, 8, 8))


def test_missing_and_unexpected_weights_are_counted(weights) -> None:
    deeper = configure("dense_unet", {"widths": [4, 6], "blocks": [1, 2]})
    message = (
        r"tiny.safetensors: expected 24 tensors, 4 are missing, the first is middle\.1\.first\.weight; build DenseUNet"
    )
    with pytest.raises(ModelError, match=message):
        NetworkRestorer("dense", deeper, weights).restore(torch.rand(1, 3, 8, 8))
    flatter = configure("dense_unet", {"widths": [4, 6], "blocks": [1, 0]})
    with pytest.raises(ModelError, match=r"got 4 tensors that are not expected, the first is middle\.0\.first"):
        NetworkRestorer("dense", flatter, weights).restore(torch.rand(1, 3, 8, 8))
