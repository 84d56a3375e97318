"""The methods of restorekit, one line each, imported on first use."""

import importlib
from typing import TYPE_CHECKING

from restorekit.errors import ModelError, did_you_mean

if TYPE_CHECKING:
    from restorekit.core.restorer import Method

__all__ = ["METHODS", "load_method"]

METHODS: dict[str, str] = {
    "classical": "restorekit.core.classical:METHOD",
    "supervised": "restorekit.training.supervised:METHOD",
    "constyle": "restorekit.constyle:METHOD",
    "zeroair": "restorekit.zeroair:METHOD",
    "refine": "restorekit.refine:METHOD",
}
"""Name of the method -> where its ``Method`` object is."""


def load_method(name: str) -> "Method":
    """Import a method.

    Raises:
        ModelError: no method of that name.
    """
    if name not in METHODS:
        raise ModelError(f"method: expected one of {', '.join(METHODS)}, got {name!r}" + did_you_mean(name, METHODS))
    module, _, attribute = METHODS[name].partition(":")
    method: Method = getattr(importlib.import_module(module), attribute)
    return method
