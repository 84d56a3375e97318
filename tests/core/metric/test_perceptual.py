"""LPIPS is the lpips package's number, and says plainly which file is missing."""

import io
import pickle
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import lpips
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from restorekit.core.metric.perceptual import DOWNLOAD_VARIABLE, LPIPS, TRUNKS
from restorekit.core.metric.protocol import parse_address
from restorekit.errors import DependencyError, ImageError

SQUEEZE = parse_address("lpips[net=squeeze|float]")[1]


@pytest.fixture(scope="module")
def pair(
    photo: Callable[..., np.ndarray], noisy: Callable[..., np.ndarray], tensor: Callable[..., Tensor]
) -> tuple[Tensor, Tensor]:
    clean = [photo("coffee", 64, 80), photo("astronaut", 64, 80)]
    return tensor(noisy(clean[0], 10), noisy(clean[1], 50)), tensor(*clean)


@pytest.fixture(scope="module")
def direct(squeezenet_file: str) -> lpips.LPIPS:
    """The package used by hand, with the same trunk."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = lpips.LPIPS(net="squeeze", pnet_rand=True, verbose=False)
    weights = torch.load(squeezenet_file, weights_only=True)
    for slice_name, part in network.net.named_children():
        for index, layer in part.named_children():
            prefix = f"features.{index}."
            layer.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)})
        assert slice_name.startswith("slice")
    return network


def test_lpips_matches_the_package(squeezenet_file: str, direct: lpips.LPIPS, pair: tuple[Tensor, Tensor]) -> None:
    with torch.no_grad():
        expected = direct(*pair, normalize=True).flatten()
    score = LPIPS(SQUEEZE, backbone=squeezenet_file).score(*pair)
    assert score.shape == (2,)
    assert torch.allclose(score, expected, rtol=1e-4, atol=1e-7)
    assert score[1] > score[0] > 0


def test_lpips_reads_a_trunk_of_features_only(
    tmp_path: Path, squeezenet_file: str, pair: tuple[Tensor, Tensor]
) -> None:
    weights = torch.load(squeezenet_file, weights_only=True)
    features = {k.removeprefix("features."): v for k, v in weights.items() if k.startswith("features.")}
    save_file(features, tmp_path / "features.safetensors")
    expected = LPIPS(SQUEEZE, backbone=squeezenet_file).score(*pair)
    assert torch.equal(LPIPS(SQUEEZE, backbone=tmp_path / "features.safetensors").score(*pair), expected)


def test_lpips_finds_the_trunk_in_torch_hubs_folder(
    tmp_path: Path, squeezenet_file: str, pair: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / TRUNKS["squeeze"][2]).write_bytes(Path(squeezenet_file).read_bytes())
    expected = LPIPS(SQUEEZE, backbone=squeezenet_file).score(*pair)
    assert torch.equal(LPIPS(SQUEEZE).score(*pair), expected)


@pytest.mark.parametrize("trunk", TRUNKS)
def test_trunk_file_is_the_one_torchvision_names(trunk: str) -> None:
    import torchvision.models

    model, enumeration, file_name, _ = TRUNKS[trunk]
    weights = getattr(torchvision.models, enumeration).IMAGENET1K_V1
    assert Path(weights.url).name == file_name
    assert callable(getattr(torchvision.models, model))


@pytest.mark.parametrize("trunk", TRUNKS)
def test_missing_trunk_names_file_folder_and_remedy_at_once(
    trunk: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv(DOWNLOAD_VARIABLE, raising=False)
    expected = (
        f"lpips: expected torchvision's .* weights at .*hub.checkpoints.{TRUNKS[trunk][2]}, got no such file; "
        f"run once with RESTOREKIT_DOWNLOAD=1 .* or pass backbone=FILE"
    )
    with pytest.raises(DependencyError, match=expected):
        LPIPS(parse_address(f"lpips[net={trunk}]")[1])


def test_download_happens_only_on_request_and_fails_plainly(
    tmp_path: Path, pair: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
    monkeypatch.setenv(DOWNLOAD_VARIABLE, "1")
    metric = LPIPS(SQUEEZE)
    expected = "lpips: expected to download torchvision's squeezenet1_1 weights, got: no route to host; pass backbone"
    with pytest.raises(DependencyError, match=expected):
        metric.score(*pair)


def test_backbone_that_does_not_exist_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(DependencyError, match=r"expected squeezenet1_1 weights at .*nowhere.pth, got no such file"):
        LPIPS(SQUEEZE, backbone=tmp_path / "nowhere.pth")


def test_backbone_of_another_network_is_refused(tmp_path: Path, pair: tuple[Tensor, Tensor]) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"layer1.weight": torch.zeros(1)}, path)
    expected = (
        r"other.safetensors: expected torchvision's squeezenet1_1 layout, got no features.0.bias \(50 keys absent"
    )
    with pytest.raises(DependencyError, match=expected):
        LPIPS(SQUEEZE, backbone=path).score(*pair)


def test_backbone_of_another_width_is_refused(
    tmp_path: Path, squeezenet_file: str, pair: tuple[Tensor, Tensor]
) -> None:
    weights = torch.load(squeezenet_file, weights_only=True)
    weights["features.0.weight"] = torch.zeros(64, 1, 3, 3)
    torch.save(weights, tmp_path / "gray.pth")
    with pytest.raises(DependencyError, match=r"gray.pth: expected torchvision's squeezenet1_1 layout, got: .*size"):
        LPIPS(SQUEEZE, backbone=tmp_path / "gray.pth").score(*pair)


def test_backbone_that_is_no_state_dict_is_refused(tmp_path: Path, pair: tuple[Tensor, Tensor]) -> None:
    (tmp_path / "broken.pth").write_bytes(b"not weights")
    with pytest.raises(DependencyError, match=r"broken.pth: expected a state dict"):
        LPIPS(SQUEEZE, backbone=tmp_path / "broken.pth").score(*pair)


def test_lpips_is_silent_and_leaves_random_numbers_alone(squeezenet_file: str, pair: tuple[Tensor, Tensor]) -> None:
    state = torch.random.get_rng_state()
    shown = io.StringIO()
    with redirect_stdout(shown):
        LPIPS(SQUEEZE, backbone=squeezenet_file).score(*pair)
    assert shown.getvalue() == ""
    assert torch.equal(torch.random.get_rng_state(), state)


def test_lpips_is_differentiable_and_its_network_is_frozen(squeezenet_file: str, pair: tuple[Tensor, Tensor]) -> None:
    metric = LPIPS(SQUEEZE, backbone=squeezenet_file)
    assert not metric.score(*pair).requires_grad
    restored = pair[0].clone().requires_grad_()
    metric.score(restored, pair[1]).sum().backward()
    assert restored.grad is not None
    assert restored.grad.abs().max() > 0


def test_lpips_survives_pickling_before_and_after_use(squeezenet_file: str, pair: tuple[Tensor, Tensor]) -> None:
    fresh = LPIPS(SQUEEZE, backbone=squeezenet_file)
    copy = pickle.loads(pickle.dumps(fresh))
    expected = fresh.score(*pair)
    assert torch.equal(copy.score(*pair), expected)
    assert torch.equal(pickle.loads(pickle.dumps(fresh)).score(*pair), expected)


def test_image_too_small_for_the_trunk_is_refused(squeezenet_file: str) -> None:
    metric = LPIPS(SQUEEZE, backbone=squeezenet_file)
    with pytest.raises(ImageError, match="lpips: expected at least 17 px a side for squeeze, got 40x16"):
        metric.score(torch.zeros(1, 3, 16, 40), torch.zeros(1, 3, 16, 40))
    assert metric.score(torch.zeros(1, 3, 17, 40), torch.zeros(1, 3, 17, 40)).tolist() == [0.0]
