import pytest
import torch
from torch import nn

from restorekit.constyle.watch import CodeWatch, code_spread, gradient_norms


def codes_around(centre: float, spread: float) -> torch.Tensor:
    """Two codes that differ from ``centre`` by ``spread`` in every value, with alternating sign."""
    signs = torch.tensor([1.0, -1.0]).repeat(64)
    return torch.stack([centre + spread * signs, centre - spread * signs])


def test_spread_is_the_deviation_between_images() -> None:
    found = code_spread(codes_around(3.0, 4.0))
    assert found.between_images == pytest.approx(4)
    assert found.size == pytest.approx(5)
    assert found.relative == pytest.approx(0.8)
    assert not found.is_collapsed


def test_spread_needs_two_images() -> None:
    with pytest.raises(ValueError, match="codes: expected those of at least 2 images, got 1"):
        code_spread(torch.zeros(1, 128))


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_spread_of_zeros_or_not_numbers_is_collapsed(value: float) -> None:
    assert code_spread(torch.full((3, 128), value)).is_collapsed


def test_watch_reports_what_it_saw_image_by_image_once() -> None:
    watch = CodeWatch()
    for code in codes_around(3.0, 4.0):
        watch.observe(code[None])
    assert watch.report() == {"code_spread": pytest.approx(4), "code_size": pytest.approx(5)}
    assert watch.report() == {}


def test_watch_waits_for_a_second_image() -> None:
    watch = CodeWatch()
    first, second = codes_around(0.0, 2.0)
    watch.observe(first[None])
    assert watch.report() == {}
    watch.observe(second[None])
    assert watch.report()["code_spread"] == pytest.approx(2)


def test_watch_warns_when_codes_have_collapsed() -> None:
    watch = CodeWatch()
    watch.observe(codes_around(1.0, 1e-4))
    with pytest.warns(
        UserWarning, match=r"codes: expected images to differ by more than 1% .* got 0\.0001 over 2 imag"
    ):
        watch.report()


def test_gradient_norms_are_those_of_a_backward_pass_which_stays_possible() -> None:
    torch.manual_seed(0)
    layers, other = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)), nn.Linear(2, 1)
    output = layers(torch.rand(5, 4))
    losses = {"square": output.square().mean(), "sum": output.sum(), "other": other(torch.ones(2)).sum()}
    norms = gradient_norms(losses, layers)
    assert all(parameter.grad is None for parameter in layers.parameters())
    for name in ("square", "sum"):
        layers.zero_grad()
        losses[name].backward(retain_graph=True)
        expected = torch.cat([parameter.grad.flatten() for parameter in layers.parameters()]).norm()
        assert norms[name] == pytest.approx(float(expected), rel=1e-5)
    assert norms["other"] == 0
