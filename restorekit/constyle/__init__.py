"""ConStyle: a U-Net guided by a small encoder that is trained by contrast (Fan et al. 2024, arXiv:2402.15784)."""

from typing import TYPE_CHECKING, Any

from restorekit.constyle.method import METHOD

if TYPE_CHECKING:
    from restorekit.constyle.embedding import embed

__all__ = ["METHOD", "embed"]


def __getattr__(name: str) -> Any:
    if name != "embed":
        raise AttributeError(f"module 'restorekit.constyle' has no attribute {name!r}")
    from restorekit.constyle.embedding import embed

    return embed
