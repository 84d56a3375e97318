"""PTG-RM: a small module that refines the result of any restorer with what a frozen pretrained network saw.

Xu, Kong, Hu, Liu, Bao 2024, "Boosting Image Restoration via Priors from Pre-trained Models" (CVPR, arXiv:2403.06793).
"""

import importlib
from typing import TYPE_CHECKING, Any

from restorekit.refine.method import METHOD

if TYPE_CHECKING:
    from restorekit.refine.config import RefinementConfig
    from restorekit.refine.controls import score_controls
    from restorekit.refine.hub import PretrainedRefinement
    from restorekit.refine.module import RefinementModule
    from restorekit.refine.restorer import refined

__all__ = ["METHOD", "PretrainedRefinement", "RefinementConfig", "RefinementModule", "refined", "score_controls"]

_HOMES = {
    "PretrainedRefinement": "hub",
    "RefinementConfig": "config",
    "RefinementModule": "module",
    "refined": "restorer",
    "score_controls": "controls",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
