import csv
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from restorekit.core.image.convention import Images
from restorekit.core.restorer import StepResult
from restorekit.core.weights import load_metadata, load_weights
from restorekit.errors import ModelError, RestorekitError
from restorekit.training.checkpoint import newest_checkpoint
from restorekit.training.loop import train
from restorekit.training.validation import Validator

KILLED_RUN = """
    import importlib.util, os, signal, sys
    from pathlib import Path
    import torch
    from restorekit.core.degradation.chain import parse_degradation
    from restorekit.training import CropBatches, PhotoPool, TrainingSettings, train

    conftest, pool, output, settings, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    spec = importlib.util.spec_from_file_location("tiny", conftest)
    tiny = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tiny)
    settings = TrainingSettings.model_validate_json(settings)
    batches = CropBatches(PhotoPool(Path(pool)), parse_degradation("noise:sigma=5..50"), settings, 0)

    def die_at_step_5(progress):
        if progress.step == 5:
            os.kill(os.getpid(), signal.SIGKILL)

    train(tiny.TinyTask(), batches, settings, output=Path(output), on_progress=die_at_step_5)
"""


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


def assert_same_tensors(first: Path, second: Path) -> None:
    one, other = load_file(first), load_file(second)
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_killed_and_resumed_run_equals_an_uninterrupted_one(make_task, make_batches, pool, settings, tmp_path) -> None:
    straight = train(make_task(), make_batches(settings), settings, output=tmp_path / "straight")
    killed = tmp_path / "killed"
    arguments = [
        Path(__file__).with_name("conftest.py"),
        pool.path,
        killed,
        settings.model_dump_json(),
        torch.get_num_threads(),
    ]
    code = textwrap.dedent(KILLED_RUN)
    process = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=False, capture_output=True)
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()
    assert newest_checkpoint(killed / "checkpoints") == killed / "checkpoints" / "step-00000004.safetensors"

    resumed = train(make_task(), make_batches(settings), settings, output=killed)

    assert straight.step == resumed.step == 8
    kinds = {name.partition(".")[0] for name in load_file(straight.checkpoint)}
    assert kinds == {"live", "average", "moments", "task"}
    assert_same_tensors(straight.checkpoint, resumed.checkpoint)
    assert_same_tensors(straight.weights, resumed.weights)
    logs = [[(row["step"], row["loss"]) for row in rows(run / "log.csv")] for run in (tmp_path / "straight", killed)]
    assert logs[0] == logs[1]
    assert [step for step, _ in logs[0]] == [str(step) for step in range(1, 9)]


def test_training_lowers_the_loss_and_averages_the_weights(make_task, make_batches, settings, tmp_path) -> None:
    longer = settings.model_copy(update={"steps": 60, "learning_rate": 1e-2, "ema_decay": 0.8})
    result = train(make_task(), make_batches(longer), longer, output=tmp_path)
    losses = [float(row["loss"]) for row in rows(tmp_path / "log.csv")]
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
    tensors = load_file(result.checkpoint)
    live, average = tensors["live.network.0.weight"], tensors["average.network.0.weight"]
    assert 0 < (live - average).abs().max() < 0.05


def test_non_finite_loss_stops_before_a_checkpoint_and_says_what_to_lower(make_task, make_batches, settings, tmp_path):
    task = make_task()
    healthy = task.step

    def breaking(batch, *, generator) -> StepResult:
        result = healthy(batch, generator=generator)
        return StepResult(result.loss * float("nan")) if task.queue.count_nonzero() == 3 else result

    task.step = breaking
    message = (
        r"step 4: expected a finite loss, got nan; the last good checkpoint is .*step-00000002\.safetensors; lower "
        r"training\.learning_rate \(now 0\.001\) or training\.clip_norm \(now 1\), or set training\.precision=float32"
    )
    with pytest.raises(RestorekitError, match=message):
        train(task, make_batches(settings), settings.model_copy(update={"log_every": 100}), output=tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000002.safetensors"]


def test_infinite_gradient_is_refused_even_when_the_loss_is_finite(make_task, make_batches, settings, tmp_path) -> None:
    task = make_task()
    weight = task.network[0].weight
    task.step = lambda batch, *, generator: StepResult((weight - weight.detach()).abs().sqrt().sum())
    with pytest.raises(
        RestorekitError, match=r"step 1: expected a finite gradient norm, got (nan|inf); there is no check"
    ):
        train(task, make_batches(settings), settings, output=tmp_path)


def test_max_minutes_includes_the_final_checkpoint_and_the_run_continues(make_task, make_batches, settings, tmp_path):
    slow = make_task()
    step = slow.step

    def sleeping(batch, *, generator) -> StepResult:
        time.sleep(0.2)
        return step(batch, generator=generator)

    slow.step = sleeping
    began = time.monotonic()
    result = train(slow, make_batches(settings), settings, output=tmp_path, max_minutes=2.6 / 60)
    assert time.monotonic() - began < 2.6
    assert result.stopped == "time"
    assert not result.finished
    assert 1 <= result.step < 8
    assert result.checkpoint.is_file()
    assert train(make_task(), make_batches(settings), settings, output=tmp_path).finished


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_after_the_step_with_a_checkpoint(make_task, make_batches, settings, tmp_path, number) -> None:
    handler = signal.getsignal(number)

    def send_at_3(progress) -> None:
        if progress.step == 3:
            os.kill(os.getpid(), number)

    result = train(make_task(), make_batches(settings), settings, output=tmp_path, on_progress=send_at_3)
    assert (result.stopped, result.step) == ("signal", 3)
    assert result.checkpoint.is_file()
    assert signal.getsignal(number) is handler


def test_progress_tells_step_loss_speed_and_time_left(make_task, make_batches, settings, tmp_path) -> None:
    told = []
    train(make_task(), make_batches(settings), settings, output=tmp_path, on_progress=told.append)
    assert [progress.step for progress in told] == list(range(1, 9))
    assert all(progress.steps == 8 and progress.loss > 0 and progress.steps_per_second > 0 for progress in told)
    assert 0 < told[3].seconds_left < 60
    assert told[-1].seconds_left == 0
    assert {"loss", "gradient_norm", "learning_rate", "queue"} <= set(told[0].values)


def test_finished_run_is_not_trained_again(make_task, make_batches, settings, tmp_path) -> None:
    first = train(make_task(), make_batches(settings), settings, output=tmp_path)
    before = load_weights(first.weights)
    told = []
    again = train(make_task(), make_batches(settings), settings, output=tmp_path, on_progress=told.append)
    assert again.finished
    assert told == []
    assert all(torch.equal(tensor, before[name]) for name, tensor in load_weights(again.weights).items())


def test_resume_never_starts_afresh_and_drops_the_old_run(make_task, make_batches, settings, tmp_path) -> None:
    train(make_task(), make_batches(settings), settings, output=tmp_path)
    notes = []
    short = settings.model_copy(update={"steps": 3})
    train(make_task(), make_batches(short), short, output=tmp_path, resume="never", on_note=notes.append)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "step-00000002.safetensors",
        "step-00000003.safetensors",
    ]
    assert [row["step"] for row in rows(tmp_path / "log.csv")] == ["1", "2", "3"]
    assert "continuing after step 0: removed step-00000006.safetensors, step-00000008.safetensors" in notes[0]


def test_run_of_another_network_is_refused(make_task, make_batches, settings, tmp_path) -> None:
    train(make_task(), make_batches(settings), settings, output=tmp_path)
    other = make_task()
    other.network[4] = torch.nn.Conv2d(6, 3, 5, padding=2)
    with pytest.raises(ModelError, match=r"differ in live\.network\.4\.weight .*choose another --output, or start"):
        train(other, make_batches(settings), settings, output=tmp_path)


def test_exported_weights_are_the_average_in_half_precision(make_task, make_batches, settings, tmp_path) -> None:
    result = train(make_task(), make_batches(settings), settings, output=tmp_path, metadata={"method": "tiny"})
    shipped = load_weights(result.weights)
    average = load_file(result.checkpoint)
    assert shipped.keys() == make_task().network.state_dict().keys()
    for name, tensor in shipped.items():
        expected = average[f"average.network.{name}"]
        assert torch.equal(tensor, expected.half() if expected.is_floating_point() else expected)
    assert load_metadata(result.weights) == {"method": "tiny", "step": "8"}


def test_bfloat16_autocast_reaches_the_task_and_gradients_stay_float32(
    make_task, make_batches, settings, tmp_path
) -> None:
    task = make_task()
    seen = []
    task.network[4].register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    half = settings.model_copy(update={"precision": "bfloat16", "steps": 2})
    train(task, make_batches(half), half, output=tmp_path)
    assert set(seen) == {torch.bfloat16}
    assert task.network[4].weight.grad.dtype == torch.float32


def test_placed_task_is_told_the_device_once(make_task, make_batches, settings, tmp_path) -> None:
    task = make_task()
    told: list[torch.device] = []
    task.place = told.append
    train(task, make_batches(settings), settings.model_copy(update={"steps": 1}), output=tmp_path)
    assert [device.type for device in told] == [torch.device("cpu").type]


def test_validation_scores_the_average_and_gives_the_live_weights_back(
    make_task, make_batches, settings, photos, tmp_path
) -> None:
    task, seen, told = make_task(), [], []

    class Watching(Validator):
        def scores(self, restore: Callable[[Images], Images], *, device: torch.device) -> dict[str, float]:
            assert not task.network.training
            seen.append(task.network[0].weight.detach().clone())
            return super().scores(restore, device=device)

    checked = settings.model_copy(update={"validate_every": 8})
    validator = Watching(photos, {"noise": "noise:sigma=25"}, images=2)
    result = train(task, make_batches(checked), checked, output=tmp_path, validator=validator, on_progress=told.append)
    tensors = load_file(result.checkpoint)
    assert torch.equal(seen[0], tensors["average.network.0.weight"])
    assert torch.equal(task.network[0].weight, tensors["live.network.0.weight"])
    assert not torch.equal(seen[0], task.network[0].weight)
    assert task.network.training
    assert result.scores.keys() == {"noise/psnr", "noise/ssim"}
    assert result.scores == told[-1].scores
    (row,) = rows(tmp_path / "validation.csv")
    assert row["step"] == "8"
    assert float(row["noise/psnr"]) == pytest.approx(result.scores["noise/psnr"], rel=1e-5)
