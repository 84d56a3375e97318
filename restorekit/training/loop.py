"""The training loop: one for every method. ``train`` reads from top to bottom.

- Accelerate says which device and process this is and carries the exchange between processes; the rest stays in sight:
  autocast, clipping, the schedule, the average, checkpoints.
- Losses stay on the device until a row of the log, a validation or a checkpoint needs them, so a GPU is never waited
  for in between. No checkpoint is written before every loss up to it is known to be finite.
- SIGKILL and resume gives bit for bit the weights of an uninterrupted run on one CPU with one number of threads.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restorekit.core.placement import resolve_precision
from restorekit.core.restorer import TrainingTask
from restorekit.training.batches import Batch, Batches
from restorekit.training.checkpoint import (
    discard_after,
    export_compact,
    export_weights,
    newest_checkpoint,
    save_checkpoint,
)
from restorekit.training.checkpoint import (
    resume as resume_from,
)
from restorekit.training.divergence import divergence
from restorekit.training.log import RunLog
from restorekit.training.processes import Processes
from restorekit.training.progress import Progress, Stop, TrainingResult
from restorekit.training.schedule import learning_rate
from restorekit.training.settings import TrainingSettings
from restorekit.training.state import TrainingState, prepare_state, seeded_generator
from restorekit.training.stopping import Clock, Interrupts
from restorekit.training.task import RestoringTask
from restorekit.training.validation import Validator

__all__ = ["train"]

AGREE_EVERY = 10
"""Steps between two exchanges on whether to stop, with several processes."""


@dataclass
class _Run:
    """What the parts of the loop share."""

    state: TrainingState
    settings: TrainingSettings
    output: Path
    processes: Processes
    clock: Clock
    on_progress: Callable[[Progress], None]
    validator: Validator | None
    log: RunLog | None
    """None in every process but the first, which alone writes."""
    autocast: bool
    seconds_before: float
    first_step: int
    """Of this call; reported at once, so that a run is seen to live."""
    pending: "list[_Step]" = field(default_factory=list)
    reported_at: float = 0.0
    saved_at: float = 0.0
    saved_step: int = -1
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Step:
    number: int
    loss: Tensor
    gradient_norm: Tensor
    logs: Mapping[str, Any]


def train(
    task: TrainingTask,
    batches: Batches,
    settings: TrainingSettings,
    *,
    output: Path,
    seed: int = 0,
    resume: str | Path = "auto",
    max_minutes: float | None = None,
    validator: Validator | None = None,
    metadata: Mapping[str, str] | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_note: Callable[[str], None] = lambda _: None,
) -> TrainingResult:
    """Train a task to ``settings.steps``, or as far as the time goes.

    Args:
        task: what is trained; ``PlacedTask``, ``StatefulTask`` and ``RestoringTask`` are honoured.
        batches: the data.
        settings: of the loop.
        output: folder for ``checkpoints/``, ``log.csv``, ``validation.csv``, ``weights.safetensors`` and
            ``resume.safetensors``.
        seed: of the run; the generator of a step is seeded from (seed, step, process).
        resume: "auto" continues from the newest good checkpoint in ``output``; "never" starts afresh and removes what
            an earlier run left there; or the path of a checkpoint or compact resume point.
        max_minutes: wall time of this call, the final checkpoint included; at least one step is done. None: no limit.
        validator: scores the averaged weights of a ``RestoringTask``.
        metadata: goes into ``weights.safetensors``.
        on_progress, on_note: told what happens, in the first process only.

    Raises:
        RestorekitError: the loss or a gradient is not finite; the last good checkpoint stays.
        ModelError: no checkpoint can be read, or it is of another network.
    """
    clock = Clock(max_minutes)
    processes = Processes()
    note = on_note if processes.is_first else _ignore
    state = prepare_state(task, settings, seed=seed, device=processes.device)
    resume_from(resume, output / "checkpoints", state, settings, on_note=note)
    processes.share_weights(state.live)
    processes.wait()  # all have read what the first may now remove
    if processes.is_first:
        discard_after(output / "checkpoints", state.step, on_note=note)
    run = _start(state, settings, output, processes=processes, clock=clock, validator=validator, report=on_progress)
    stopped: Stop = "finished"
    with Interrupts() as interrupts:
        for batch in batches.steps(state.step, settings.steps, device=processes.device):
            _update(run, batch)
            if _due(state.step, settings.log_every, settings.steps) or state.step == run.first_step:
                _report(run)
            if settings.validate_every and _due(state.step, settings.validate_every, settings.steps):
                _validate(run)
            if _checkpoint_is_due(run):
                _save(run)
            if state.step < settings.steps and _must_stop(run, wanted=interrupts.wanted):
                stopped = "signal" if interrupts.wanted else "time"
                break
        return _finish(run, stopped, metadata)


def _start(
    state: TrainingState,
    settings: TrainingSettings,
    output: Path,
    *,
    processes: Processes,
    clock: Clock,
    validator: Validator | None,
    report: Callable[[Progress], None],
) -> _Run:
    if settings.compile:
        for module in state.live.values():
            module.compile()
    first = processes.is_first
    return _Run(
        state=state,
        settings=settings,
        output=output,
        processes=processes,
        clock=clock,
        on_progress=report if first else _ignore,
        validator=validator if first and isinstance(state.task, RestoringTask) else None,
        log=RunLog(output, step=state.step) if first else None,
        autocast=resolve_precision(settings.precision, processes.device) == "bfloat16",
        seconds_before=state.seconds,
        first_step=state.step + 1,
        reported_at=clock.seconds,
        saved_at=clock.seconds,
        saved_step=state.step,
    )


def _update(run: _Run, batch: Batch) -> None:
    """One update of the weights and their average."""
    began = run.clock.seconds
    state, settings, processes = run.state, run.settings, run.processes
    number = state.step + 1
    generator = seeded_generator(state.seed, number, processes.index, processes.device)
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate(settings, number, restarted_at=state.restarted_at)
    with torch.autocast(processes.device.type, torch.bfloat16, enabled=run.autocast):
        result = state.task.step(batch, generator=generator)
    state.optimizer.zero_grad(set_to_none=True)
    result.loss.backward()  # type: ignore[no-untyped-call]
    loss = processes.average_gradients(state.live, result.loss.detach())
    norm = torch.nn.utils.clip_grad_norm_([parameter for _, parameter in state.trained()], settings.clip_norm)
    state.optimizer.step()
    state.average.update(state.live, number)
    state.task.after_step()
    state.step = number
    run.pending.append(_Step(number, loss, norm, result.logs))
    run.clock.learn("step", run.clock.seconds - began)


def _report(run: _Run) -> None:
    """Read the losses since the last report, refuse what is not finite, and log their means."""
    state, settings = run.state, run.settings
    if not run.pending:
        return
    losses = torch.stack([step.loss.float() for step in run.pending]).tolist()
    norms = torch.stack([step.gradient_norm.float() for step in run.pending]).tolist()
    for step, loss, norm in zip(run.pending, losses, norms, strict=True):
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise divergence(step.number, loss, norm, settings, kept=newest_checkpoint(run.output / "checkpoints"))
    now = run.clock.seconds
    speed = len(run.pending) / max(now - run.reported_at, 1e-9)
    values = {
        "loss": sum(losses) / len(losses),
        "gradient_norm": sum(norms) / len(norms),
        "learning_rate": float(state.optimizer.param_groups[0]["lr"]),
        "steps_per_second": speed,
        "seconds": run.seconds_before + now,
    } | {name: float(value) for name, value in run.pending[-1].logs.items()}
    left = min((settings.steps - state.step) * run.clock.pace(state.step - run.first_step + 1), run.clock.seconds_left)
    run.pending, run.reported_at = [], now
    if run.processes.device.type == "cuda":  # the time of a step shows only here
        run.clock.learn("step", 1 / speed)
    if run.log:
        run.log.training(state.step, values)
    run.on_progress(Progress(state.step, settings.steps, values["loss"], speed, max(left, 0.0), values))


def _validate(run: _Run) -> None:
    """Score the averaged weights, unless that would not fit into the time that is left."""
    state, task = run.state, run.state.task
    _report(run)
    if run.validator is None or not isinstance(task, RestoringTask) or not run.clock.has_time_for(validations=1):
        return
    began = run.clock.seconds
    state.live.eval()
    with state.average.swapped_into(state.live):
        run.scores = run.validator.scores(task.restore, device=run.processes.device)
    state.live.train()
    run.clock.learn("validation", run.clock.seconds - began)
    run.reported_at += run.clock.seconds - began  # the speed in the log is that of training
    if run.log:
        run.log.validation(state.step, run.scores)
    run.on_progress(Progress(state.step, run.settings.steps, math.nan, math.nan, math.nan, {}, run.scores))


def _save(run: _Run) -> None:
    """Write a checkpoint, once every loss up to it is known to be finite."""
    _report(run)
    began = run.clock.seconds
    run.state.seconds = run.seconds_before + began
    if run.processes.is_first:
        save_checkpoint(run.output / "checkpoints", run.state, run.settings)
    run.saved_at, run.saved_step = run.clock.seconds, run.state.step
    run.clock.learn("checkpoint", run.saved_at - began)
    run.reported_at += run.saved_at - began


def _finish(run: _Run, stopped: Stop, metadata: Mapping[str, str] | None) -> TrainingResult:
    """The last checkpoint, and the files to ship and to move."""
    checkpoints = run.output / "checkpoints"
    if run.state.step > run.saved_step or newest_checkpoint(checkpoints) is None:
        _save(run)
    weights, resume_point = run.output / "weights.safetensors", run.output / "resume.safetensors"
    if run.processes.is_first:
        export_weights(weights, run.state, metadata=metadata)
        export_compact(resume_point, run.state, run.settings)
    if run.log:
        run.log.close()
    run.processes.wait()
    return TrainingResult(
        step=run.state.step,
        steps=run.settings.steps,
        seconds=run.clock.seconds,
        stopped=stopped,
        checkpoint=checkpoints / f"step-{run.state.step:08d}.safetensors",
        weights=weights,
        resume_point=resume_point,
        scores=run.scores,
    )


def _due(step: int, every: int, last: int) -> bool:
    return step % every == 0 or step == last


def _checkpoint_is_due(run: _Run) -> bool:
    every = run.settings.checkpoint_every_steps
    by_time = run.clock.seconds - run.saved_at >= 60 * run.settings.checkpoint_minutes
    return by_time or (every > 0 and run.state.step % every == 0)


def _must_stop(run: _Run, *, wanted: bool) -> bool:
    if run.processes.count > 1 and run.state.step % AGREE_EVERY:
        return False
    ahead = AGREE_EVERY if run.processes.count > 1 else 1
    queued = len(run.pending) if run.processes.device.type == "cuda" else 0
    return run.processes.agree(wanted or not run.clock.has_time_for(steps=ahead + queued))


def _ignore(_: Any) -> None:
    pass
