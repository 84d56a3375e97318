"""ConStyle: a U-Net guided by a small encoder that is trained by contrast (Fan et al. 2024, arXiv:2402.15784)."""

from restorekit.constyle.method import METHOD

__all__ = ["METHOD"]
