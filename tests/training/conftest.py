from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from restorekit.core.degradation.chain import parse_degradation
from restorekit.core.restorer import StepResult
from restorekit.training.batches import CropBatches
from restorekit.training.pool import PhotoPool, open_pool
from restorekit.training.settings import TrainingSettings


class TinyTask:
    """A few hundred parameters, with all that a checkpoint must hold: buffers, dropout, a queue, own randomness."""

    def __init__(self) -> None:
        torch.manual_seed(7)
        self.network = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.GELU(), nn.Dropout(0.1), nn.Conv2d(6, 3, 3, padding=1)
        )
        self.queue = torch.zeros(4)
        self.seen = torch.zeros(())

    def modules(self) -> Mapping[str, nn.Module]:
        return {"network": self.network}

    def step(self, batch: Mapping[str, Tensor], *, generator: torch.Generator) -> StepResult:
        jitter = 0.01 * torch.randn(batch["degraded"].shape, generator=generator)
        restored = batch["degraded"] + self.network(batch["degraded"] + jitter)
        loss = (restored - batch["clean"]).square().mean() + 0.01 * self.queue.mean()
        self.seen = loss.detach()
        return StepResult(loss, {"queue": float(self.queue.sum())})

    def after_step(self) -> None:
        self.queue = torch.cat([self.queue[1:], self.seen[None]])

    def restore(self, degraded: Tensor) -> Tensor:
        return degraded + self.network(degraded)

    def state_dict(self) -> Mapping[str, Tensor]:
        return {"queue": self.queue}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.queue = state["queue"].float()


@pytest.fixture
def make_task() -> Callable[[], TinyTask]:
    return TinyTask


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two colour photos and a gray one, 40 to 64 px."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(3)
    for name, shape in {"a.png": (40, 48, 3), "b.png": (64, 40, 3), "gray.png": (44, 44)}.items():
        cv2.imwrite(str(folder / name), cv2.GaussianBlur(rng.integers(0, 256, shape, dtype=np.uint8), (5, 5), 0))
    return folder


@pytest.fixture(scope="session")
def pool(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> PhotoPool:
    return open_pool(photos, cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture
def settings() -> TrainingSettings:
    return TrainingSettings(steps=8, batch_size=4, crop_px=16, warmup_steps=2, log_every=1, checkpoint_every_steps=2)


@pytest.fixture
def make_batches(pool: PhotoPool) -> Callable[[TrainingSettings], CropBatches]:
    return lambda settings: CropBatches(pool, parse_degradation("noise:sigma=5..50"), settings, 0)
