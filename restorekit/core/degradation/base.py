"""What a degradation is: parameters are drawn first, then applied, so that it can be recorded and replayed.

- ``Params`` are small and know nothing of the image size: one row per image. A spatially random degradation keeps an
  integer ``seed`` per image and makes its field from it in ``apply``. Random numbers come from CPU generators, so the
  result does not depend on the device (up to float error) or on the other images of the batch.
- A degradation declares each setting once, as a dataclass field made by ``span``, ``word`` or ``flag``. The parser, its
  error messages, the canonical text and the help table all read that declaration.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from restorekit.core.degradation.settings import Range, Setting, read_setting, setting_of
from restorekit.core.image.convention import Images
from restorekit.errors import SpecError, did_you_mean

__all__ = ["SEED_LIMIT", "Degradation", "DegradationTerm", "Params", "column", "params_from_json", "params_to_json"]

Params = Mapping[str, Tensor]
"""What was drawn: name to a CPU tensor of shape (batch,), float32 for quantities and int64 for seeds and choices."""

SEED_LIMIT = 2**53
"""Seeds are below this: the largest range of integers that every JSON reader keeps exactly."""


@runtime_checkable
class Degradation(Protocol):
    """Anything that can be drawn and applied: one term, a chain of terms, or a mixture of chains."""

    @property
    def spec(self) -> str:
        """The canonical text; ``parse_degradation(spec)`` builds an equal degradation."""
        ...

    @property
    def differentiable(self) -> bool:
        """Whether ``apply`` passes useful gradients back to ``clean``."""
        ...

    def draw(self, batch: int, *, generator: torch.Generator) -> Params:
        """Random parameters for ``batch`` images, from a CPU ``generator`` and nothing else."""
        ...

    def apply(self, clean: Images, params: Params) -> Images:
        """The degraded images: float32, on the device of ``clean``; the same ``params`` give the same result."""
        ...


@dataclass(frozen=True)
class DegradationTerm:
    """Base of the named degradations: a frozen dataclass of settings, and ``_degrade``, which does the work.

    Subclasses set ``name``; ``seeded`` if they need a random field; ``differentiable`` if gradients do not pass.
    """

    name: ClassVar[str]
    seeded: ClassVar[bool] = False
    differentiable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check every setting against its declaration, also when the class is used without the parser."""
        for key, setting in self.settings().items():
            setting.check(getattr(self, key), where=f"{self.name}: {key}")

    @classmethod
    def settings(cls) -> dict[str, Setting]:
        """The declared settings by key, in the order of the class."""
        return {field.name: setting_of(field) for field in fields(cls)}

    @classmethod
    def from_text(cls, texts: Mapping[str, str]) -> "DegradationTerm":
        """Build from the texts after the colon of a spec; keys not named keep their default.

        Raises:
            SpecError: an unknown key, or a value that cannot be read or lies out of bounds.
        """
        declared = cls.settings()
        values: dict[str, Any] = {}
        for key, text in texts.items():
            if key not in declared:
                known = f"expected one of {', '.join(declared)}" if declared else "expected no settings"
                raise SpecError(f"{cls.name}: {known}, got {key!r}" + did_you_mean(key, declared))
            values[key] = read_setting(declared[key], text, where=f"{cls.name}: {key}")
        return cls(**values)

    @property
    def spec(self) -> str:
        """The name, and every setting that differs from its default, in the order of the class."""
        written = ((key, item.text(getattr(self, key)), item.default_text) for key, item in self.settings().items())
        changed = [f"{key}={text}" for key, text, default in written if text != default]
        return self.name + (":" + ",".join(changed) if changed else "")

    def draw(self, batch: int, *, generator: torch.Generator) -> Params:
        """One value per image for every span, and a seed where a random field is needed."""
        drawn = {key: item.draw(getattr(self, key), batch, generator) for key, item in self._ranges().items()}
        if self.seeded:
            drawn["seed"] = torch.randint(0, SEED_LIMIT, (batch,), generator=generator)
        return drawn

    def apply(self, clean: Images, params: Params) -> Images:
        """Degrade ``clean`` (batch, 3, height, width) with ``params``; never changes its input.

        Raises:
            SpecError: ``params`` were drawn by another degradation or for another number of images.
        """
        self._check_params(params, clean.shape[0])
        if clean.shape[0] == 0:
            return clean.float()
        return self._degrade(clean.float(), params)

    def _degrade(self, clean: Images, params: Params) -> Images:
        raise NotImplementedError

    @classmethod
    def _ranges(cls) -> dict[str, Range]:
        return {key: setting for key, setting in cls.settings().items() if isinstance(setting, Range)}

    def _check_params(self, params: Params, batch: int) -> None:
        wanted = set(self._ranges()) | ({"seed"} if self.seeded else set())
        if set(params) != wanted:
            got = ", ".join(sorted(params)) or "nothing"
            raise SpecError(
                f"{self.name}: expected parameters {', '.join(sorted(wanted)) or 'none'}, got {got}; draw them again"
            )
        for key, values in params.items():
            if values.shape != (batch,):
                raise SpecError(f"{self.name}: {key}: expected shape ({batch},), got {tuple(values.shape)}")


def column(values: Tensor, images: Images) -> Tensor:
    """One value per image as (batch, 1, 1, 1), float32, on the device of ``images``: ready to multiply."""
    return values.to(images.device, torch.float32)[:, None, None, None]


def params_to_json(params: Params) -> dict[str, list[float] | list[int]]:
    """Params as plain lists, exact: every float32 and every seed below 2**53 survives a JSON file.

    >>> params_to_json({"sigma": torch.tensor([25.0]), "seed": torch.tensor([7])})
    {'sigma': [25.0], 'seed': [7]}
    """
    return {key: values.tolist() for key, values in params.items()}


def params_from_json(document: Mapping[str, list[float] | list[int]]) -> Params:
    """The reverse of ``params_to_json``: lists of integers become int64, all others float32.

    >>> params_from_json({"sigma": [25.0], "seed": [7]})
    {'sigma': tensor([25.]), 'seed': tensor([7])}
    """
    return {
        key: torch.tensor(values, dtype=torch.int64 if all(isinstance(v, int) for v in values) else torch.float32)
        for key, values in document.items()
    }
