"""What every degradation promises, whatever it does."""

import json

import pytest
import torch

from restorekit.core.degradation.base import Degradation, params_from_json, params_to_json
from restorekit.core.degradation.chain import DEGRADATIONS, degrade_images, parse_degradation
from restorekit.errors import ImageError, SpecError

COMBINED = ["noise:sigma=5..50,correlation=1,colour=gray", "blur:linear=1+camera:linear=0+jpeg", "rain|haze+noise|none"]
EVERY = [*DEGRADATIONS, *COMBINED]
SMOOTH = [spec for spec in EVERY if parse_degradation(spec).differentiable]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("spec", EVERY)
def test_degradation_satisfies_the_protocol(spec):
    assert isinstance(parse_degradation(spec), Degradation)


@pytest.mark.parametrize("spec", EVERY)
def test_degradation_repeats_for_the_same_generator_state(spec, photos):
    first, params = degrade_images(photos, spec, generator=generator(3))
    again, same = degrade_images(photos, spec, generator=generator(3))
    assert torch.equal(first, again)
    assert all(torch.equal(params[key], same[key]) for key in params | same)


@pytest.mark.parametrize("spec", [spec for spec in EVERY if spec != "none"])
def test_degradation_changes_the_image_and_differs_between_seeds(spec, photos):
    first, _ = degrade_images(photos, spec, generator=generator(1))
    other, _ = degrade_images(photos, spec, generator=generator(2))
    assert not torch.equal(first, photos)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("spec", EVERY)
def test_degraded_images_are_float32_within_zero_and_one(spec, photos):
    degraded, _ = degrade_images(photos, spec, generator=generator())
    assert degraded.dtype == torch.float32
    assert degraded.shape == photos.shape
    assert float(degraded.min()) >= 0.0
    assert float(degraded.max()) <= 1.0


@pytest.mark.parametrize("spec", EVERY)
def test_apply_leaves_its_input_alone(spec, photos):
    clean = photos.clone()
    degraded, _ = degrade_images(clean, spec, generator=generator())
    degraded.zero_()
    assert torch.equal(clean, photos)


@pytest.mark.parametrize("spec", EVERY)
def test_replay_through_json_is_bit_identical(spec, photos):
    degradation = parse_degradation(spec)
    degraded, params = degrade_images(photos, degradation, generator=generator(5))
    document = json.loads(json.dumps({"spec": degradation.spec, "params": params_to_json(params)}))
    replayed = parse_degradation(document["spec"]).apply(photos, params_from_json(document["params"]))
    assert torch.equal(replayed, degraded)


@pytest.mark.parametrize("spec", EVERY)
def test_each_image_is_independent_of_its_batch(spec, photos):
    degradation = parse_degradation(spec)
    degraded, params = degrade_images(photos, degradation, generator=generator(7))
    for index in range(len(photos)):
        own = {key: values[index : index + 1] for key, values in params.items()}
        assert torch.equal(degradation.apply(photos[index : index + 1], own), degraded[index : index + 1])


@pytest.mark.parametrize("spec", EVERY)
@pytest.mark.parametrize("size", [(8, 8), (1, 9), (23, 8)])
def test_images_smaller_than_any_kernel_work(spec, size):
    clean = torch.rand(2, 3, *size, generator=generator())
    degraded, _ = degrade_images(clean, spec, generator=generator())
    assert degraded.shape == clean.shape
    assert torch.isfinite(degraded).all()


@pytest.mark.parametrize("spec", EVERY)
def test_an_empty_batch_gives_an_empty_batch(spec):
    degraded, _ = degrade_images(torch.zeros(0, 3, 16, 16), spec, generator=generator())
    assert degraded.shape == (0, 3, 16, 16)


@pytest.mark.parametrize("spec", SMOOTH)
def test_differentiable_degradations_give_finite_gradients_even_at_black_and_white(spec):
    clean = torch.rand(2, 3, 24, 24, generator=generator())
    clean[:, :, :6], clean[:, :, 6:12] = 0.0, 1.0
    clean.requires_grad_()
    degraded, _ = degrade_images(clean, spec, generator=generator())
    degraded.square().sum().backward()
    assert torch.isfinite(clean.grad).all()
    assert float(clean.grad.abs().sum()) > 0


def test_only_the_real_encoder_is_not_differentiable():
    assert [name for name, kind in DEGRADATIONS.items() if not kind.differentiable] == ["jpeg"]
    assert not parse_degradation("blur+jpeg").differentiable


@pytest.mark.parametrize(
    "spec", ["blur:sigma=1.2", "motion:length=9", "defocus", "resample", "noise:clip=0", "camera", "rain:density=0.05"]
)
def test_gradient_agrees_with_a_finite_difference(spec):
    degradation = parse_degradation(spec)
    clean = 0.4 + 0.2 * torch.rand(1, 3, 16, 16, generator=generator(1))
    params = degradation.draw(1, generator=generator(2))
    weights = torch.rand(clean.shape, generator=generator(3))
    direction = torch.rand(clean.shape, generator=generator(4)) - 0.5
    leaf = clean.clone().requires_grad_()
    (degradation.apply(leaf, params) * weights).sum().backward()
    step = 0.02
    up, down = (degradation.apply(clean + sign * step * direction, params) for sign in (1, -1))
    slope = ((up - down) * weights).sum() / (2 * step)
    torch.testing.assert_close((leaf.grad * direction).sum(), slope, rtol=0.02, atol=2e-3)


def test_gradient_of_haze_is_the_transmission():
    haze = parse_degradation("haze")
    clean = torch.rand(2, 3, 16, 16, generator=generator(1)).requires_grad_()
    params = haze.draw(2, generator=generator(2))
    haze.apply(clean, params).sum().backward()
    transmission = torch.exp(-params["beta"][:, None, None, None] * haze.depth(clean, params))
    torch.testing.assert_close(clean.grad, transmission.expand_as(clean))


def test_params_of_another_degradation_are_refused(photos):
    params = parse_degradation("noise").draw(3, generator=generator())
    with pytest.raises(
        SpecError, match=r"blur: expected parameters sigma, got correlation, seed, sigma; draw them again"
    ):
        parse_degradation("blur").apply(photos, params)


def test_params_of_another_batch_size_are_refused(photos):
    params = parse_degradation("blur").draw(2, generator=generator())
    with pytest.raises(SpecError, match=r"blur: sigma: expected shape \(3,\), got \(2,\)"):
        parse_degradation("blur").apply(photos, params)


def test_degrade_images_refuses_broken_images():
    with pytest.raises(ImageError, match="degrade_images: expected finite values"):
        degrade_images(torch.full((1, 3, 8, 8), float("nan")), "blur", generator=generator())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("spec", [spec for spec in EVERY if "low_light" not in spec and "jpeg" not in spec])
def test_result_on_the_gpu_equals_the_result_on_the_cpu(spec, photos):
    degradation = parse_degradation(spec)
    params = degradation.draw(3, generator=generator())
    on_gpu = degradation.apply(photos.cuda(), params)
    assert on_gpu.is_cuda
    torch.testing.assert_close(on_gpu.cpu(), degradation.apply(photos, params), atol=2e-4, rtol=0)
