"""Restoration data sets on disk: what is known of them, whether a copy is whole, its pairs, and leaks between two.

Public names are resolved on first use: the catalogue alone loads no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restorekit.datasets.check import CheckReport, check_set
    from restorekit.datasets.known_sets import DataSet, catalogue, find_set
    from restorekit.datasets.leak import Leak, LeakReport, find_leaks
    from restorekit.datasets.set_pairs import SetPair, pairs

__all__ = [
    "CheckReport",
    "DataSet",
    "Leak",
    "LeakReport",
    "SetPair",
    "catalogue",
    "check_set",
    "find_leaks",
    "find_set",
    "pairs",
]

_HOMES = {
    "CheckReport": "check",
    "DataSet": "known_sets",
    "Leak": "leak",
    "LeakReport": "leak",
    "SetPair": "set_pairs",
    "catalogue": "known_sets",
    "check_set": "check",
    "find_leaks": "leak",
    "find_set": "known_sets",
    "pairs": "set_pairs",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'restorekit.datasets' has no attribute {name!r}")
    return getattr(importlib.import_module(f"restorekit.datasets.{_HOMES[name]}"), name)
