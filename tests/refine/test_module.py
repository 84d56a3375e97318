"""The module computes what the released network computes, in less memory; it starts as the identity."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from restorekit.core.image.tiling import restore_images
from restorekit.core.networks.measure import peak_bytes_per_pixel
from restorekit.core.networks.snr_aware import SNRAwareConfig
from restorekit.core.restorer import InputSpec
from restorekit.errors import ImageError, ModelError
from restorekit.refine import strips
from restorekit.refine.config import RefinementConfig
from restorekit.refine.module import MULTIPLE_OF, RefinementModule

AS_RELEASED = RefinementConfig(compose="residual", parity="official")


def parameters(module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def test_module_has_exactly_the_released_size() -> None:
    assert parameters(RefinementModule(AS_RELEASED)) == 671_735


def test_released_base_and_module_have_exactly_the_released_size() -> None:
    with torch.device("meta"):
        assert parameters(SNRAwareConfig().build()) + parameters(RefinementModule(AS_RELEASED)) == 39_795_834


def test_smallest_image_trains_and_is_refined_alike_without_gradients(build, draw) -> None:
    """Four pixels a side: one feature, and two by two values to normalise."""
    module, images = build(), draw(3, 4, 4)
    refined = module(*images)
    refined.square().sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in module.parameters())
    with torch.no_grad():
        torch.testing.assert_close(module(*images), refined.detach(), atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize(("dim", "size"), [(256, 540_663), (512, 671_735), (768, 802_807), (1024, 933_879)])
def test_module_size_follows_the_formula_of_the_prior_dimension(released, dim, size) -> None:
    module = RefinementModule(AS_RELEASED.model_copy(update={"prior_dim": dim}))
    assert parameters(module) == size == 671_735 + 512 * (dim - 512) == parameters(released.Released(dim))


@pytest.mark.parametrize("dim", [1152, 1153, 1280, 1408, 2048, 4096])
def test_module_stays_below_a_million_parameters_for_any_prior(dim) -> None:
    assert parameters(RefinementModule(RefinementConfig(prior_dim=dim, degraded_planes=6))) < 1_000_000


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 32, 40), (3, 24, 20), (1, 4, 4), (2, 8, 64)])
def test_module_equals_the_plain_form(pair, draw, batch, height, width) -> None:
    inputs = draw(batch, height, width)
    expected = pair.plain(*inputs)
    torch.testing.assert_close(pair.ours(*inputs), expected, atol=1e-10, rtol=1e-10)
    with torch.no_grad():
        torch.testing.assert_close(pair.ours(*inputs), expected, atol=1e-10, rtol=1e-10)


def test_strips_of_any_height_equal_the_plain_form(pair, draw, monkeypatch) -> None:
    inputs = draw(2, 52, 16)
    expected = pair.plain(*inputs)
    for pixels in (4, 7, 13, 30):
        monkeypatch.setattr(strips, "STRIP_PIXELS", pixels)
        with torch.inference_mode():
            torch.testing.assert_close(pair.ours(*inputs), expected, atol=1e-10, rtol=1e-10)


def test_float32_differs_from_the_plain_form_by_rounding_only(released, draw, monkeypatch) -> None:
    ours, plain = RefinementModule(AS_RELEASED), released.Released()
    plain.load_state_dict(released.weights_of(ours.state_dict(), plain.state_dict()))
    inputs = [values.float() for values in draw(2, 64, 48)]
    monkeypatch.setattr(strips, "STRIP_PIXELS", 50)
    with torch.inference_mode():
        assert (ours(*inputs) - plain(*inputs)).abs().max() < 1e-5


def test_memory_layout_of_weights_and_images_does_not_matter(pair, draw) -> None:
    inputs = draw(2, 20, 24)
    expected = pair.plain(*inputs)
    ours = pair.ours.to(memory_format=torch.channels_last)
    inner = [values.contiguous(memory_format=torch.channels_last) for values in inputs[:2]]
    for context in (torch.no_grad, torch.enable_grad):
        with context():
            torch.testing.assert_close(ours(*inner, inputs[2]), expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("compose", ["mask", "residual"])
def test_bfloat16_stays_close_to_float32(draw, compose) -> None:
    module = RefinementModule(RefinementConfig(compose=compose, parity="official"))
    inputs = [values.float() for values in draw(1, 32, 32)]
    for context in (torch.no_grad, torch.enable_grad):
        with context():
            exact = module(*inputs)
            with torch.autocast("cpu", torch.bfloat16):
                assert 0 < (module(*inputs) - exact).abs().max() < 1e-2


def test_gradients_equal_those_of_the_plain_form(pair, draw, released) -> None:
    inputs = [values.requires_grad_() for values in draw(2, 16, 24)]
    names = [name for name, _ in pair.plain.named_parameters()]

    def gradients(module):
        module(*inputs).square().sum().backward()
        return dict(zip(("restored", "degraded", "prior"), (values.grad for values in inputs), strict=True))

    ours = gradients(pair.ours)
    of_weights = released.weights_of({n: w.grad for n, w in pair.ours.named_parameters()}, names)
    for values in inputs:
        values.grad = None
    plain = gradients(pair.plain)
    for name, expected in plain.items():
        torch.testing.assert_close(ours[name], expected, msg=name)
    for name, weight in pair.plain.named_parameters():
        torch.testing.assert_close(of_weights[name], weight.grad, atol=1e-8, rtol=1e-6, msg=name)


def test_module_starts_as_the_identity(draw) -> None:
    restored, degraded, prior = (values.float() for values in draw(2))
    assert restored.min() < 0 < 1 < restored.max()
    masked = RefinementModule(RefinementConfig(compose="mask"))
    residual = RefinementModule(RefinementConfig(compose="residual"))
    for context in (torch.no_grad, torch.enable_grad):
        with context():
            assert torch.equal(masked(restored, degraded, prior), restored)
            assert torch.equal(residual(restored, degraded, prior), restored.clamp(0, 1))


def test_mask_composition_is_equation_one(build, draw) -> None:
    module, (restored, degraded, prior) = build(), draw(1)
    answers = []
    module.decoder.register_forward_hook(lambda _, __, answer: answers.append(answer))
    refined = module(restored, degraded, prior)
    mask, residual = 1 + torch.tanh(answers[0][:, :1]), answers[0][:, 1:]
    torch.testing.assert_close(refined, degraded + (restored - degraded) * mask + residual)
    assert mask.std() > 0.1


def test_fixed_parity_scales_the_prior_to_unit_variance(build, draw) -> None:
    prior = draw(prior=(512,))[2]
    assert build().prepare(prior).square().mean().item() == pytest.approx(1)
    torch.testing.assert_close(build(parity="official").prepare(prior), prior)


def test_every_weight_and_input_gets_a_gradient(build, draw) -> None:
    module = build(prior_dim=1280)
    inputs = [values.requires_grad_() for values in draw(1, 16, 16, prior=(1280,))]
    module(*inputs).square().sum().backward()
    assert all(values.grad.abs().max() > 0 for values in inputs)
    assert [name for name, weight in module.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize("planes", [(1, 1), (1, 2), (3, 6)])
def test_gray_and_dual_pixel_images_are_refined(build, draw, planes) -> None:
    module = build(restored_planes=planes[0], degraded_planes=planes[1])
    restored, degraded, prior = draw(3, 8, 12, planes=planes)
    with torch.no_grad():
        assert module(restored, degraded, prior).shape == restored.shape
    left, right = degraded[:, : planes[0]], degraded[:, -planes[0] :]
    torch.testing.assert_close(module.view_of(degraded), (left + right) / 2)  # for (1, 1) both are the image itself


@pytest.mark.parametrize("size", [(127, 129), (33, 50), (1, 3)])
def test_any_size_passes_through_the_cores_padding(draw, size) -> None:
    module = RefinementModule(RefinementConfig(compose="residual"))
    prior = draw()[2].float()

    class Refined:
        name, spec = "refined", InputSpec(multiple_of=MULTIPLE_OF, minimum=MULTIPLE_OF, tiling="whole")

        def to(self, device, precision="float32"):
            return self

        def restore(self, degraded, *, generator=None):
            return module(degraded + 0.5, degraded, prior)

    images = torch.rand(1, 3, *size)
    torch.testing.assert_close(restore_images(Refined(), images), (images + 0.5).clamp(0, 1))


def test_flipping_the_image_nearly_flips_the_result(released, draw) -> None:
    """Not exactly: the position embedding knows left from right."""
    module = RefinementModule(AS_RELEASED).double()
    restored, degraded, prior = draw(1, 32, 32)
    with torch.no_grad():
        straight = module(restored, degraded, prior) - restored.clamp(0, 1)
        flipped = module(restored.flip(3), degraded.flip(3), prior).flip(3) - restored.clamp(0, 1)
    assert 1e-6 < (straight - flipped).abs().max() < 2 * straight.abs().max()


def test_module_says_what_is_wrong_with_its_inputs(draw) -> None:
    module = RefinementModule(RefinementConfig())
    restored, degraded, prior = (values.float() for values in draw(1, 16, 16))
    with pytest.raises(ImageError, match=r"degraded images of shape \(1, 3, 16, 16\), got \(1, 1, 16, 16\)"):
        module(restored, degraded[:, :1], prior)
    with pytest.raises(ImageError, match="multiples of 4, got 16x14; restore through the tiler"):
        module(restored[..., :14], degraded[..., :14], prior)
    with pytest.raises(ModelError, match=r"a prior of shape \(1, 512\), got \(1, 256\)"):
        module(restored, degraded, prior[:, :256])
    with pytest.raises(ModelError, match=r"a prior of shape \(1, 512\), got None"):
        module(restored, degraded)
    with pytest.raises(ModelError, match=r"\(1, 512, rows, columns\), got \(1, 512\)"):
        RefinementModule(RefinementConfig(prior_use="concat_2d"))(restored, degraded, prior)


# -------------------------------------------------------------------- cost at 512 x 960, counted without computing it


@pytest.fixture
def large(released):
    with torch.device("meta"):
        images = torch.empty(2, 1, 3, 512, 960)
        return RefinementModule(AS_RELEASED), released.Released(), images, torch.empty(1, 512)


def macs(function) -> int:
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops() // 2


def test_forward_needs_fewer_operations_than_the_plain_form(large) -> None:
    ours, plain, (restored, degraded), prior = large
    expected = macs(lambda: plain(restored, degraded, prior))
    assert expected / 1e9 == pytest.approx(14.3, abs=0.05)  # as measured on the authors' network
    assert macs(lambda: ours(restored, degraded, prior)) < 0.81 * expected
    with torch.inference_mode():
        assert macs(lambda: ours(restored, degraded, prior)) < 0.88 * expected


def test_inference_needs_less_than_half_of_the_plain_forms_memory(large) -> None:
    ours, plain, (restored, degraded), prior = large

    def peak(module):
        return peak_bytes_per_pixel(lambda images: module(images, degraded, prior), restored)

    assert peak(ours) < peak(plain) / 2


def test_training_keeps_less_than_half_of_the_plain_forms_activations(large) -> None:
    ours, plain, (restored, degraded), prior = large

    def kept(module):
        storages = {}

        def note(tensor):
            storage = tensor.untyped_storage()
            storages[storage._cdata] = storage
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            refined = module(restored, degraded, prior)
        assert refined.requires_grad
        return sum(storage.nbytes() for storage in storages.values())

    assert kept(ours) < kept(plain) / 2
