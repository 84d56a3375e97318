"""restorekit: restore, compare and measure photos, several restorers side by side on one shared core.

Public names are resolved on first use: ``import restorekit`` alone loads no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restorekit.api import Scores, compare, degrade, load, restore, score
    from restorekit.comparison import ComparisonOptions
    from restorekit.core.image.files import SourceImage
    from restorekit.errors import RestorekitError
    from restorekit.report.record import Report
    from restorekit.zoo import list_models

__version__ = "0.1.0.dev0"

__all__ = [
    "ComparisonOptions",
    "Report",
    "RestorekitError",
    "Scores",
    "SourceImage",
    "compare",
    "degrade",
    "list_models",
    "load",
    "restore",
    "score",
]

_HOMES = {
    "ComparisonOptions": "restorekit.comparison",
    "Report": "restorekit.report.record",
    "RestorekitError": "restorekit.errors",
    "Scores": "restorekit.api",
    "SourceImage": "restorekit.core.image.files",
    "compare": "restorekit.api",
    "degrade": "restorekit.api",
    "list_models": "restorekit.zoo",
    "load": "restorekit.zoo",
    "restore": "restorekit.api",
    "score": "restorekit.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'restorekit' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
