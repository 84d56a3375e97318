"""The classical restorers by name: built from plain options, described for lists, named in recipes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from restorekit.core.classical.bilateral import Bilateral
from restorekit.core.classical.clahe import Clahe
from restorekit.core.classical.dark_channel import DarkChannelPrior
from restorekit.core.classical.frame import ClassicalRestorer
from restorekit.core.classical.gamma import Gamma
from restorekit.core.classical.gray_world import GrayWorld
from restorekit.core.classical.median import Median
from restorekit.core.classical.nlm import NonLocalMeans
from restorekit.core.classical.tv import TotalVariation
from restorekit.core.classical.unsharp import Unsharp
from restorekit.core.classical.wavelet import Wavelet
from restorekit.core.classical.wiener import Wiener
from restorekit.core.options import check_options, expected_value
from restorekit.core.restorer import Restorer
from restorekit.errors import ModelError, did_you_mean

__all__ = [
    "CLASSICAL",
    "METHOD",
    "ClassicalMethod",
    "ClassicalMethodConfig",
    "ClassicalRow",
    "OptionRow",
    "build_classical",
    "describe_classical",
]

CLASSICAL: dict[str, type[ClassicalRestorer]] = {
    "gray_world": GrayWorld,
    "gamma": Gamma,
    "clahe": Clahe,
    "dcp": DarkChannelPrior,
    "nlm": NonLocalMeans,
    "bilateral": Bilateral,
    "tv": TotalVariation,
    "wavelet": Wavelet,
    "median": Median,
    "unsharp": Unsharp,
    "wiener": Wiener,
}
"""Short name to class; the full name is "classical:" and the short one."""


def build_classical(name: str, options: Mapping[str, object] | None = None) -> Restorer:
    """A classical restorer.

    Args:
        name: a key of ``CLASSICAL``, for example "nlm".
        options: fields of its config; numbers may be text, as they come from a command line.

    Raises:
        ModelError: no restorer of that name, or some options are unknown or out of range (all are named).
    """
    if name not in CLASSICAL:
        raise ModelError(
            f"classical: expected one of {', '.join(CLASSICAL)}, got {name!r}" + did_you_mean(name, CLASSICAL)
        )
    restorer = CLASSICAL[name]
    config = check_options(restorer.config_type, options or {}, prefix=f"{restorer.name}: option ")
    if isinstance(config, list):
        raise ModelError("\n".join(config))
    return restorer(config)


@dataclass(frozen=True)
class OptionRow:
    """One option of a restorer, for help texts."""

    name: str
    default: object
    expected: str
    description: str


@dataclass(frozen=True)
class ClassicalRow:
    """One restorer, for lists of models."""

    name: str
    summary: str
    helps: tuple[str, ...]
    options: tuple[OptionRow, ...]


def describe_classical() -> list[ClassicalRow]:
    """Every classical restorer with what it helps against and its options, in the order of ``CLASSICAL``."""
    return [
        ClassicalRow(
            restorer.name,
            restorer.summary,
            restorer.helps,
            tuple(
                OptionRow(key, field.default, expected_value(field) or "", field.description or "")
                for key, field in restorer.config_type.model_fields.items()
            ),
        )
        for restorer in CLASSICAL.values()
    ]


class ClassicalMethodConfig(BaseModel):
    """Which classical restorer, and its options, as a recipe gives them."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    algorithm: str
    """Short name, for example "nlm"."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of that restorer; absent ones keep their defaults."""

    @model_validator(mode="after")
    def _can_be_built(self) -> "ClassicalMethodConfig":
        try:
            build_classical(self.algorithm, self.options)
        except ModelError as error:
            raise ValueError(str(error)) from None
        return self


class ClassicalMethod:
    """The classical restorers as one ``Method``; nothing here is trained."""

    name = "classical"
    summary = "Well-known restorers without training: the baselines of every table."
    config: type[BaseModel] = ClassicalMethodConfig

    def restorer(self, config: BaseModel) -> Restorer:
        """The restorer that a checked ``ClassicalMethodConfig`` names."""
        checked = ClassicalMethodConfig.model_validate(config.model_dump())
        return build_classical(checked.algorithm, checked.options)


METHOD = ClassicalMethod()
