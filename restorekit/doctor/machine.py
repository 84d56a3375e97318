"""Python, files that should be there, and room to work."""

import os
import platform
import shutil
import struct
import sys
import tempfile
from pathlib import Path

from restorekit.core.weights import WeightFile, verify_weights
from restorekit.doctor.finding import Finding
from restorekit.errors import ModelError

__all__ = ["check_disk", "check_lpips", "check_memory", "check_python", "check_weights"]

_OLDEST_PYTHON = (3, 11)

_LPIPS_FILES = {
    "alex": "alexnet-owt-7be5be79.pth",
    "vgg": "vgg16-397923af.pth",
    "squeeze": "squeezenet1_1-b8a52dc0.pth",
}
"""LPIPS network -> the file that torchvision downloads for its backbone."""

_LEAST_GIB = {"disk": 1.0, "memory": 2.0}


def check_python() -> Finding:
    """Is this Python new enough, and 64-bit?"""
    detail = f"Python {platform.python_version()}, {8 * struct.calcsize('P')}-bit, {sys.executable}"
    if sys.version_info < _OLDEST_PYTHON or sys.maxsize < 2**32:
        oldest = ".".join(map(str, _OLDEST_PYTHON))
        return Finding("python", "problem", detail, f"install a 64-bit Python {oldest} or newer")
    return Finding("python", "ok", detail)


def check_lpips() -> Finding:
    """Are the backbones of LPIPS on this machine? They come from torchvision, not with restorekit."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "torch"
    folder = Path(os.environ.get("TORCH_HOME", cache)).expanduser() / "hub" / "checkpoints"
    absent = {name: file for name, file in _LPIPS_FILES.items() if not (folder / file).is_file()}
    if absent:
        detail = f"no backbone for LPIPS {', '.join(absent)} in {folder}"
        fix = f"to use LPIPS, run once online with RESTOREKIT_DOWNLOAD=1, or copy {', '.join(absent.values())} there"
        return Finding("lpips", "warning", detail, fix)
    return Finding("lpips", "ok", f"backbones {', '.join(_LPIPS_FILES)} in {folder}")


def check_weights(file: WeightFile) -> Finding:
    """Is a weight file there, and is it the one it should be?"""
    name = f"weights {file.path.name}"
    try:
        verify_weights(file)
    except ModelError as error:
        detail, _, fix = str(error).partition("; ")
        return Finding(name, "problem", detail, fix)
    return Finding(name, "ok", f"{file.path}, {file.bytes} bytes, {file.licence}")


def check_disk() -> Finding:
    """Is there room for temporary files?"""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free / 2**30
    if free < _LEAST_GIB["disk"]:
        return Finding(
            "disk", "warning", f"{free:.1f} GiB free in {folder}", "make room, or set TMPDIR to another folder"
        )
    return Finding("disk", "ok", f"{free:.1f} GiB free in {folder}")


def check_memory() -> Finding:
    """Is there memory to work in?"""
    import psutil

    available = psutil.virtual_memory().available / 2**30
    if available < _LEAST_GIB["memory"]:
        return Finding(
            "memory",
            "warning",
            f"{available:.1f} GiB available",
            "close other programs; with less memory photos are cut into smaller tiles, which is slower",
        )
    return Finding("memory", "ok", f"{available:.1f} GiB available")
