"""torch, torchvision and the device they compute on, imported in a process of their own.

The commonest broken installation is a torchvision from another index than torch's: importing it raises, or crashes.
In another process it can neither crash this one nor leave it with half a library.
"""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from restorekit.doctor.finding import Finding

__all__ = ["TorchFacts", "check_device", "check_torch", "check_torchvision", "probe_torch"]


@dataclass(frozen=True)
class TorchFacts:
    """What torch and torchvision said of themselves, as far as they came."""

    torch: str | None = None
    """Installed version, with a local part such as +cpu if it came from an index of its own; None: does not import."""
    cuda_build: str | None = None
    """CUDA version that torch was built for; None for a CPU build."""
    threads: int = 1
    """Threads torch computes with on the CPU."""
    mps: bool = False
    """An Apple GPU is usable."""
    gpus: tuple[str, ...] = ()
    """Name and memory of each CUDA device."""
    gpu_error: str | None = None
    """Why a CUDA device that is there cannot add two numbers."""
    torchvision: str | None = None
    """Installed version."""
    paired: bool = False
    """torchvision imports, and its compiled operators run on torch's tensors."""
    error: str = ""
    """The last words of the process, if it did not come to its end."""


def probe_torch(seconds: float = 60) -> TorchFacts:
    """Import torch and torchvision in another process, and use them."""
    command = [sys.executable, "-P", "-c", _PROBE]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return TorchFacts(error=f"importing torch and torchvision took more than {seconds:g} s")
    facts: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        if line.startswith("FACTS"):
            facts |= json.loads(line.removeprefix("FACTS"))
    if done.returncode < 0:
        facts["error"] = f"the process ended by signal {signal.Signals(-done.returncode).name}"
    elif done.returncode > 0:
        facts["error"] = (done.stderr.strip().splitlines() or ["no message"])[-1]
    return TorchFacts(**facts | {"gpus": tuple(facts.get("gpus", ()))})


def check_torch(facts: TorchFacts) -> Finding:
    """Does torch import?"""
    if facts.torch is None:
        return Finding("torch", "problem", f"torch does not import: {facts.error}", _pair_command(None))
    return Finding("torch", "ok", f"torch {facts.torch}, CUDA {facts.cuda_build or 'not built in'}")


def check_torchvision(facts: TorchFacts) -> Finding:
    """Does torchvision import, and do its operators fit this torch?"""
    fix = _pair_command(facts.torch)
    if facts.paired:
        return Finding("torchvision", "ok", f"torchvision {facts.torchvision}, fits torch {facts.torch}")
    if facts.torch is None:
        return Finding("torchvision", "problem", "not tried, because torch does not import", fix)
    if facts.torchvision is None:
        return Finding("torchvision", "problem", "torchvision is not installed", fix)
    detail = f"torchvision {facts.torchvision} does not work with torch {facts.torch}: {facts.error}"
    if "torchvision::nms does not exist" in facts.error:
        detail += " (the two come from different package indexes)"
    return Finding("torchvision", "problem", detail, fix)


def check_device(facts: TorchFacts) -> Finding:
    """Where will restorekit compute, and is a faster device left unused?"""
    if facts.torch is None:
        return Finding("device", "warning", "unknown, because torch does not import", _pair_command(None))
    if facts.gpu_error is not None:
        detail = f"cuda: {', '.join(facts.gpus) or 'a GPU'} does not compute: {facts.gpu_error}"
        return Finding("device", "problem", detail, "update the GPU driver, or use --device cpu")
    if facts.gpus:
        return Finding("device", "ok", f"cuda: {', '.join(facts.gpus)}")
    if facts.mps:
        return Finding("device", "ok", f"mps: Apple GPU, {platform.machine()}")
    detail = f"cpu: {os.cpu_count()} cores, {facts.threads} threads"
    if shutil.which("nvidia-smi") is None:
        return Finding("device", "ok", detail)
    if facts.cuda_build is None:
        detail += f"; there is an NVIDIA driver, but torch {facts.torch} is built for the CPU only"
        return Finding("device", "warning", detail, "install torch and torchvision from an index with CUDA builds")
    detail += f"; there is an NVIDIA driver, but torch, built for CUDA {facts.cuda_build}, sees no GPU"
    return Finding("device", "warning", detail, "run nvidia-smi; update the driver, or unset CUDA_VISIBLE_DEVICES")


def _pair_command(torch: str | None) -> str:
    """One command that takes both from one index, the one that torch came from."""
    if torch is None:
        return "pip install --upgrade torch torchvision"
    command = f'pip uninstall -y torch torchvision && pip install "torch=={torch}" torchvision'
    tag = torch.partition("+")[2]
    return (
        f"{command} --index-url INDEX, where INDEX is where torch came from: its address ends in /{tag}"
        if tag
        else command
    )


_PROBE = """
import importlib.metadata, json

def say(**facts):
    print("FACTS" + json.dumps(facts), flush=True)

import torch
say(torch=importlib.metadata.version("torch"), cuda_build=torch.version.cuda)
say(threads=torch.get_num_threads(), mps=torch.backends.mps.is_available())
gpus = []
try:
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        device = torch.cuda.get_device_properties(index)
        gpus.append(f"{device.name}, {device.total_memory / 2**30:.0f} GiB")
        say(gpus=gpus)
        (torch.ones(2, device=f"cuda:{index}") + 1).sum().item()
except Exception as error:
    say(gpu_error=f"{type(error).__name__}: {error}".splitlines()[0])
say(torchvision=importlib.metadata.version("torchvision"))
import torchvision
torchvision.ops.nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1), 0.5)
say(paired=True)
"""
