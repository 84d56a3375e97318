"""Training of ConStyle: what learns from what, a freeze that lasts, a resumed run that continues bit for bit."""

import pytest
import torch

from restorekit.constyle.method import METHOD
from restorekit.constyle.settings import ConStyleConfig
from restorekit.constyle.task import ConStyleTask
from restorekit.core.restorer import Method, TrainingTask
from restorekit.core.weights import save_weights
from restorekit.errors import ModelError
from restorekit.training.run import TrainableMethod
from restorekit.training.task import PlacedTask, RestoringTask, SizedTask, StatefulTask

UNET = {
    "block": "dense",
    "width": 4,
    "encoder_blocks": [1],
    "middle_blocks": 1,
    "decoder_blocks": [1],
    "encoder_width": 2,
}


def config_of(*, contrast=None, unet=None, **values):
    return ConStyleConfig.model_validate(
        {"network": {"unet": {**UNET, **(unet or {})}}, "contrast": {"queue_size": 12, **(contrast or {})}, **values}
    )


def task_of(**values) -> ConStyleTask:
    torch.manual_seed(0)
    task = METHOD.task(config_of(**values), None)
    torch.nn.init.normal_(task.network.unet.head[-1].weight, std=0.1)
    return task


@pytest.fixture
def batches():
    generator = torch.Generator().manual_seed(1)
    clean = [torch.rand(5, 3, 32, 32, generator=generator) for _ in range(6)]
    return [{"clean": part, "degraded": part + 0.1 * torch.randn(part.shape, generator=generator)} for part in clean]


def advance(task, batches, optimizer=None):
    task.network.train()
    optimizer = optimizer or torch.optim.AdamW(
        [p for p in task.network.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.1
    )
    results = []
    for batch in batches:
        result = task.step(batch, generator=torch.Generator())
        optimizer.zero_grad()
        result.loss.backward()
        optimizer.step()
        task.after_step()
        results.append(result)
    return results, optimizer


def test_method_and_task_keep_the_protocols() -> None:
    assert isinstance(METHOD, Method)
    assert isinstance(METHOD, TrainableMethod)
    for protocol in (TrainingTask, StatefulTask, PlacedTask, RestoringTask, SizedTask):
        assert isinstance(task_of(), protocol)


def test_loss_is_the_sum_of_what_is_logged(batches) -> None:
    results, _ = advance(task_of(), batches[:3])
    for result in results:
        logged = {name: value for name, value in result.logs.items() if name.startswith("loss_")}
        assert set(logged) == {"loss_pixels", "loss_info_nce", "loss_content", "loss_style"}
        assert float(result.loss.detach()) == pytest.approx(sum(logged.values()), rel=1e-5)


@pytest.mark.parametrize("switch", ["info_nce", "content", "style"])
def test_a_switched_off_loss_is_the_only_thing_that_goes(switch, batches) -> None:
    (full,), _ = advance(task_of(), batches[:1])
    (less,), _ = advance(task_of(contrast={f"{switch}_weight": 0}), batches[:1])
    assert set(full.logs) - set(less.logs) == {f"loss_{switch}"}
    assert {name: full.logs[name] for name in less.logs} == pytest.approx(less.logs, rel=1e-5)


def test_pixel_loss_teaches_every_part_of_the_encoder(batches) -> None:
    task = task_of(contrast={"info_nce_weight": 0, "content_weight": 0, "style_weight": 0})
    task.step(batches[0], generator=torch.Generator()).loss.backward()
    silent = [name for name, p in task.network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert silent == []


def test_plain_unet_trains_on_pixels_alone(batches) -> None:
    results, _ = advance(task_of(unet={"use_maps": False, "use_code": False}), batches[:2])
    assert [set(result.logs) for result in results] == [{"loss_pixels"}] * 2


def test_tone_curves_are_those_of_the_view(batches) -> None:
    network = {"unet": UNET, "tones": True}
    task = METHOD.task(ConStyleConfig.model_validate({"network": network, "contrast": {"queue_size": 12}}), None)
    task.network.eval()
    photo = torch.linspace(0, 1, 48).expand(5, 3, 48, 48)
    bright, dark = ({**batches[0], "view": view} for view in (photo, photo / 10))
    losses = [float(task.step(batch, generator=torch.Generator()).logs["loss_pixels"]) for batch in (bright, dark)]
    assert losses[0] == pytest.approx(float((batches[0]["degraded"] - batches[0]["clean"]).abs().mean()), rel=1e-4)
    brightened = 7 * batches[0]["degraded"]  # from a mean of 0.05 to 0.35
    assert losses[1] == pytest.approx(float((brightened - batches[0]["clean"]).abs().mean()), rel=1e-4)


def test_frozen_encoder_does_not_change(batches) -> None:
    task = task_of(freeze_after=2)
    _, optimizer = advance(task, batches[:2])
    before = {name: tensor.clone() for name, tensor in task.network.encoder.state_dict().items()}
    unet = task.network.unet.head[-1].weight.clone()
    results, _ = advance(task, batches[2:], optimizer)
    assert all(torch.equal(tensor, before[name]) for name, tensor in task.network.encoder.state_dict().items())
    assert not torch.equal(task.network.unet.head[-1].weight, unet)
    assert all(set(result.logs) == {"loss_pixels"} for result in results)


def test_resumed_task_continues_bit_for_bit(batches) -> None:
    whole, _ = advance(task_of(), batches)
    first = task_of()
    _, optimizer = advance(first, batches[:3])
    second = task_of()
    second.network.load_state_dict(first.network.state_dict())
    second.load_state_dict({name: tensor.clone() for name, tensor in first.state_dict().items()})
    moments = torch.optim.AdamW(second.network.parameters(), lr=1e-2, weight_decay=0.1)
    moments.load_state_dict(optimizer.state_dict())
    rest, _ = advance(second, batches[3:], moments)
    assert [float(result.loss.detach()) for result in rest] == [float(result.loss.detach()) for result in whole[3:]]


def test_frozen_stays_frozen_when_resumed(batches) -> None:
    first = task_of(freeze_after=1)
    advance(first, batches[:1])
    second = task_of(freeze_after=1)
    assert not second.network.encoder.frozen
    second.load_state_dict(first.state_dict())
    assert second.network.encoder.frozen


def test_gradient_norms_are_logged_now_and_then(batches) -> None:
    results, _ = advance(task_of(gradients_every=2), batches[:3])
    found = [sorted(name for name in result.logs if name.startswith("gradient_")) for result in results]
    names = [f"gradient_{name}" for name in ("content", "info_nce", "pixels", "style")]
    assert found == [names, [], names]
    assert results[2].logs["gradient_info_nce"] > 0


def test_codes_are_watched_when_validated(batches) -> None:
    task = task_of()
    task.network.eval()
    for image in batches[0]["degraded"].split(1):
        task.restore(image)
    logs = advance(task, batches[:1])[0][0].logs
    codes = torch.cat([task_of().network.eval().encoder.code_of(x) for x in batches[0]["degraded"].split(1)])
    spread = codes.double().var(dim=0, correction=0).mean().sqrt()
    assert logs["code_spread"] == pytest.approx(float(spread.detach()), rel=1e-4)


def test_second_stage_starts_from_the_encoder_of_the_first(batches, tmp_path) -> None:
    first = task_of()
    advance(first, batches[:2])
    save_weights(tmp_path / "w.safetensors", first.network.state_dict())
    second = METHOD.task(config_of(encoder_weights=str(tmp_path / "w.safetensors"), freeze_after=0), None)
    expected = first.network.encoder.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in second.network.encoder.state_dict().items())
    assert second.network.encoder.frozen
    save_weights(tmp_path / "plain.safetensors", {"unet.x": torch.zeros(1)})
    with pytest.raises(ModelError, match="expected weights of a ConStyle run, got ones without an encoder"):
        METHOD.task(config_of(encoder_weights=str(tmp_path / "plain.safetensors")), None)


def test_weights_of_the_other_parity_are_refused_by_name(tmp_path) -> None:
    official = config_of(contrast={"parity": "official"}, network={"unet": UNET, "parity": "official"})
    save_weights(tmp_path / "w.safetensors", METHOD.task(official, None).network.state_dict())
    with pytest.raises(ModelError, match=r"running_mean|num_batches"):
        METHOD.task(config_of(weights=str(tmp_path / "w.safetensors")), None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"network": {"unet": UNET, "parity": "official"}}, "expected the same, got official and fixed"),
        ({"unet": {"use_maps": False, "use_code": False}, "encoder_weights": "x"}, "nothing listens"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values, message) -> None:
    with pytest.raises(ValueError, match=message):
        config_of(**values)


def test_description_is_a_loss_of_its_own_until_the_encoder_is_frozen(batches) -> None:
    (plain,), _ = advance(task_of(), batches[:1])
    described, _ = advance(task_of(description_weight=0.5, freeze_after=1), batches[:2])
    assert set(described[0].logs) - set(plain.logs) == {"loss_description"}
    assert float(described[0].loss.detach()) > float(plain.loss.detach())
    assert "loss_description" not in described[1].logs
