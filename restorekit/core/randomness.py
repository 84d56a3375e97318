"""Random generators that depend on what they are for, never on when or where they are used.

- The generator of an image comes from (seed, image name), so a result does not depend on order, batch size or sharding.
- Python's ``hash`` is salted per process; SHA-256 is not.
"""

import hashlib

import torch

__all__ = ["derive_seed", "generator_for"]


def derive_seed(seed: int, *names: str | int) -> int:
    """A 63-bit seed that is a pure function of its arguments.

    >>> derive_seed(0, "a.png") == derive_seed(0, "a.png")
    True
    >>> derive_seed(0, "a.png") == derive_seed(0, "b.png")
    False
    """
    text = "\x1f".join([str(int(seed)), *(str(name) for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator_for(seed: int, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator for (seed, names...), for example ``generator_for(0, "night/0001.png", "noise")``."""
    return torch.Generator(device=device).manual_seed(derive_seed(seed, *names))
