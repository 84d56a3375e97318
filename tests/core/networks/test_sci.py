"""SCI has the published size at inference, and its stages are those of the paper."""

import numpy as np
import pytest
import torch

from restorekit.core.image.tiling import TilingOptions, restore_samples
from restorekit.core.networks import PUBLISHED, NetworkRestorer, configure, count_macs, count_parameters
from restorekit.core.networks.sci import SCIConfig


def conv(inside: int, outside: int) -> int:
    return 9 * inside * outside + outside


def test_sci_has_the_published_size() -> None:
    """0.0003 M parameters, 0.0619 GFLOPs at 600x400: the published count has one operation for each parameter."""
    config = configure(*PUBLISHED["sci"])
    assert count_parameters(config) == 3 * conv(3, 3) + 2 * 3 == 258
    assert count_macs(config, height_px=400, width_px=600) == 3 * 81 * 400 * 600
    assert round(258 * 400 * 600 / 1e9, 4) == 0.0619


def test_training_needs_the_calibrator_and_inference_does_not() -> None:
    config = SCIConfig()
    norms = 3 * 2 * 16
    assert count_parameters(config) == 258 + conv(3, 16) + 2 * conv(16, 16) + conv(16, 3) + norms == 5_877
    assert count_macs(config) == count_macs(SCIConfig(stages=1))
    trained = config.build()
    kept = SCIConfig(stages=1).build()
    kept.load_state_dict({name: t for name, t in trained.state_dict().items() if not name.startswith("calibrator.")})
    images = torch.rand(1, 3, 5, 7)
    assert torch.equal(kept.eval()(images), trained.eval()(images))


def test_stages_divide_the_dark_image_by_the_illumination_of_the_corrected_one() -> None:
    torch.manual_seed(0)
    network = SCIConfig().build().eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    dark = 0.3 * torch.rand(2, 3, 9, 11)
    stages = network.enhancement_stages(dark)
    assert len(stages) == 3
    assert stages[0][0] is dark
    torch.testing.assert_close(stages[0][1], network(dark))
    for index, (corrected, lit, illumination) in enumerate(stages):
        torch.testing.assert_close(illumination, network.estimator(corrected))
        torch.testing.assert_close(lit, torch.minimum(dark / illumination, torch.ones(())))
        if index:
            torch.testing.assert_close(corrected, dark + network.calibrator(stages[index - 1][1]))
            assert not torch.equal(corrected, stages[index - 1][0])


def test_estimator_is_the_formula() -> None:
    torch.manual_seed(0)
    estimator = SCIConfig().build().eval().double().estimator
    norm = estimator.middle[1]
    torch.nn.init.uniform_(norm.running_mean)
    torch.nn.init.uniform_(norm.running_var, 0.5, 2)
    images = torch.rand(1, 3, 4, 5, dtype=torch.float64)
    features = estimator.stem(images).clamp_min(0)
    scaled = (estimator.middle[0](features) - norm.running_mean[:, None, None]) / (
        norm.running_var[:, None, None] + 1e-5
    ).sqrt()
    features = features + scaled.clamp_min(0)  # a fresh norm neither scales nor shifts
    expected = 1 / (1 + torch.exp(-estimator.head(features))) + images
    torch.testing.assert_close(estimator(images), expected.clamp(1e-4, 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.2, 1.0])
def test_no_result_is_darker_than_its_image(value: float) -> None:
    restored = SCIConfig().build().eval()(torch.full((1, 3, 4, 4), value))
    assert (restored >= value).all()
    assert (restored <= 1).all()
    torch.testing.assert_close(restored, torch.full_like(restored, value / min(value + 0.5, 1)), atol=0.01, rtol=0)


def test_every_weight_learns_from_the_stages() -> None:
    torch.manual_seed(0)
    network = SCIConfig(calibrator_width=4).build()
    sum(
        illumination.square().sum() for _, _, illumination in network.enhancement_stages(0.3 * torch.rand(2, 3, 9, 9))
    ).backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


def test_receptive_field_is_what_gradients_reach() -> None:
    config = SCIConfig()
    network = config.build().eval().double()
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, 0.01, 0.1)  # every ReLU is open and no two paths cancel
    images = (0.1 * torch.rand(1, 3, 1, 17, dtype=torch.float64)).requires_grad_()
    network.estimator(images)[..., 8].sum().backward()
    touched = images.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    assert [int(touched.min()), int(touched.max())] == [8 - config.receptive_field_px, 8 + config.receptive_field_px]


def test_tiled_equals_whole_at_odd_sizes() -> None:
    restorer = NetworkRestorer("illumination", SCIConfig())
    for parameter in restorer.module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    photo = 0.3 * np.random.default_rng(0).random((97, 131, 3), dtype=np.float32)
    whole = restore_samples(restorer, photo)
    np.testing.assert_allclose(restore_samples(restorer, photo, TilingOptions(tile_px=64)), whole, atol=1e-5)
    assert np.abs(whole - photo).max() > 0.01
