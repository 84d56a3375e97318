"""ZeroAIR: blind restoration of one image by guiding a frozen diffusion model, without any training data."""

import importlib
from typing import TYPE_CHECKING, Any

from restorekit.zeroair.method import METHOD

if TYPE_CHECKING:
    from restorekit.zeroair.config import FitSettings, Proximal, Stage, ZeroAIRConfig
    from restorekit.zeroair.ensemble import Ensemble
    from restorekit.zeroair.pipeline import ZeroAIROutput, ZeroAIRPipeline
    from restorekit.zeroair.presets import preset
    from restorekit.zeroair.restorer import ZeroAIRRestorer
    from restorekit.zeroair.settings import ZeroAIRSettings
    from restorekit.zeroair.trace import Trace

__all__ = [
    "METHOD",
    "Ensemble",
    "FitSettings",
    "Proximal",
    "Stage",
    "Trace",
    "ZeroAIRConfig",
    "ZeroAIROutput",
    "ZeroAIRPipeline",
    "ZeroAIRRestorer",
    "ZeroAIRSettings",
    "preset",
]

_HOMES = {
    "Ensemble": "ensemble",
    "FitSettings": "config",
    "Proximal": "config",
    "Stage": "config",
    "Trace": "trace",
    "ZeroAIRConfig": "config",
    "ZeroAIROutput": "pipeline",
    "ZeroAIRPipeline": "pipeline",
    "ZeroAIRRestorer": "restorer",
    "ZeroAIRSettings": "settings",
    "preset": "presets",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'restorekit.zeroair' has no attribute {name!r}")
    return getattr(importlib.import_module(f"restorekit.zeroair.{_HOMES[name]}"), name)
