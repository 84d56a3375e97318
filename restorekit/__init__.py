"""restorekit: restore, compare and measure photos; three methods on one shared core."""

__version__ = "0.1.0.dev0"
