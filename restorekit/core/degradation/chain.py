"""The short text of a degradation, and what it builds: chains of terms and mixtures of chains.

    mixture = chain ("|" chain)*          one chain is chosen per image, each equally likely
    chain   = term ("+" term)*            applied from left to right
    term    = name [":" key "=" value ("," key "=" value)*]
    value   = number | lo..hi | word      lo..hi: drawn per image

``noise:sigma=25+jpeg:quality=40``, ``noise:sigma=5..50|rain|haze:beta=1``. ``none`` changes nothing.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch

from restorekit.core.degradation.base import Degradation, DegradationTerm, Params
from restorekit.core.degradation.blur import DefocusBlur, GaussianBlur, MotionBlur
from restorekit.core.degradation.haze import Haze
from restorekit.core.degradation.jpeg import Jpeg
from restorekit.core.degradation.low_light import LowLight
from restorekit.core.degradation.noise import CameraNoise, GaussianNoise
from restorekit.core.degradation.rain import Rain
from restorekit.core.degradation.resample import Resample
from restorekit.core.image.convention import Images, check_images
from restorekit.errors import SpecError, did_you_mean

__all__ = [
    "DEGRADATIONS",
    "Chain",
    "Identity",
    "Mixture",
    "degrade_images",
    "describe_degradations",
    "parse_degradation",
]


def parse_degradation(spec: str) -> Degradation:
    """The degradation that ``spec`` describes; ``parse_degradation(d.spec)`` equals ``d``.

    >>> parse_degradation("noise : sigma=25.0 + jpeg:quality=40").spec
    'noise:sigma=25+jpeg:quality=40'

    Raises:
        SpecError: names the term and its position, what was expected, and the closest valid name.
    """
    chains: list[Degradation] = []
    for chain_text, start in _split(spec, "|"):
        terms = [_parse_term(spec, text, start + offset) for text, offset in _split(chain_text, "+")]
        chains.append(terms[0] if len(terms) == 1 else Chain(tuple(terms)))
    return chains[0] if len(chains) == 1 else Mixture(tuple(chains))


def degrade_images(
    clean: Images, degradation: Degradation | str, *, generator: torch.Generator
) -> tuple[Images, Params]:
    """Draw parameters for every image and apply them.

    Args:
        clean: (batch, 3, height, width), sRGB in [0, 1]; not changed.
        degradation: a degradation, or its text.
        generator: a CPU generator, usually ``generator_for(seed, image_name)``; the only source of randomness.

    Returns:
        The degraded images, float32, and the parameters that ``apply`` needs to make them again.

    Raises:
        SpecError: the text cannot be read.
        ImageError: ``clean`` is not a batch of finite RGB images.
    """
    check_images(clean, "degrade_images")
    built = parse_degradation(degradation) if isinstance(degradation, str) else degradation
    params = built.draw(clean.shape[0], generator=generator)
    return built.apply(clean, params), params


def describe_degradations() -> str:
    """A help table: every degradation with its settings, defaults, bounds and units, read from their declarations."""
    lines = []
    for name, kind in DEGRADATIONS.items():
        lines.append(f"{name}: {(kind.__doc__ or '').splitlines()[0]}")
        for key, setting in kind.settings().items():
            lines.append(f"  {key}={setting.default_text}".ljust(34) + f"{setting.help} ({setting.allowed_text})")
    return "\n".join(lines)


@dataclass(frozen=True)
class Identity(DegradationTerm):
    """Nothing: the image as it is."""

    name: ClassVar[str] = "none"

    def _degrade(self, clean: Images, params: Params) -> Images:  # noqa: ARG002
        return clean.clone()


@dataclass(frozen=True)
class Chain:
    """Degradations applied one after the other. The parameters of term 0 are named ``0.sigma``, and so on."""

    terms: tuple[Degradation, ...]

    def __post_init__(self) -> None:
        """Refuse what the text form cannot say: a chain holds single terms."""
        if not self.terms or not all(isinstance(term, DegradationTerm) for term in self.terms):
            raise SpecError("chain: expected one or more single terms; join chains with | instead")

    @property
    def spec(self) -> str:
        """The terms' texts joined by ``+``."""
        return "+".join(term.spec for term in self.terms)

    @property
    def differentiable(self) -> bool:
        """Whether every term is."""
        return all(term.differentiable for term in self.terms)

    def draw(self, batch: int, *, generator: torch.Generator) -> Params:
        """Parameters of every term, in order."""
        return _prefixed([term.draw(batch, generator=generator) for term in self.terms])

    def apply(self, clean: Images, params: Params) -> Images:
        """The terms applied from left to right."""
        images = clean.float()
        for index, term in enumerate(self.terms):
            images = term.apply(images, _part(params, index))
        return images


@dataclass(frozen=True)
class Mixture:
    """One of several degradations per image, each equally likely; ``choice`` says which.

    All of them are drawn for all images, so that parameters keep one shape; only the chosen one is applied.
    """

    chains: tuple[Degradation, ...]

    def __post_init__(self) -> None:
        """Refuse what the text form cannot say: a mixture holds terms and chains."""
        if not self.chains or not all(isinstance(chain, DegradationTerm | Chain) for chain in self.chains):
            raise SpecError("mixture: expected one or more terms or chains, without a mixture inside")

    @property
    def spec(self) -> str:
        """The chains' texts joined by ``|``."""
        return "|".join(chain.spec for chain in self.chains)

    @property
    def differentiable(self) -> bool:
        """Whether every chain is."""
        return all(chain.differentiable for chain in self.chains)

    def draw(self, batch: int, *, generator: torch.Generator) -> Params:
        """The choice per image, and the parameters of every chain."""
        choice = torch.randint(0, len(self.chains), (batch,), generator=generator)
        return {"choice": choice, **_prefixed([chain.draw(batch, generator=generator) for chain in self.chains])}

    def apply(self, clean: Images, params: Params) -> Images:
        """Each image degraded by its chosen chain."""
        if "choice" not in params:
            raise SpecError(f"{self.spec}: expected the parameter choice, got {', '.join(params)}; draw them again")
        images = clean.float().clone()
        for index, chain in enumerate(self.chains):
            chosen = (params["choice"] == index).nonzero().flatten()
            if len(chosen):
                rows = chosen.to(clean.device)
                part = {key: values[chosen] for key, values in _part(params, index).items()}
                images = images.index_copy(0, rows, chain.apply(clean[rows], part))
        return images


DEGRADATIONS: dict[str, type[DegradationTerm]] = {
    "none": Identity,
    "noise": GaussianNoise,
    "camera": CameraNoise,
    "blur": GaussianBlur,
    "motion": MotionBlur,
    "defocus": DefocusBlur,
    "rain": Rain,
    "haze": Haze,
    "low_light": LowLight,
    "jpeg": Jpeg,
    "resample": Resample,
}
"""Every named degradation: one line each."""


def _parse_term(spec: str, text: str, start: int) -> DegradationTerm:
    name, colon, rest = text.partition(":")
    fail = _failure(spec, start + len(text) - len(text.lstrip()))
    name = name.strip()
    if name not in DEGRADATIONS:
        raise fail(f"expected one of {', '.join(DEGRADATIONS)}, got {name!r}{did_you_mean(name, DEGRADATIONS)}")
    texts: dict[str, str] = {}
    kind = DEGRADATIONS[name]
    for pair, offset in _split(rest, ",") if colon else []:
        fail = _failure(spec, start + text.index(":") + 1 + offset + len(pair) - len(pair.lstrip()))
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals:
            raise fail(f"{name}: expected key=value, got {pair.strip()!r}")
        if key in texts:
            raise fail(f"{name}: expected {key} once, got it twice; keep one")
        try:
            kind.from_text({key: value})
        except SpecError as error:
            raise fail(str(error)) from None
        texts[key] = value
    return kind.from_text(texts)


def _failure(spec: str, position: int) -> Callable[[str], SpecError]:
    return lambda message: SpecError(f"degradation {spec!r}, character {position + 1}: {message}")


def _split(text: str, separator: str) -> list[tuple[str, int]]:
    """The parts of ``text`` with their offsets."""
    return [(match.group(), match.start()) for match in re.finditer(rf"(?:(?<=\{separator})|^)[^{separator}]*", text)]


def _prefixed(parts: list[Params]) -> Params:
    return {f"{index}.{key}": values for index, part in enumerate(parts) for key, values in part.items()}


def _part(params: Params, index: int) -> Params:
    prefix = f"{index}."
    return {key.removeprefix(prefix): values for key, values in params.items() if key.startswith(prefix)}
