"""A photo crop and helpers that several files here use."""

from collections.abc import Callable
from importlib import resources

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

Crop = Callable[..., Tensor]


@pytest.fixture(scope="session")
def photo_crop() -> Crop:
    """(1, 3, side, side) in [0, 1] from the middle of one of scikit-image's bundled photos."""

    def crop(name: str = "coffee.png", side: int = 128) -> Tensor:
        path = resources.files("skimage") / "data" / name
        pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
        values = pixels[top : top + side, left : left + side].astype(np.float32) / 255
        return torch.from_numpy(values).permute(2, 0, 1)[None].contiguous()

    return crop


@pytest.fixture(scope="session")
def add_noise() -> Callable[..., Tensor]:
    """White Gaussian noise, sigma in grey levels of 255, not clipped."""

    def add(clean: Tensor, sigma: float, seed: int = 0) -> Tensor:
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
        return clean + noise * sigma / 255

    return add


@pytest.fixture(scope="session")
def psnr() -> Callable[[Tensor, Tensor], float]:
    """PSNR in dB for a peak of 1, values clipped to [0, 1]."""

    def measure(restored: Tensor, clean: Tensor) -> float:
        return float(-10 * torch.log10((restored.clamp(0, 1) - clean).square().mean()))

    return measure
