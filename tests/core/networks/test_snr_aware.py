"""SNR-Aware has the release's size, and its attention takes nothing from noisy patches."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from restorekit.core.image.tiling import restore_samples
from restorekit.core.networks import PUBLISHED, NetworkRestorer, configure, count_macs, count_parameters
from restorekit.core.networks.snr_aware import MaskedAttention, SNRAwareConfig, snr_map

TINY = {"width": 4, "blocks": (1, 2, 1), "layers": 2, "heads": 2, "head_width": 4, "feedforward_width": 8}


def test_snr_aware_has_the_size_of_the_release() -> None:
    config = configure(*PUBLISHED["snr-aware"])
    assert count_parameters(config) == 39_124_099
    assert round(count_macs(config, height_px=128, width_px=128) / 1e9, 2) == 6.01


def test_macs_are_those_of_convolutions_tokens_and_their_pairs() -> None:
    def by_hand(height: int, width: int) -> int:
        pixels, tokens = height * width, height * width // 256
        stem = pixels * 9 * 3 * 64 + pixels // 4 * 9 * 64**2 + pixels // 16 * 9 * 64**2
        blocks = pixels // 16 * 8 * 2 * 9 * 64**2
        tail = (pixels // 16 + pixels // 4) * 9 * 128 * 256 + pixels * 9 * (128 * 64 + 64 * 3)
        layer = tokens * (4 * 1024 * 512 + 2 * 1024 * 2048) + 2 * tokens**2 * 512
        return stem + blocks + tail + 6 * layer

    assert count_macs(SNRAwareConfig(), height_px=64, width_px=96) == by_hand(64, 96)


@torch.no_grad()
@pytest.mark.parametrize("trusted", [[True] * 5, [True, False, False, True, False], [False] * 5])
def test_attention_is_the_masked_softmax(trusted: list[bool]) -> None:
    """Token by token, with a large negative score for masked keys, as the authors' code has it."""
    torch.manual_seed(0)
    attention = MaskedAttention(6, heads=2, head_width=3).double()
    torch.nn.init.normal_(attention.norm.weight)
    tokens = torch.randn(2, 5, 6, dtype=torch.float64)
    mask = torch.tensor([trusted, [True] * 5])
    expected = torch.zeros_like(tokens)
    for image in range(2):
        normed = F.layer_norm(tokens[image], (6,), attention.norm.weight, attention.norm.bias, 1e-6)
        query, key, value = (normed @ attention.expand.weight.T).split(6, dim=1)
        taken = torch.zeros(5, 6, dtype=torch.float64)
        for head, row in np.ndindex(2, 5):
            part = slice(3 * head, 3 * head + 3)
            scores = [
                float(query[row, part] @ key[column, part]) / 3**0.5 if mask[image, column] else -1e9
                for column in range(5)
            ]
            weights = np.exp(np.array(scores) - max(scores))
            weights /= weights.sum()
            taken[row, part] = sum(float(w) * value[column, part] for column, w in enumerate(weights))
        expected[image] = taken @ attention.project.weight.T
    torch.testing.assert_close(attention(tokens, mask), expected, rtol=0, atol=1e-12)


def test_attention_passes_no_gradient_to_masked_keys() -> None:
    attention = MaskedAttention(6, heads=2, head_width=3)
    tokens = torch.randn(1, 4, 6, requires_grad=True)
    attention(tokens, torch.tensor([[True, False, True, True]]))[:, 0].sum().backward()
    assert not tokens.grad[0, 1].any()
    assert tokens.grad[0, 2].any()


def test_snr_map_is_luma_over_what_a_box_blur_takes_away() -> None:
    photo = np.random.default_rng(0).random((9, 12, 3))
    luma = photo @ np.array([0.299, 0.587, 0.114])
    blurred = cv2.blur(photo, (5, 5)) @ np.array([0.299, 0.587, 0.114])
    ratio = blurred / (np.abs(luma - blurred) + 1e-4)
    expected = np.clip(ratio / (ratio.max() + 1e-4), 0, 1)
    found = snr_map(torch.from_numpy(photo).permute(2, 0, 1)[None])
    np.testing.assert_allclose(found[0, 0].numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("snr", [0.0, 1.0])
def test_map_chooses_the_branch(snr: float) -> None:
    torch.manual_seed(0)
    network = SNRAwareConfig(**TINY).build().double()
    features = torch.randn(1, 4, 8, 12, dtype=torch.float64)
    mixed = network.mixed(features, torch.full((1, 1, 8, 12), snr, dtype=torch.float64))
    if snr:
        torch.testing.assert_close(mixed, network.short(features))
        return
    tokens = F.unfold(features, 4, stride=4).transpose(1, 2)
    for layer in network.long:
        tokens = layer(tokens, torch.zeros(1, 6, dtype=torch.bool))
    torch.testing.assert_close(mixed, F.fold(tokens.transpose(1, 2), (8, 12), 4, stride=4))


def test_patches_are_trusted_above_a_mean_of_one_half() -> None:
    network = SNRAwareConfig(**TINY).build()
    seen = []
    network.long[0].register_forward_pre_hook(lambda _, given: seen.append(given[1]))
    snr = torch.cat([torch.full((1, 1, 4, 4), value) for value in (0.5, 0.51, 0.2)], dim=3)
    network.mixed(torch.randn(1, 4, 4, 12), snr)
    assert seen[0].tolist() == [[False, True, False]]


def test_every_pixel_reaches_every_other() -> None:
    torch.manual_seed(0)
    config = SNRAwareConfig(**TINY)
    assert config.receptive_field_px is None
    images = torch.rand(1, 3, 16, 160, dtype=torch.float64, requires_grad=True)
    config.build().double()(images)[..., 0].sum().backward()
    assert images.grad[..., -16:].any()


def test_every_weight_learns() -> None:
    torch.manual_seed(0)
    network = SNRAwareConfig(**TINY).build()
    network(torch.rand(2, 3, 32, 32)).square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("shape", [(16, 16), (33, 50)])
def test_snr_aware_takes_odd_sizes_through_the_tiler(shape: tuple[int, int]) -> None:
    restorer = NetworkRestorer("night", SNRAwareConfig(**TINY))
    photo = np.random.default_rng(0).random((*shape, 3), dtype=np.float32)
    restored = restore_samples(restorer, photo)
    assert restored.shape == photo.shape
    assert np.isfinite(restored).all()


def test_snr_aware_runs_in_bfloat16() -> None:
    torch.manual_seed(0)
    network = SNRAwareConfig(**TINY).build()
    images = torch.rand(1, 3, 16, 32)
    with torch.autocast("cpu", torch.bfloat16):
        restored = network(images)
    torch.testing.assert_close(restored.float(), network(images), atol=0.05, rtol=0)


def test_gray_images_have_a_map_of_their_own() -> None:
    network = SNRAwareConfig(**TINY, channels=1).build()
    gray = torch.rand(1, 1, 16, 16)
    assert network(gray).shape == gray.shape
    torch.testing.assert_close(snr_map(gray), snr_map(gray.expand(-1, 3, -1, -1)), atol=1e-3, rtol=0)
