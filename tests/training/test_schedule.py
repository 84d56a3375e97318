import math

import pytest
import torch

from restorekit.training.schedule import learning_rate
from restorekit.training.settings import TrainingSettings

SETTINGS = TrainingSettings(steps=50, warmup_steps=10, learning_rate=1e-2, final_learning_rate=1e-4, rewarmup_steps=4)


def test_warmup_rises_linearly_to_the_peak() -> None:
    assert [learning_rate(SETTINGS, step) for step in (1, 5, 10)] == pytest.approx([1e-3, 5e-3, 1e-2])


def test_cosine_agrees_with_pytorch() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1e-2)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40, eta_min=1e-4)
    for step in range(10, 51):
        assert learning_rate(SETTINGS, step) == pytest.approx(reference.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        reference.step()


def test_cosine_ends_at_the_final_rate_and_is_half_way_at_the_middle() -> None:
    assert learning_rate(SETTINGS, 50) == pytest.approx(1e-4)
    assert learning_rate(SETTINGS, 30) == pytest.approx((1e-2 + 1e-4) / 2)


def test_second_warmup_scales_the_rate_after_a_compact_resume() -> None:
    shares = [learning_rate(SETTINGS, step, restarted_at=20) / learning_rate(SETTINGS, step) for step in range(21, 26)]
    assert shares == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_no_warmup_starts_on_the_cosine() -> None:
    settings = TrainingSettings(steps=4, warmup_steps=0, learning_rate=1.0, final_learning_rate=0.0)
    assert learning_rate(settings, 1) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)


def test_warmup_takes_at_most_half_of_a_run_that_was_cut_short() -> None:
    settings = TrainingSettings(steps=10, warmup_steps=1000, learning_rate=1.0)
    assert [learning_rate(settings, step) for step in (1, 5, 10)] == pytest.approx([0.2, 1.0, 1e-6])
