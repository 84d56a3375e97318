"""What is wrong with this installation, and the command that mends it.

- Each check stands alone: one that fails by itself becomes a finding, never a traceback.
- Everything is probed by doing it: a codec works if an image survives it, a GPU if it adds two numbers.
- This process loads no torch; a process of its own does.
"""

from collections.abc import Callable, Sequence
from functools import partial

from restorekit.core.weights import WeightFile
from restorekit.doctor import formats, machine, pytorch
from restorekit.doctor.finding import Finding, isolated

__all__ = ["Finding", "diagnose_installation"]


def diagnose_installation(weights: Sequence[WeightFile] = ()) -> list[Finding]:
    """Look at everything restorekit stands on; takes a few seconds, most of them importing torch.

    Args:
        weights: Records of the files that should be present, for example ``restorekit.zoo.shipped_weights()``.

    Returns:
        One finding for each check, in a fixed order. Nothing is raised.
    """
    facts = pytorch.probe_torch()
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("python", machine.check_python),
        ("torch", partial(pytorch.check_torch, facts)),
        ("torchvision", partial(pytorch.check_torchvision, facts)),
        ("device", partial(pytorch.check_device, facts)),
        ("opencv", formats.check_opencv),
        ("codecs", formats.check_codecs),
        ("metadata", formats.check_metadata),
        ("lpips", machine.check_lpips),
        ("disk", machine.check_disk),
        ("memory", machine.check_memory),
    ]
    checks += [(f"weights {file.path.name}", partial(machine.check_weights, file)) for file in weights]
    return [isolated(name, check) for name, check in checks]
