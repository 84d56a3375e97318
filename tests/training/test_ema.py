import torch
from torch import nn

from restorekit.training.ema import AveragedWeights


def test_average_of_weights_and_buffers_follows_the_recursion() -> None:
    live = nn.BatchNorm1d(2)
    average = AveragedWeights(live, 0.5)
    weight, running = live.weight.detach().clone(), live.running_mean.clone()
    for step in range(1, 6):
        with torch.no_grad():
            live.weight.add_(step)
            live.running_mean.sub_(2.0 * step)
            live.num_batches_tracked.add_(3)
        average.update(live, step)
        decay = min(0.5, (1 + step) / (10 + step))
        weight = decay * weight + (1 - decay) * live.weight.detach()
        running = decay * running + (1 - decay) * live.running_mean
    torch.testing.assert_close(average.module.weight.detach(), weight)
    torch.testing.assert_close(average.module.running_mean, running)
    assert average.module.num_batches_tracked == live.num_batches_tracked == 15


def test_swapped_into_gives_the_live_weights_back_even_after_an_error() -> None:
    live = nn.Linear(3, 3)
    average = AveragedWeights(live, 0.9)
    with torch.no_grad():
        live.weight.fill_(2 / 3)
    before = live.weight.detach().clone()
    try:
        with average.swapped_into(live):
            assert torch.equal(live.weight, average.module.weight)
            assert not torch.equal(live.weight, before)
            raise InterruptedError
    except InterruptedError:
        assert torch.equal(live.weight, before)
