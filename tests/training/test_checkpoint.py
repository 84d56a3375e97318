from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from restorekit.errors import ModelError
from restorekit.training.checkpoint import export_compact, load_checkpoint, load_compact, newest_checkpoint
from restorekit.training.loop import train
from restorekit.training.state import prepare_state

CPU = torch.device("cpu")


def ignore(_: str) -> None:
    pass


@pytest.fixture
def trained(make_task, make_batches, settings, tmp_path):
    """A finished run of 8 steps: its folder."""
    train(make_task(), make_batches(settings), settings, output=tmp_path / "run")
    return tmp_path / "run"


def test_the_last_two_checkpoints_are_kept(trained: Path) -> None:
    assert sorted(path.name for path in (trained / "checkpoints").iterdir()) == [
        "step-00000006.safetensors",
        "step-00000008.safetensors",
    ]


@pytest.mark.parametrize("harm", ["truncated", "flipped", "foreign"])
def test_damaged_newest_checkpoint_falls_back_to_the_one_before(
    trained, make_task, make_batches, settings, harm
) -> None:
    newest = newest_checkpoint(trained / "checkpoints")
    expected = {name: tensor.clone() for name, tensor in load_file(newest).items()}  # the file is mapped
    data = bytearray(newest.read_bytes())
    if harm == "truncated":
        del data[len(data) // 2 :]
    elif harm == "flipped":
        data[-5] ^= 64  # within the numbers: safetensors itself does not notice
    else:
        data[:] = b"not a checkpoint"
    newest.write_bytes(data)
    notes, steps = [], []
    result = train(
        make_task(), make_batches(settings), settings, output=trained,
        on_note=notes.append, on_progress=lambda progress: steps.append(progress.step),
    )  # fmt: skip
    assert notes[0].startswith(f"warning: {newest}: expected")
    assert notes[0].endswith("trying the checkpoint before it")
    assert steps == [7, 8]
    again = load_file(result.checkpoint)
    assert all(torch.equal(again[name], tensor) for name, tensor in expected.items())


def test_resume_with_no_good_checkpoint_is_an_error(trained, make_task, make_batches, settings) -> None:
    for path in (trained / "checkpoints").iterdir():
        path.write_bytes(b"damaged")
    with pytest.raises(ModelError, match=r"step-00000006\.safetensors: expected a safetensors file"):
        train(make_task(), make_batches(settings), settings, output=trained)


def test_weight_file_is_refused_as_a_checkpoint(trained, make_task, make_batches, settings) -> None:
    with pytest.raises(ModelError, match=r"weights\.safetensors: expected a checkpoint of restorekit train"):
        train(make_task(), make_batches(settings), settings, output=trained, resume=trained / "weights.safetensors")


def test_changed_settings_are_told_and_hold(trained, make_task, make_batches, settings) -> None:
    notes = []
    longer = settings.model_copy(update={"steps": 9})
    assert train(make_task(), make_batches(longer), longer, output=trained, on_note=notes.append).step == 9
    assert notes == ["settings changed since the checkpoint, the new ones hold: steps 8 -> 9"]


def test_other_number_of_threads_is_told(trained, make_task, settings) -> None:
    before = torch.get_num_threads()
    state = prepare_state(make_task(), settings, seed=0, device=CPU)
    notes = []
    torch.set_num_threads(before + 1)
    try:
        load_checkpoint(newest_checkpoint(trained / "checkpoints"), state, settings, on_note=notes.append)
    finally:
        torch.set_num_threads(before)
    assert notes == [f"PyTorch had {before} threads, now {before + 1}: the run continues, but not bit for bit"]


def test_compact_resume_point_holds_half_precision_weights_and_no_moments(trained, make_task, settings) -> None:
    compact, full = load_file(trained / "resume.safetensors"), load_file(newest_checkpoint(trained / "checkpoints"))
    assert set(compact) == {name for name in full if not name.startswith("moments.")}
    for name, tensor in compact.items():
        assert torch.equal(tensor, full[name].half() if full[name].is_floating_point() else full[name])
    state = prepare_state(make_task(), settings, seed=0, device=CPU)
    load_compact(trained / "resume.safetensors", state, settings, on_note=ignore)
    assert (state.step, state.restarted_at) == (8, 8)
    assert {tensor.dtype for tensor in state.live.parameters()} == {torch.float32}
    assert torch.equal(state.task.queue, full["task.queue"].half().float())


def test_run_moves_to_another_folder_by_its_compact_resume_point(make_task, make_batches, settings, tmp_path) -> None:
    """The second warm-up begins at the step of the move, and its start survives further checkpoints."""
    half = settings.model_copy(update={"steps": 4})
    here = train(make_task(), make_batches(half), half, output=tmp_path / "here")
    whole = settings.model_copy(update={"rewarmup_steps": 4})
    rates = {}
    for stop in (6, 8):
        part = whole.model_copy(update={"steps": stop})
        resume = here.resume_point if stop == 6 else "auto"
        train(
            make_task(), make_batches(part), part, output=tmp_path / "there", resume=resume,
            on_progress=lambda progress: rates.update({progress.step: progress.values["learning_rate"]}),
        )  # fmt: skip
    assert list(rates) == [5, 6, 7, 8]
    from restorekit.training.schedule import learning_rate

    planned = {5: 6, 6: 6, 7: 8, 8: 8}
    shares = [
        rate / learning_rate(whole.model_copy(update={"steps": planned[step]}), step) for step, rate in rates.items()
    ]
    assert shares == pytest.approx([0.25, 0.5, 0.75, 1.0])


def test_load_compact_refuses_a_full_checkpoint(trained, make_task, settings) -> None:
    state = prepare_state(make_task(), settings, seed=0, device=CPU)
    with pytest.raises(ModelError, match="expected a compact resume point, got a full checkpoint"):
        load_compact(newest_checkpoint(trained / "checkpoints"), state, settings, on_note=ignore)


def test_failed_write_leaves_the_old_file(trained, make_task, settings, monkeypatch) -> None:
    path = trained / "resume.safetensors"
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space left"):
        export_compact(path, prepare_state(make_task(), settings, seed=0, device=CPU), settings)
    assert path.read_bytes() == before
    assert [item.name for item in trained.iterdir() if item.name.endswith(".partial")] == []
