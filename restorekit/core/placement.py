"""Where and how precisely a network computes: the words of ``--device`` and ``--precision``, checked and resolved."""

import torch

from restorekit.errors import UsageError, did_you_mean

__all__ = ["DEVICES", "PRECISIONS", "resolve_device", "resolve_precision"]

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")


def resolve_device(device: str) -> torch.device:
    """``auto`` is the first of cuda, mps, cpu that is present; ``cuda:1`` names one of several.

    Raises:
        UsageError: an unknown word, or a device that this machine or this build of PyTorch lacks.
    """
    kind = device.partition(":")[0]
    if kind not in DEVICES:
        raise UsageError(
            f"--device: expected one of {', '.join(DEVICES)}, got {device!r}" + did_you_mean(kind, DEVICES)
        )
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if kind == "auto":
        return torch.device(next(name for name in ("cuda", "mps", "cpu") if present[name]))
    if not present[kind]:
        raise UsageError(
            f"--device: expected a device of this machine, got {device!r}; 'restorekit doctor' says what it sees"
        )
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise UsageError(f"--device: expected a number after 'cuda:', got {device!r}") from None
    if kind == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"--device: expected cuda:0 to cuda:{torch.cuda.device_count() - 1}, got {device!r}")
    return chosen


def resolve_precision(precision: str, device: torch.device) -> str:
    """``auto`` is bfloat16 where CUDA computes it natively and float32 elsewhere (CPUs are rarely faster below it).

    Raises:
        UsageError: an unknown word, or float16 on a CPU.
    """
    if precision not in PRECISIONS:
        raise UsageError(
            f"--precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}"
            + did_you_mean(precision, PRECISIONS)
        )
    if precision == "auto":
        return "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    if precision == "float16" and device.type == "cpu":
        raise UsageError("--precision: expected float32 or bfloat16 on a CPU, got 'float16'")
    return precision
