"""Metrics: one value per image, and an address that says exactly how that value was measured.

Names are resolved on first use: reading an address (``protocol``) needs no torch, measuring does.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restorekit.core.metric.base import METRICS, Metric, make_metric
    from restorekit.core.metric.presets import PRESETS
    from restorekit.core.metric.protocol import (
        MetricProtocol,
        aggregate,
        ensure_same_protocol,
        format_address,
        parse_address,
    )

__all__ = [
    "METRICS",
    "PRESETS",
    "Metric",
    "MetricProtocol",
    "aggregate",
    "ensure_same_protocol",
    "format_address",
    "make_metric",
    "parse_address",
]

_HOMES = {
    "METRICS": "base",
    "Metric": "base",
    "make_metric": "base",
    "PRESETS": "presets",
    "MetricProtocol": "protocol",
    "aggregate": "protocol",
    "ensure_same_protocol": "protocol",
    "format_address": "protocol",
    "parse_address": "protocol",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
