import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor

from restorekit.constyle.contrastive import Contrast, ContrastSettings
from restorekit.constyle.encoder import ConStyleEncoder
from restorekit.constyle.momentum import MomentumEncoder

BATCH, LENGTH = 4, 10


def pair(seed: int, batch: int = BATCH) -> tuple[Tensor, Tensor]:
    """Degraded and clean images."""
    generator = torch.Generator().manual_seed(seed)
    clean = torch.rand(batch, 3, 16, 16, generator=generator)
    return clean + 0.1 * torch.randn(clean.shape, generator=generator), clean


class Training:
    """An encoder that learns by contrast alone."""

    def __init__(self, *, seed: int = 0, **settings: Any) -> None:
        torch.manual_seed(seed)
        self.settings = ContrastSettings(**{"queue_size": LENGTH, **settings})
        self.encoder = ConStyleEncoder(self.settings.parity, 2)
        self.contrast = Contrast(self.encoder, self.settings, generator=torch.Generator().manual_seed(1))
        self.optimizer = torch.optim.AdamW(self.encoder.parameters(), lr=1e-3)

    def losses(self, step: int) -> dict[str, Tensor]:
        degraded, clean = pair(step)
        return self.contrast.losses(self.encoder(degraded), degraded=degraded, clean=clean)

    def step(self, step: int) -> dict[str, float]:
        losses = self.losses(step)
        self.optimizer.zero_grad()
        sum(losses.values(), torch.zeros(())).backward()
        self.optimizer.step()
        self.contrast.after_step()
        return {name: loss.item() for name, loss in losses.items()}

    @property
    def queue(self) -> Tensor:
        return self.contrast.state_dict()["queue.codes"]


class NaiveRelease:
    """The order of events in the release: follow, read, compare, enqueue, backward, optimise."""

    def __init__(self, encoder: ConStyleEncoder, queue: Tensor) -> None:
        self.encoder, self.follower = encoder, copy.deepcopy(encoder)
        self.queue, self.pointer = queue.clone(), 0
        self.optimizer = torch.optim.SGD(encoder.parameters(), lr=1e-4)

    def step(self, step: int) -> dict[str, float]:
        degraded, clean = pair(step)
        style = self.encoder(degraded)
        with torch.no_grad():
            for own, followed in zip(self.follower.parameters(), self.encoder.parameters(), strict=True):
                own.copy_(0.7 * own + 0.3 * followed)
            key = self.follower(clean).code
        queue, slots = self.queue.clone(), torch.arange(self.pointer, self.pointer + BATCH)
        oldest, following = queue[slots % LENGTH], queue[(slots + BATCH) % LENGTH]
        self.queue[slots % LENGTH] = style.code.detach()
        self.pointer = (self.pointer + BATCH) % LENGTH
        logits = torch.cat([(style.code * key).sum(dim=1, keepdim=True), style.code @ queue.T], dim=1) / 0.07
        losses = {
            "info_nce": F.cross_entropy(logits, torch.zeros(BATCH, dtype=torch.long)),
            "content": (style.code - key).square().mean(),
            "style": -self.gram_distance(style.early_code, following) - self.gram_distance(style.code, oldest),
        }
        self.optimizer.zero_grad()
        sum(losses.values()).backward()
        self.optimizer.step()
        return {name: loss.item() for name, loss in losses.items()}

    @staticmethod
    def gram_distance(one: Tensor, other: Tensor) -> Tensor:
        return ((one @ one.T - other @ other.T) / (BATCH * 128)).square().mean()


def test_official_steps_equal_those_of_the_release() -> None:
    """From a trunk of trained size and without Adam, which both make much of rounding errors; a momentum that shows."""
    ours = Training(parity="official", momentum=0.7)
    ours.encoder.stages.load_state_dict(ConStyleEncoder("fixed", 2).stages.state_dict())
    ours.contrast = Contrast(ours.encoder, ours.settings)
    ours.optimizer = torch.optim.SGD(ours.encoder.parameters(), lr=1e-4)
    start, naive = copy.deepcopy(ours.encoder), NaiveRelease(copy.deepcopy(ours.encoder), ours.queue)
    for step in range(6):
        assert ours.step(step) == pytest.approx(naive.step(step), rel=1e-5, abs=1e-9)
    torch.testing.assert_close(ours.queue, naive.queue, rtol=1e-4, atol=1e-5)
    for found, expected in zip(ours.encoder.parameters(), naive.encoder.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(ours.encoder.head[0].weight, start.head[0].weight, rtol=1e-2)


def test_fixed_losses_compare_directions_and_map_grams() -> None:
    ours = Training(info_nce_weight=2.0, content_weight=3.0, style_weight=5.0)
    ours.step(0)
    negatives = ours.queue[:BATCH].clone()
    follower = copy.deepcopy(ours.contrast._momentum_encoder)
    follower.follow()
    (degraded, clean), found = pair(1), ours.losses(1)
    style, clean_style = ours.encoder(degraded), follower.read(clean)
    cosines = F.cosine_similarity(style.code, clean_style.code)
    logits = torch.cat([cosines[:, None], F.normalize(style.code) @ negatives.T], dim=1) / 0.07
    distances = []
    for one, other in zip(style.maps, clean_style.maps, strict=True):
        grams = [torch.einsum("bahw,bchw->bac", side, side).flatten(1) for side in (one, other)]
        distances.append(1 - F.cosine_similarity(*grams).mean())
    expected = {
        "info_nce": 2 * F.cross_entropy(logits, torch.zeros(BATCH, dtype=torch.long)),
        "content": 3 * (2 - 2 * cosines).mean(),
        "style": 5 * torch.stack(distances).mean(),
    }
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_fixed_queue_holds_the_momentum_codes_of_degraded_images() -> None:
    ours = Training(momentum=0.5)
    follower = MomentumEncoder(copy.deepcopy(ours.encoder), momentum=0.5, buffers=True)
    expected = []
    for step in range(5):
        follower._followed.load_state_dict(ours.encoder.state_dict())
        follower.follow()
        expected.extend(F.normalize(follower.read(pair(step)[0]).code))
        ours.step(step)
    pointer = int(ours.contrast.state_dict()["queue.pointer"])
    torch.testing.assert_close(ours.queue.roll(-pointer, dims=0), torch.stack(expected[-LENGTH:]))


def test_a_code_is_not_among_its_own_negatives() -> None:
    """Without noise the queue is empty in the first step, so that nothing but the match is compared."""
    for enqueue in ("query", "key"):
        ours = Training(enqueue=enqueue)
        assert ours.step(0)["info_nce"] == 0
        assert ours.step(1)["info_nce"] > 0


def test_momentum_encoder_follows_before_it_reads() -> None:
    """With momentum 0 it is then the encoder itself, so codes of equal images are equal."""
    ours = Training(momentum=0.0, info_nce_weight=0, style_weight=0)
    ours.step(0)
    clean = pair(1)[1]
    losses = ours.contrast.losses(ours.encoder(clean), degraded=clean, clean=clean)
    assert losses["content"].item() == pytest.approx(0, abs=1e-6)


def test_no_gradient_reaches_queue_momentum_encoder_or_clean_image() -> None:
    ours = Training(enqueue="query")
    ours.step(0)
    degraded, clean = pair(1)
    clean.requires_grad_()
    losses = ours.contrast.losses(ours.encoder(degraded), degraded=degraded, clean=clean)
    sum(losses.values(), torch.zeros(())).backward()
    ours.contrast.after_step()
    assert clean.grad is None
    assert not any(tensor.requires_grad for tensor in ours.contrast.state_dict().values())
    assert all(parameter.grad is not None for parameter in ours.encoder.parameters())


@pytest.mark.parametrize("parity", ["official", "fixed"])
@pytest.mark.parametrize("off", ["info_nce", "content", "style"])
def test_a_weight_of_zero_switches_off_that_loss_alone(parity, off: str) -> None:
    everything, less = Training(parity=parity), Training(parity=parity, **{f"{off}_weight": 0})
    before, after = everything.step(0), less.step(0)
    del before[off]
    assert after == before


class Counting(ConStyleEncoder):
    """An encoder whose copies count their calls together."""

    def __init__(self) -> None:
        super().__init__(width=2)
        self.calls: list[int] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> "Counting":
        copied = Counting()
        copied.load_state_dict(self.state_dict())
        copied.calls = self.calls
        return copied

    def forward(self, images: Tensor) -> Any:
        self.calls.append(len(images))
        return super().forward(images)


@pytest.mark.parametrize(
    ("weights", "frozen", "calls"),
    [
        ((1, 1, 1), False, 3),  # degraded by both, clean by the momentum encoder
        ((0, 1, 1), False, 2),
        ((0, 0, 0), False, 1),
        ((1, 1, 1), True, 1),
    ],
)
def test_what_is_not_needed_is_not_computed(weights: tuple[float, float, float], frozen: bool, calls: int) -> None:
    names = ("info_nce_weight", "content_weight", "style_weight")
    encoder = Counting()
    settings = ContrastSettings(queue_size=LENGTH, **dict(zip(names, weights, strict=True)))
    contrast = Contrast(encoder, settings)
    if frozen:
        encoder.freeze()
    degraded, clean = pair(0)
    losses = contrast.losses(encoder(degraded), degraded=degraded, clean=clean)
    contrast.after_step()
    assert len(encoder.calls) == calls
    assert len(losses) == (0 if frozen else sum(weights))
    assert int(contrast.state_dict()["queue.filled"]) == (BATCH if weights[0] and not frozen else 0)


@pytest.mark.parametrize("parity", ["official", "fixed"])
def test_a_resumed_run_takes_bitwise_the_same_next_steps(parity) -> None:
    ours, resumed = Training(parity=parity), Training(parity=parity, seed=5)
    for step in range(4):
        ours.step(step)
    resumed.encoder.load_state_dict(ours.encoder.state_dict())
    resumed.contrast.load_state_dict({name: value.clone() for name, value in ours.contrast.state_dict().items()})
    resumed.optimizer.load_state_dict(copy.deepcopy(ours.optimizer.state_dict()))
    for step in range(4, 7):
        assert ours.step(step) == resumed.step(step)
    expected = {**ours.encoder.state_dict(), **ours.contrast.state_dict()}
    found = {**resumed.encoder.state_dict(), **resumed.contrast.state_dict()}
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []


def test_losses_are_float32_under_autocast() -> None:
    ours = Training()
    ours.step(0)
    with torch.autocast("cpu", torch.bfloat16):
        losses = ours.losses(1)
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
    sum(losses.values(), torch.zeros(())).backward()
    ours.contrast.after_step()
    assert ours.queue.dtype == torch.float32


def test_fixed_contrast_learns_from_single_images() -> None:
    ours = Training()
    for step in range(3):
        degraded, clean = pair(step, batch=1)
        losses = ours.contrast.losses(ours.encoder(degraded), degraded=degraded, clean=clean)
        sum(losses.values(), torch.zeros(())).backward()
        ours.contrast.after_step()
    assert losses["info_nce"].item() > 0
    assert int(ours.contrast.state_dict()["queue.filled"]) == 3


def test_official_settings_are_those_of_the_release_unless_told_otherwise() -> None:
    official = ContrastSettings(parity="official", enqueue="key")
    assert (official.normalise, official.noise_negatives, official.style) == (False, True, "code_gram")
    assert (official.queue_size, official.temperature, official.momentum) == (65_760, 0.07, 0.999)
    assert official.enqueue == "key"
    assert ContrastSettings.model_validate(official.model_dump()) == official


def test_settings_refuse_what_they_do_not_know() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        ContrastSettings.model_validate({"temprature": 0.1})
