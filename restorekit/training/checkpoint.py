"""Checkpoints: one safetensors file each, written whole or not at all, checked by a digest when read.

- A full checkpoint (live and averaged weights, moments, step, seconds) continues bit for bit on one machine's CPU.
- A compact one (float16, no moments) is a few MiB and moves a run between machines: the moments start anew under a
  short second warm-up (``rewarmup_steps``), so the run continues, but not bit for bit.
- What ships is a third file: the averaged weights alone, in float16.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restorekit.core.weights import WeightFile, load_metadata, load_weights, save_weights
from restorekit.errors import ModelError
from restorekit.training.settings import TrainingSettings
from restorekit.training.state import TrainingState

__all__ = [
    "discard_after",
    "export_compact",
    "export_weights",
    "load_checkpoint",
    "load_compact",
    "newest_checkpoint",
    "resume",
    "save_checkpoint",
]

KEPT = 2
"""Checkpoints that are kept: the newest, and the one before should the newest be damaged."""

LAYOUT = "restorekit-training-1"

Note = Callable[[str], None]


def save_checkpoint(folder: Path, state: TrainingState, settings: TrainingSettings) -> Path:
    """Write ``step-00000500.safetensors`` and remove all but the last two."""
    path = folder / f"{_name(state.step)}.safetensors"
    _save(path, state.weights() | state.moments(), state, settings, kind="full")
    for old in _checkpoints(folder)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def load_checkpoint(path: Path, state: TrainingState, settings: TrainingSettings, *, on_note: Note) -> None:
    """Put a full or compact checkpoint into ``state``; changed settings and seeds are told, and the new ones hold.

    Raises:
        ModelError: absent, damaged, no checkpoint, or of another network; ``state`` is then unchanged.
    """
    record = _read_record(path)
    tensors = load_weights(path)
    if _digest(tensors) != record["digest"]:
        raise ModelError(f"{path}: expected the tensors that were written, got others: the file is damaged; delete it")
    compact = record["kind"] == "compact"
    if compact:
        kinds = {name: tensor.dtype for name, tensor in state.weights().items()}
        tensors = {name: tensor.to(kinds.get(name, tensor.dtype)) for name, tensor in tensors.items()}
    state.load(tensors, str(path))
    state.step, state.seconds = int(record["step"]), float(record["seconds"])
    state.restarted_at = state.step if compact else record["restarted_at"]
    _tell_changes(record, state, settings, on_note)


def resume(
    choice: str | Path, folder: Path, state: TrainingState, settings: TrainingSettings, *, on_note: Note
) -> Path | None:
    """Continue from what ``choice`` says: "auto" the newest good checkpoint of ``folder``, "never", or a file.

    Returns:
        The checkpoint that was read; None for a fresh start.

    Raises:
        ModelError: a named file cannot be used, or no checkpoint of the folder can.
    """
    if choice == "never":
        return None
    if choice != "auto":
        load_checkpoint(Path(choice), state, settings, on_note=on_note)
        return Path(choice)
    found = _checkpoints(folder)
    for path in reversed(found):
        try:
            load_checkpoint(path, state, settings, on_note=on_note)
        except ModelError as error:
            if path == found[0]:
                raise
            on_note(f"warning: {error}; trying the checkpoint before it")
        else:
            return path
    return None


def discard_after(folder: Path, step: int, *, on_note: Note) -> None:
    """Remove checkpoints above ``step``: of a run that is not continued, damaged, or beyond where it was taken up."""
    stale = [path for path in _checkpoints(folder) if path.stem > _name(step)]
    if stale:
        on_note(f"continuing after step {step}: removed {', '.join(path.name for path in stale)}")
    for path in stale:
        path.unlink(missing_ok=True)


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the highest step, unread."""
    return next(reversed(_checkpoints(folder)), None)


def export_compact(path: Path, state: TrainingState, settings: TrainingSettings) -> WeightFile:
    """Write a resume point for another machine: float16 weights, live and averaged, and the task's; no moments."""
    return _save(path, _halved(state.weights()), state, settings, kind="compact")


def load_compact(path: Path, state: TrainingState, settings: TrainingSettings, *, on_note: Note) -> None:
    """The same as ``load_checkpoint``, for files of ``export_compact`` alone.

    Raises:
        ModelError: absent, damaged, another network's, or a full checkpoint.
    """
    if _read_record(path)["kind"] != "compact":
        raise ModelError(
            f"{path}: expected a compact resume point, got a full checkpoint; read it with load_checkpoint"
        )
    load_checkpoint(path, state, settings, on_note=on_note)


def export_weights(
    path: Path,
    state: TrainingState,
    *,
    ema: bool = True,
    dtype: torch.dtype = torch.float16,
    metadata: Mapping[str, str] | None = None,
) -> WeightFile:
    """Write what ships: the averaged weights (or the live ones), with ``metadata`` and the step.

    A task with one module keeps that module's own names; with several, each name begins with its module's.
    """
    module = state.average.module if ema else state.live
    names = list(state.live)
    prefix = f"{names[0]}." if len(names) == 1 else ""
    tensors = {name.removeprefix(prefix): tensor for name, tensor in module.state_dict().items()}
    return save_weights(path, _halved(tensors, dtype), {**(metadata or {}), "step": str(state.step)})


def _save(
    path: Path, tensors: Mapping[str, Tensor], state: TrainingState, settings: TrainingSettings, *, kind: str
) -> WeightFile:
    record = {
        "layout": LAYOUT,
        "kind": kind,
        "step": state.step,
        "seconds": state.seconds,
        "seed": state.seed,
        "restarted_at": state.restarted_at,
        "threads": torch.get_num_threads(),
        "settings": settings.model_dump(mode="json"),
        "digest": _digest(tensors),
    }
    return save_weights(path, tensors, {"training": json.dumps(record, sort_keys=True)})


def _read_record(path: Path) -> dict[str, Any]:
    text = load_metadata(path).get("training", "")
    record: dict[str, Any] = json.loads(text) if text else {}
    if record.get("layout") != LAYOUT:
        raise ModelError(
            f"{path}: expected a checkpoint of restorekit train, got a file without training state; "
            "name a file under checkpoints/ or a resume.safetensors"
        )
    return record


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _checkpoints(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted(folder.glob("step-*.safetensors"))


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes and bytes: safetensors itself does not notice a flipped bit."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _halved(tensors: Mapping[str, Tensor], dtype: torch.dtype = torch.float16) -> dict[str, Tensor]:
    return {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def _tell_changes(record: Mapping[str, Any], state: TrainingState, settings: TrainingSettings, on_note: Note) -> None:
    before, now = record["settings"], settings.model_dump(mode="json")
    changed = [f"{key} {before.get(key)} -> {now[key]}" for key in now if before.get(key) != now[key]]
    if record["seed"] != state.seed:
        changed.append(f"seed {record['seed']} -> {state.seed}")
    threads = torch.get_num_threads()
    if record["kind"] == "full" and record["threads"] != threads:  # sums are then rounded in another order
        on_note(f"PyTorch had {record['threads']} threads, now {threads}: the run continues, but not bit for bit")
    if changed:
        on_note(f"settings changed since the checkpoint, the new ones hold: {', '.join(changed)}")
