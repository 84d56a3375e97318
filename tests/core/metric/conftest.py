"""Photos that scikit-image bundles, and images made from them."""

from collections.abc import Callable
from importlib.resources import as_file, files

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

Array = npt.NDArray[np.uint8]


@pytest.fixture(scope="session")
def photo() -> Callable[..., Array]:
    """photo("coffee", 100, 120): an RGB crop, uint8, height x width."""

    def load(name: str, height: int, width: int) -> Array:
        with as_file(files("skimage") / "data" / f"{name}.png") as path:
            pixels = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        assert pixels.shape[0] >= height
        assert pixels.shape[1] >= width
        return np.ascontiguousarray(pixels[:height, :width])

    return load


@pytest.fixture(scope="session")
def noisy() -> Callable[..., Array]:
    """noisy(pixels, 25): the same pixels with Gaussian noise, uint8."""

    def add(pixels: Array, sigma: float, seed: int = 0) -> Array:
        noise = np.random.default_rng(seed).normal(0, sigma, pixels.shape)
        return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)

    return add


@pytest.fixture(scope="session")
def tensor() -> Callable[..., Tensor]:
    """tensor(a, b): a batch in [0, 1] of (height, width, 3) uint8 arrays, as files become images."""

    def stack(*pixels: Array) -> Tensor:
        return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255

    return stack


@pytest.fixture(scope="session")
def squeezenet_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A randomly initialised squeezenet in torchvision's layout: what a trunk file looks like."""
    import torchvision

    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = torchvision.models.squeezenet1_1(weights=None).state_dict()
    path = tmp_path_factory.mktemp("trunk") / "squeezenet1_1.pth"
    torch.save(weights, path)
    return str(path)
