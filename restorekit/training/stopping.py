"""When a run stops before its last step: the time it was given, or a signal."""

import signal
import threading
import time
from collections import deque
from statistics import median
from types import FrameType, TracebackType
from typing import Literal

__all__ = ["Clock", "Interrupts"]

MARGIN = 1.5
"""How much longer than the last ones the next step or validation may take."""
REMEMBERED = 5
"""Of these many last costs the median counts, so the slow first step (compilation) is soon forgotten."""
Part = Literal["step", "validation", "checkpoint"]

LEAVING = 3.0
"""The end of a run in checkpoints: the last one, the two exports, and their digests."""


class Clock:
    """Wall time since this call began, the limit on it, and what the parts of a run have cost so far."""

    def __init__(self, max_minutes: float | None = None) -> None:
        self._start = time.monotonic()
        self._limit = None if max_minutes is None else 60 * max_minutes
        self._first_step_done = 0.0
        self._costs = {
            "step": deque([0.0], maxlen=REMEMBERED),
            "validation": deque([0.0], maxlen=1),
            "checkpoint": deque([0.5], maxlen=1),  # until one was written
        }

    @property
    def seconds(self) -> float:
        """Since the clock was made."""
        return time.monotonic() - self._start

    @property
    def seconds_left(self) -> float:
        """Until the limit; infinite without one."""
        return float("inf") if self._limit is None else self._limit - self.seconds

    def pace(self, steps: int) -> float:
        """Seconds per step, validations and checkpoints included, after ``steps`` >= 1 of this call.

        The slow first step counts only at first.
        """
        if steps == 1:
            self._first_step_done = self.seconds
            return self.seconds
        return (self.seconds - self._first_step_done) / (steps - 1)

    def learn(self, part: Part, seconds: float) -> None:
        """Take in what a part took."""
        self._costs[part].append(seconds)

    def has_time_for(self, *, steps: int = 0, validations: int = 0) -> bool:
        """Whether that, and then leaving in order, fits into the time that is left."""
        work = steps * self._expected("step") + validations * self._expected("validation")
        return self.seconds_left >= MARGIN * work + LEAVING * max(self._expected("checkpoint"), 0.5)

    def _expected(self, part: Part) -> float:
        return median(self._costs[part])


class Interrupts:
    """Within the block, SIGTERM and Ctrl-C only set ``wanted``; a second Ctrl-C interrupts at once.

    Outside the main thread Python delivers no signals, and this does nothing.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.wanted and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.wanted = True
