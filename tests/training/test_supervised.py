import pytest
import torch
from pydantic import ValidationError
from torch import nn

from restorekit.core.networks.catalogue import build_network, configure
from restorekit.core.networks.convert import read_description
from restorekit.core.restorer import Method, Restorer, TrainingTask
from restorekit.core.weights import save_weights
from restorekit.training.pixel_loss import PixelLoss, restoration_loss
from restorekit.training.run import TrainableMethod
from restorekit.training.supervised import METHOD, SupervisedConfig, SupervisedTask
from restorekit.training.task import RestoringTask, SizedTask

TINY = {"width": 4, "encoder_blocks": [1], "middle_blocks": 1, "decoder_blocks": [1]}


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(3, 3, 8, 8, generator=generator)
    return clean + 0.1 * torch.randn(3, 3, 8, 8, generator=generator), clean


def test_losses_agree_with_pytorch_and_the_formulas(pair) -> None:
    restored, clean = pair
    l1 = restoration_loss(restored, clean, name="l1", eps=1e-3)
    torch.testing.assert_close(l1.mean(), nn.functional.l1_loss(restored, clean))
    charbonnier = [(float(d) ** 2 + 0.01**2) ** 0.5 for d in (restored - clean).flatten()]
    assert float(restoration_loss(restored, clean, name="charbonnier", eps=0.01).mean()) == pytest.approx(
        sum(charbonnier) / len(charbonnier), rel=1e-5
    )
    psnr = [-10 * torch.log10(1 / nn.functional.mse_loss(a, b)) for a, b in zip(restored, clean, strict=True)]
    assert float(restoration_loss(restored, clean, name="psnr", eps=1e-6).mean()) == pytest.approx(
        float(sum(psnr)) / 3, rel=1e-5
    )


@pytest.mark.parametrize("name", ["charbonnier", "l1", "psnr"])
def test_losses_have_finite_gradients_where_nothing_differs(name: str) -> None:
    restored = torch.full((1, 3, 4, 4), 0.5, requires_grad=True)
    restoration_loss(restored, torch.full((1, 3, 4, 4), 0.5), name=name, eps=1e-3).sum().backward()
    assert torch.isfinite(restored.grad).all()


def test_supervised_task_keeps_the_protocols(pair) -> None:
    task = SupervisedTask(nn.Conv2d(3, 3, 1), PixelLoss("l1"))
    degraded, clean = pair
    loss = task.step({"degraded": degraded, "clean": clean}, generator=torch.Generator()).loss
    torch.testing.assert_close(loss, nn.functional.l1_loss(task.network(degraded), clean))
    assert isinstance(task, TrainingTask)
    assert isinstance(task, RestoringTask)
    assert isinstance(task, SizedTask)


def test_balance_counts_each_crop_by_its_own_degradation(pair) -> None:
    degraded, clean = pair
    degraded = clean + (degraded - clean) * torch.tensor([0.0, 1.0, 4.0])[:, None, None, None]
    task = SupervisedTask(nn.Conv2d(3, 3, 1), PixelLoss("l1", balance=0.05))
    loss = task.step({"degraded": degraded, "clean": clean}, generator=torch.Generator()).loss
    weights = [1 / (0.05 + float(nn.functional.mse_loss(a, b)) ** 0.5) for a, b in zip(degraded, clean, strict=True)]
    losses = [
        float(nn.functional.l1_loss(task.network(a[None])[0], b).detach()) for a, b in zip(degraded, clean, strict=True)
    ]
    expected = sum(w * value for w, value in zip(weights, losses, strict=True)) / sum(weights)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert weights[0] == pytest.approx(20)


def test_method_builds_task_and_restorer_of_the_same_network(tmp_path) -> None:
    assert isinstance(METHOD, Method)
    assert isinstance(METHOD, TrainableMethod)
    config = SupervisedConfig(network="nafnet", network_options=TINY)
    task = METHOD.task(config, None)
    assert task.multiple_of == 2
    weights = tmp_path / "weights.safetensors"
    save_weights(weights, task.network.state_dict())
    restorer = METHOD.restorer(config.model_copy(update={"weights": str(weights)}))
    assert isinstance(restorer, Restorer)
    image = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(restorer.restore(image), task.network.eval()(image).detach())


def test_task_starts_from_a_weight_file(tmp_path) -> None:
    network = build_network("nafnet", TINY)
    save_weights(tmp_path / "old.safetensors", network.state_dict())
    config = SupervisedConfig(network="nafnet", network_options=TINY, weights=str(tmp_path / "old.safetensors"))
    begun = METHOD.task(config, None).network.state_dict()
    assert all(torch.equal(begun[name], tensor) for name, tensor in network.state_dict().items())


def test_weight_file_with_the_metadata_loads_by_itself(tmp_path) -> None:
    config = SupervisedConfig(network="nafnet", network_options=TINY)
    save_weights(
        tmp_path / "weights.safetensors", METHOD.task(config, None).network.state_dict(), METHOD.metadata(config)
    )
    name, described = read_description(tmp_path / "weights.safetensors")
    assert (name, described) == ("nafnet", configure("nafnet", TINY))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"network": "nafnett"}, "did you mean nafnet"),
        ({"network": "nafnet", "network_options": {"wdth": 4}}, "option wdth: .*expected one of .*did you mean width"),
        ({"network": "nafnet", "network_options": {"channels": 1}}, "from 3 planes to 3 .* got 1 to 1"),
        ({"network": "nafnet", "loss": "l2"}, "'charbonnier', 'l1' or 'psnr'"),
    ],
)
def test_config_refuses(values: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        SupervisedConfig.model_validate(values)
