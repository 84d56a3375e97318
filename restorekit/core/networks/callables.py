"""A user's own restorer from Python code: ``python:module:factory``."""

import importlib
import operator
from typing import Any

import torch
from torch import nn

from restorekit.core.image.convention import Images
from restorekit.core.networks.restorer import ModuleRestorer
from restorekit.core.restorer import InputSpec, Restorer
from restorekit.errors import ImageError, ModelError, RestorekitError, did_you_mean

__all__ = ["CallableRestorer", "load_callable"]


def load_callable(text: str) -> Restorer:
    """Import a module, call its factory without arguments, and make a restorer of what it returns.

    The factory returns a ``Restorer``, which is used as it is; an ``nn.Module`` or a function from ``Images`` to
    ``Images`` of the same shape. The latter two see whole images, because nothing is known of their receptive field;
    give them an attribute ``spec`` (an ``InputSpec``) to have them tiled.

    Args:
        text: "python:package.module:factory", or without the "python:". The module is found on ``sys.path``.

    Raises:
        ModelError: the text has another form; the module, the factory or its result is not what it should be. What
            the user's code raised is named, and chained as the cause.
    """
    made = _make(text)
    return made if isinstance(made, Restorer) else CallableRestorer(text, made)


class CallableRestorer(ModuleRestorer):
    """What a factory made, when it is not a restorer by itself; made by ``load_callable``.

    Args:
        text: as for ``load_callable``; a pickled restorer calls the factory again when it wakes up.
        made: the factory's result, an ``nn.Module`` or a function on ``Images``.

    Raises:
        ModelError: ``made`` cannot be called, or its ``spec`` is no ``InputSpec``.
    """

    def __init__(self, text: str, made: Any) -> None:
        spec = getattr(made, "spec", InputSpec(tiling="whole"))
        if not isinstance(spec, InputSpec):
            raise ModelError(f"{text}: expected spec to be an InputSpec, got {type(spec).__name__}")
        super().__init__(f"python:{text.removeprefix('python:')}", (3, 3), spec)
        self.text = text
        self._module = _as_module(text, made).eval()

    def restore(self, degraded: Images, *, generator: torch.Generator | None = None) -> Images:
        """As ``ModuleRestorer.restore``.

        Raises:
            ImageError: the user's code raised, and what; it is chained as the cause.
        """
        try:
            return super().restore(degraded, generator=generator)
        except (RestorekitError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # a user's code may raise anything
            raise ImageError(f"{self.name}: expected a restored image, got {_words(error)}") from error

    def load(self) -> nn.Module:
        """What the factory makes now, as a module.

        Raises:
            ModelError: as ``load_callable``.
        """
        return _as_module(self.text, _make(self.text))


class _Function(nn.Module):
    """A plain function as a module without weights."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Images) -> Any:
        return self.function(images)


def _as_module(text: str, made: Any) -> nn.Module:
    if isinstance(made, nn.Module):
        return made
    if not callable(made):
        raise ModelError(
            f"{text}: expected the factory to return a Restorer, an nn.Module or a function, got {type(made).__name__}"
        )
    return _Function(made)


def _make(text: str) -> Any:
    module_name, separator, attribute = text.removeprefix("python:").partition(":")
    if not (module_name and separator and attribute):
        raise ModelError(f"{text}: expected python:module:factory, for example python:my_models:best")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # an import runs any code, so it may raise anything
        raise ModelError(
            f"{text}: expected an importable module {module_name}, got {_words(error)}; "
            "its folder must be on PYTHONPATH"
        ) from error
    try:
        factory = operator.attrgetter(attribute)(module)
    except AttributeError:
        names = [name for name in vars(module) if not name.startswith("_")]
        hint = did_you_mean(attribute, names)
        raise ModelError(
            f"{text}: expected {attribute} in module {module_name}, got nothing of that name{hint}"
        ) from None
    try:
        return factory()
    except Exception as error:
        raise ModelError(f"{text}: expected {attribute}() to return a restorer, got {_words(error)}") from error


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
