from collections import deque

import pytest
import torch
from torch import Tensor

from restorekit.constyle.queue import Queue
from restorekit.errors import ModelError

LENGTH = 40


def codes(count: int, seed: int) -> Tensor:
    return torch.randn(count, 128, generator=torch.Generator().manual_seed(seed))


def oldest_first(queue: Queue) -> list[list[float]]:
    return queue.codes.roll(-queue.pointer, dims=0).tolist()


@pytest.mark.parametrize("batch", [8, 1, 7, 40, 64])
def test_queue_equals_a_deque(batch: int) -> None:
    queue = Queue(LENGTH, unit=False)
    naive = deque(queue.codes.tolist(), maxlen=LENGTH)
    for step in range(50):
        entering = codes(batch, step)
        queue.enqueue(entering)
        naive.extend(entering.tolist())
        assert oldest_first(queue) == list(naive)
    assert queue.filled == LENGTH


@pytest.mark.parametrize("batch", [8, 7])
def test_queue_of_mixed_batches_equals_a_deque(batch: int) -> None:
    queue = Queue(LENGTH, unit=False)
    naive = deque(queue.codes.tolist(), maxlen=LENGTH)
    for step in range(50):
        entering = codes(1 + batch * step % 13, step)
        queue.enqueue(entering)
        naive.extend(entering.tolist())
    assert oldest_first(queue) == list(naive)


def test_oldest_slots_come_in_order_and_wrap_around() -> None:
    queue = Queue(LENGTH, unit=False)
    for step in range(9):
        queue.enqueue(codes(8, step))
        naive = oldest_first(queue)
        assert queue.oldest(8).tolist() == naive[:8]
        assert queue.oldest(8, skip=8).tolist() == naive[8:16]
        assert queue.oldest(60).tolist() == (naive + naive)[:60]


def test_oldest_is_a_copy() -> None:
    queue = Queue(LENGTH, unit=False)
    before = queue.oldest(8)
    kept = before.clone()
    queue.enqueue(codes(8, 0))
    assert torch.equal(before, kept)


def test_known_codes_leave_out_the_noise() -> None:
    queue = Queue(LENGTH, unit=False)
    assert queue.known().shape == (0, 128)
    entering = codes(24, 0)
    queue.enqueue(entering)
    assert torch.equal(queue.known(), entering)
    queue.enqueue(codes(24, 1))
    assert len(queue.known()) == LENGTH


def test_queue_starts_as_noise_of_norm_root_128_or_1() -> None:
    raw = Queue(4000, unit=False).codes.norm(dim=1)
    torch.testing.assert_close(raw.mean(), torch.tensor(128**0.5), rtol=0.01, atol=0)
    unit = Queue(100, unit=True).codes.norm(dim=1)
    torch.testing.assert_close(unit, torch.ones(100))


def test_queue_repeats_for_the_same_generator() -> None:
    one, other = (Queue(5, unit=False, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one.codes, other.codes)


def test_queue_keeps_no_gradient() -> None:
    queue = Queue(LENGTH, unit=False)
    queue.enqueue(codes(8, 0).requires_grad_())
    assert not queue.codes.requires_grad


def test_queue_goes_on_from_its_state() -> None:
    queue, resumed = Queue(LENGTH, unit=False), Queue(LENGTH, unit=False)
    queue.enqueue(codes(27, 0))
    resumed.load_state_dict({name: tensor.clone() for name, tensor in queue.state_dict().items()})
    for ring in (queue, resumed):
        ring.enqueue(codes(27, 1))
    assert torch.equal(queue.codes, resumed.codes)
    assert (queue.pointer, queue.filled) == (resumed.pointer, resumed.filled) == (14, LENGTH)


def test_queue_refuses_the_state_of_another_length() -> None:
    queue = Queue(LENGTH, unit=False)
    with pytest.raises(ModelError, match=r"queue: expected 40 codes of 128 values, got shape \(12, 128\); set queue_s"):
        queue.load_state_dict(Queue(12, unit=False).state_dict())
