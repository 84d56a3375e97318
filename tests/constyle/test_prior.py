"""The ConStyle encoder as a prior: unit length, exact on large photos, read from a run or from inside another file."""

import pickle
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from restorekit.constyle.encoder import ConStyleEncoder
from restorekit.constyle.prior import ConStylePrior, encoder_from
from restorekit.core.image.canvas import TensorView
from restorekit.core.prior import FeaturePrior
from restorekit.core.weights import load_weights, save_weights
from restorekit.errors import ModelError
from restorekit.zoo import method_of


@pytest.fixture
def encoder() -> ConStyleEncoder:
    torch.manual_seed(0)
    return ConStyleEncoder(width=2).eval()


@pytest.fixture
def prior(encoder, tmp_path) -> ConStylePrior:
    path = tmp_path / "run.safetensors"
    save_weights(path, {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()})
    return ConStylePrior("constyle:run", partial(load_weights, path), str(path))


def test_features_are_the_encoders_codes_at_unit_length(prior, encoder) -> None:
    assert isinstance(prior, FeaturePrior)
    images = torch.rand(2, 3, 48, 64)
    expected = F.normalize(encoder(images).code.detach())
    torch.testing.assert_close(prior.features(images), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        prior.features_of(TensorView(images[:1], tile_px=32)), expected[:1], atol=1e-5, rtol=1e-4
    )
    assert prior.dim == 128
    assert not prior.features(images.requires_grad_()).requires_grad


@pytest.mark.parametrize(("height", "width"), [(33, 50), (7, 9)])
def test_any_size_has_features_and_a_map(prior, height, width) -> None:
    images = torch.rand(2, 3, height, width)
    assert prior.features(images).shape == (2, 128)
    maps = prior.feature_map(images)
    assert maps.shape == (2, 16, max(height // 8, 1), max(width // 8, 1))


def test_weights_do_not_travel_but_are_found_again(prior) -> None:
    images = torch.rand(1, 3, 32, 32)
    expected = prior.features(images)
    travelled = pickle.loads(pickle.dumps(prior))
    assert travelled._network is None
    torch.testing.assert_close(travelled.features(images), expected)


def test_weights_in_float16_are_computed_in_float32(encoder, tmp_path) -> None:
    halved = {f"encoder.{name}": tensor.half() for name, tensor in encoder.state_dict().items()}
    save_weights(tmp_path / "half.safetensors", halved)
    prior = ConStylePrior("constyle:half", partial(load_weights, tmp_path / "half.safetensors"), "half")
    images = torch.rand(2, 3, 48, 64)
    expected = F.normalize(encoder.half().float()(images).code.detach())
    torch.testing.assert_close(prior.features(images), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("parity", ["fixed", "official"])
def test_width_and_parity_are_read_from_the_tensors(parity) -> None:
    read = encoder_from(ConStyleEncoder(parity, width=3).state_dict(), "here")
    assert (read.width, read.parity) == (3, parity)
    with pytest.raises(ModelError, match="here: expected weights with a ConStyle encoder, got none"):
        encoder_from({"unet.x": torch.zeros(1)}, "here")


def test_refine_finds_it_by_name(prior) -> None:
    method = method_of("refine")
    found = method._known.prior(f"constyle:{prior.where}")
    images = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(found.features(images), prior.features(images))
    inside = method._known.prior("constyle:elsewhere", lambda: dict(prior.network.state_dict()))
    torch.testing.assert_close(inside.features(images), prior.features(images))
    with pytest.raises(ModelError, match="expected a network after restoration:, got classical:nlm"):
        method._known.prior("restoration:classical:nlm")
    assert method._known.restorer("classical:nlm").name == "classical:nlm"
