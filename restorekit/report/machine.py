"""Where numbers were measured: the machine, in the words of a record."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel, ConfigDict

__all__ = ["Machine"]


class Machine(BaseModel):
    """Where a comparison ran."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    cpu: str
    cores: int
    """Logical cores this process may use."""
    os: str
    python: str
    torch: str
    """Version of PyTorch, or "absent"."""

    @classmethod
    def here(cls) -> "Machine":
        """This machine; PyTorch's version is looked up without importing it."""
        try:
            torch = version("torch")
        except PackageNotFoundError:
            torch = "absent"
        allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
        return cls(
            cpu=_cpu_name(), cores=len(allowed), os=platform.platform(), python=platform.python_version(), torch=torch
        )


def _cpu_name() -> str:
    """The processor's name: from Linux's own list, else whatever Python knows."""
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine() or "unknown"
