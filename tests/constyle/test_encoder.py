import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from restorekit.constyle.encoder import LAST_RADIUS_PX, MAP_RADIUS_PX, ConStyleEncoder
from restorekit.constyle.watch import code_spread
from restorekit.training.ema import AveragedWeights

STRIDES = ((1, 1, 2), (1, 2), (1, 2), (1, 2))


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def naive_trunk(encoder: ConStyleEncoder, features: Tensor) -> list[Tensor]:
    weights = iter([weight for weight in encoder.parameters() if weight.ndim == 4])
    stages = []
    for strides in STRIDES:
        for stride in strides:
            features = F.conv2d(features, next(weights), stride=stride, padding=1)
            features = torch.where(features > 0, features, 0.1 * features)
        stages.append(features)
    return stages


def naive_heads(encoder: ConStyleEncoder, pooled: Tensor) -> list[Tensor]:
    """Over the images of the batch (official) or over the values of a code (fixed)."""
    axis, codes = 0 if encoder.parity == "official" else 1, []
    for head in (encoder.early_head, encoder.head):
        weight, bias, scale, shift = head.parameters()
        lines = pooled @ weight.T + bias
        centred = lines - lines.mean(dim=axis, keepdim=True)
        lines = centred / (centred.square().mean(dim=axis, keepdim=True) + 1e-5).sqrt() * scale + shift
        pooled = lines * 0.5 * (1 + torch.erf(lines / 2**0.5))
        codes.append(pooled)
    return codes


@pytest.mark.parametrize("parity", ["official", "fixed"])
def test_encoder_has_the_published_number_of_parameters(parity) -> None:
    assert sum(parameter.numel() for parameter in ConStyleEncoder(parity).parameters()) == 1_190_832


@pytest.mark.parametrize(("height", "width"), [(64, 64), (128, 72), (8, 40)])
def test_encoder_maps_are_a_half_a_quarter_and_an_eighth(height: int, width: int) -> None:
    style = ConStyleEncoder()(images(1, 3, height, width))
    expected = [(1, channels, height // step, width // step) for channels, step in ((32, 2), (64, 4), (128, 8))]
    assert [tuple(found.shape) for found in style.maps] == expected
    assert style.code.shape == style.early_code.shape == (1, 128)


def test_encoder_of_another_width_scales_its_maps_and_keeps_its_code() -> None:
    style = ConStyleEncoder(width=3)(images(2, 3, 16, 16))
    assert [found.shape[1] for found in style.maps] == [6, 12, 24]
    assert style.code.shape == (2, 128)


@pytest.mark.parametrize("parity", ["official", "fixed"])
def test_encoder_equals_a_naive_one(parity) -> None:
    encoder, batch = ConStyleEncoder(parity, 2).double(), images(4, 3, 40, 24).double()
    style = encoder(batch)
    *maps, last = naive_trunk(encoder, batch)
    early_code, code = naive_heads(encoder, last.mean(dim=(2, 3)))
    for found, expected in zip((*style.maps, style.early_code, style.code), (*maps, early_code, code), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_code_of_gives_the_code_of_forward() -> None:
    encoder, batch = ConStyleEncoder(width=2), images(2, 3, 32, 32)
    assert torch.equal(encoder.code_of(batch), encoder(batch).code)


@pytest.mark.parametrize(("stride", "radius"), [(8, MAP_RADIUS_PX), (16, LAST_RADIUS_PX)])
def test_encoder_sees_exactly_its_radius(stride: int, radius: int) -> None:
    encoder, image = ConStyleEncoder(width=2), images(1, 3, 16, 128).requires_grad_()
    maps = encoder.feature_maps(image)
    features = maps[2] if stride == 8 else encoder.last_map(maps)
    column = 64 // stride
    features[..., column].sum().backward()
    seen = image.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    assert (seen.min(), seen.max()) == (64 - radius, 64 + radius)


def test_code_from_tiles_equals_the_code_of_the_whole() -> None:
    encoder, image = ConStyleEncoder(width=2).double(), images(1, 3, 48, 104).double()
    whole = encoder(image)
    total = torch.zeros(1, 32, dtype=torch.double)
    for left, right in ((0, 48), (48, 104)):  # cut at a multiple of 16, halo of 32
        start = max(left - 32, 0)
        maps = encoder.feature_maps(image[..., start : right + 32])
        cells = encoder.last_map(maps)[..., (left - start) // 16 :][..., : -(-(right - left) // 16)]
        total += cells.sum(dim=(2, 3))
        core = maps[2][..., (left - start) // 8 :][..., : (right - left) // 8]
        torch.testing.assert_close(core, whole.maps[2][..., left // 8 : right // 8])
    torch.testing.assert_close(encoder.codes(total / (3 * 7))[1], whole.code)


def test_fixed_code_ignores_the_other_images_of_the_batch_and_official_does_not() -> None:
    batch = images(4, 3, 32, 32)
    others = torch.cat([batch[:1], images(3, 3, 32, 32, seed=1) ** 3])
    fixed, official = ConStyleEncoder("fixed", 2), ConStyleEncoder("official", 2)
    torch.testing.assert_close(fixed(batch).code[0], fixed(others).code[0])
    changed = official(batch).code[0] - official(others).code[0]
    assert changed.norm() > 0.1 * official(batch).code[0].norm()


def test_fixed_encoder_learns_from_a_batch_of_one() -> None:
    encoder = ConStyleEncoder("fixed", 2)
    encoder(images(1, 3, 16, 16)).code.square().sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        ConStyleEncoder("official", 2)(images(1, 3, 16, 16))


def test_fixed_trunk_keeps_the_size_of_its_features() -> None:
    torch.manual_seed(0)
    batch = images(4, 3, 64, 64)
    sizes = {
        parity: float(encoder.last_map(encoder.feature_maps(batch)).detach().square().mean().sqrt())
        for parity, encoder in (("fixed", ConStyleEncoder("fixed")), ("official", ConStyleEncoder("official")))
    }
    assert 0.1 < sizes["fixed"] < 1.0  # of an input with RMS 0.58
    assert sizes["official"] < 1e-3


@pytest.mark.parametrize("parity", ["official", "fixed"])
def test_frozen_encoder_never_changes(parity) -> None:
    encoder, batch = ConStyleEncoder(parity, 2), images(4, 3, 16, 16)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-2, weight_decay=0.1)
    scale = torch.ones(1, requires_grad=True)
    for frozen in (False, True):
        if frozen:
            encoder.freeze()  # gradients of the last step are still there
            before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
        for _ in range(10 if frozen else 3):
            encoder.train()
            (encoder(batch).code * scale).square().sum().backward()
            optimizer.step()
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())
    assert not encoder.head.training
    assert scale.grad is not None


def test_averaged_official_encoder_still_tells_images_apart() -> None:
    """The release averages no statistics, so its averaged weights normalise by those of an untrained encoder."""
    torch.manual_seed(0)
    encoder = ConStyleEncoder("official", 4)
    encoder.stages.load_state_dict(ConStyleEncoder("fixed", 4).stages.state_dict())  # trained trunks are no smaller
    average = AveragedWeights(encoder, 0.999)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=3e-4)
    for step in range(1, 61):
        optimizer.zero_grad()
        encoder(images(8, 3, 16, 16, seed=step)).code.square().sum().backward()
        optimizer.step()
        average.update(encoder, step)
    encoder.eval()
    batch = images(8, 3, 16, 16)
    live = code_spread(encoder(batch).code)
    with average.swapped_into(encoder):
        averaged = code_spread(encoder(batch).code)
        for head in (encoder.early_head, encoder.head):
            head[1].reset_running_stats()
        as_released = code_spread(encoder(batch).code)
    assert averaged.between_images > 0.1 * live.between_images
    assert as_released.between_images < 0.1 * live.between_images
