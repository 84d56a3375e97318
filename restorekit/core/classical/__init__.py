"""Classical restorers: no training, no weights; ``--model classical:nlm`` and the baseline rows of every table."""

from restorekit.core.classical.noise_level import estimate_noise
from restorekit.core.classical.registry import (
    CLASSICAL,
    METHOD,
    ClassicalMethodConfig,
    ClassicalRow,
    OptionRow,
    build_classical,
    describe_classical,
)

__all__ = [
    "CLASSICAL",
    "METHOD",
    "ClassicalMethodConfig",
    "ClassicalRow",
    "OptionRow",
    "build_classical",
    "describe_classical",
    "estimate_noise",
]
