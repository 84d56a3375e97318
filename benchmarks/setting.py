"""What every speed suite is told: how long, with how many threads, and whether it is only a trial of the code."""

from dataclasses import dataclass, field

from limits import Limits, all_threads, measure_limits
from timing import Budget

__all__ = ["PRECISIONS", "Setting"]

PRECISIONS = ("float32", "bfloat16")


@dataclass
class Setting:
    """Of one run of one suite; remembers the limits that were measured for it."""

    budget: Budget = field(default_factory=Budget)
    smoke: bool = False
    measured: dict[tuple[int, str], Limits] = field(default_factory=dict)

    @classmethod
    def of(cls, seconds: float, *, smoke: bool) -> "Setting":
        """A trial does one round of everything."""
        return cls(Budget(0.0, fewest=1, warmups=0) if smoke else Budget(seconds), smoke)

    @property
    def threads(self) -> tuple[int, ...]:
        """One and all; in a trial one."""
        return (1,) if self.smoke or all_threads() == 1 else (1, all_threads())

    def size(self, full: int, trial: int) -> int:
        """The real size, or that of a trial."""
        return trial if self.smoke else full

    def limits(self, count: int, precision: str) -> Limits:
        """What the machine can do; measured on first use."""
        key = (count, precision)
        if key not in self.measured:
            self.measured[key] = measure_limits(count, precision, smoke=self.smoke)
        return self.measured[key]
