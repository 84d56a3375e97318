"""How a degradation declares a setting: a range of numbers, one of a few words, or a flag.

Each declaration is made once, as a dataclass field, and is the only source of defaults, bounds, units and help.
"""

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from restorekit.errors import SpecError, did_you_mean

__all__ = ["Flag", "Range", "Setting", "Span", "Word", "flag", "read_setting", "setting_of", "span", "word"]

NUMBER = r"-?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE]-?\d+)?"


@dataclass(frozen=True)
class Span:
    """A value (``low == high``) or the range lo..hi from which one value per image is drawn.

    >>> str(Span.parse("5..50")), str(Span.parse("25"))
    ('5..50', '25')
    """

    low: int | float
    high: int | float

    def __post_init__(self) -> None:
        """Refuse empty and infinite ranges."""
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise SpecError(f"range: expected lo..hi with lo <= hi, got {plain(self.low)}..{plain(self.high)}")

    @classmethod
    def parse(cls, text: str) -> "Span":
        """Read ``25`` or ``5..50``.

        Raises:
            SpecError: ``text`` is neither, or the range is empty.
        """
        match = re.fullmatch(rf"({NUMBER})(?:\.\.({NUMBER}))?", text)
        if match is None:
            raise SpecError(f"expected a number or a range lo..hi, got {text!r}")
        low, high = match.groups()
        return cls(float(low), float(high if high is not None else low))

    def __str__(self) -> str:
        """The shortest text that reads back as the same span."""
        return plain(self.low) if self.low == self.high else f"{plain(self.low)}..{plain(self.high)}"


@dataclass(frozen=True)
class Range:
    """Declaration of a numeric setting; drawn uniformly, or uniformly in the logarithm, or as a whole number."""

    default: Span
    low: int | float
    high: int | float
    unit: str
    help: str
    log: bool = False
    whole: bool = False

    @property
    def default_text(self) -> str:
        """The default as it is written in a spec."""
        return str(self.default)

    @property
    def allowed_text(self) -> str:
        """The bounds, for help and errors."""
        kind = "a whole number " if self.whole else ""
        return f"{kind}{plain(self.low)} to {plain(self.high)}" + (f" {self.unit}" if self.unit else "")

    def check(self, value: Any, *, where: str) -> None:
        """Raise SpecError unless ``value`` is a span within the bounds."""
        if not isinstance(value, Span):
            raise SpecError(f"{where}: expected a Span, got {value!r}; write Span(lo, hi) or parse a spec")
        ends = (value.low, value.high)
        inside = all(self.low <= end <= self.high for end in ends)
        if not inside or (self.whole and not all(end.is_integer() for end in map(float, ends))):
            raise SpecError(f"{where}: expected {self.allowed_text}, got {value}")

    def read(self, text: str) -> Span:
        """A span from its text."""
        return Span.parse(text)

    def text(self, value: Span) -> str:
        """The text of a span."""
        return str(value)

    def draw(self, value: Span, batch: int, generator: torch.Generator) -> Float[Tensor, "batch"]:
        """One number per image within ``value``; log-uniform only where the low end is above 0."""
        uniform = torch.rand(batch, generator=generator, dtype=torch.float64)
        if value.low == value.high:
            numbers = torch.full_like(uniform, value.low)
        elif self.whole:
            numbers = value.low + torch.floor(uniform * (value.high - value.low + 1))
        elif self.log and value.low > 0:
            numbers = value.low * (value.high / value.low) ** uniform
        else:
            numbers = value.low + uniform * (value.high - value.low)
        return numbers.clamp(value.low, value.high).float()


@dataclass(frozen=True)
class Word:
    """Declaration of a setting that is one of a few words."""

    default: str
    choices: tuple[str, ...]
    help: str
    unit: ClassVar[str] = ""

    @property
    def default_text(self) -> str:
        """The default as it is written in a spec."""
        return self.default

    @property
    def allowed_text(self) -> str:
        """The choices, for help and errors."""
        return "one of " + ", ".join(self.choices)

    def check(self, value: Any, *, where: str) -> None:
        """Raise SpecError unless ``value`` is one of the choices."""
        if value not in self.choices:
            raise SpecError(f"{where}: expected {self.allowed_text}, got {value!r}{did_you_mean(value, self.choices)}")

    def read(self, text: str) -> str:
        """A word from its text."""
        return text

    def text(self, value: str) -> str:
        """The text of a word."""
        return value


@dataclass(frozen=True)
class Flag:
    """Declaration of a setting that is on (1) or off (0)."""

    default: bool
    help: str
    unit: ClassVar[str] = ""
    allowed_text: ClassVar[str] = "0 or 1"

    @property
    def default_text(self) -> str:
        """The default as it is written in a spec."""
        return self.text(self.default)

    def check(self, value: Any, *, where: str) -> None:
        """Raise SpecError unless ``value`` is a bool."""
        if not isinstance(value, bool):
            raise SpecError(f"{where}: expected True or False, got {value!r}")

    def read(self, text: str) -> bool:
        """A flag from its text."""
        if text not in {"0", "1"}:
            raise SpecError(f"expected {self.allowed_text}, got {text!r}")
        return text == "1"

    def text(self, value: bool) -> str:
        """The text of a flag."""
        return "1" if value else "0"


Setting = Range | Word | Flag


def span(
    default: str,
    *,
    low: int | float,
    high: int | float,
    unit: str = "",
    help: str,
    log: bool = False,
    whole: bool = False,
) -> Any:
    """A dataclass field holding a ``Span``; ``default`` is text such as ``5..50``, bounds are inclusive."""
    value = Span.parse(default)
    return _field(Range(value, low=low, high=high, unit=unit, help=help, log=log, whole=whole))


def word(default: str, choices: tuple[str, ...], *, help: str) -> Any:
    """A dataclass field holding one of ``choices``."""
    return _field(Word(default, choices, help))


def flag(default: bool, *, help: str) -> Any:
    """A dataclass field holding a bool, written 0 or 1 in a spec."""
    return _field(Flag(default, help))


def setting_of(field: "dataclasses.Field[Any]") -> Setting:
    """The declaration behind a field made by ``span``, ``word`` or ``flag``."""
    setting: Setting = field.metadata["setting"]
    return setting


def read_setting(setting: Setting, text: str, *, where: str) -> Any:
    """A checked value from its text.

    Raises:
        SpecError: it cannot be read or is not allowed; the message starts with ``where``.
    """
    try:
        value = setting.read(text)
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from None
    setting.check(value, where=where)
    return value


def plain(number: int | float) -> str:
    """The shortest text that reads back as the same number, without ``+`` (which joins terms of a spec).

    >>> plain(25.0), plain(0.1), plain(1e-05), plain(1e20)
    ('25', '0.1', '1e-05', '1e20')
    """
    return repr(float(number)).removesuffix(".0").replace("e+", "e")


def _field(setting: Setting) -> Any:
    return dataclasses.field(default=setting.default, metadata={"setting": setting})
