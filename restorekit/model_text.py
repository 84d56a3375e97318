"""Model texts taken apart: several in one option, and the options of one."""

from collections.abc import Collection, Sequence
from pathlib import Path

from restorekit.errors import ModelError

__all__ = ["parse_options", "split_composition", "split_models", "split_options"]


def split_models(texts: Sequence[str]) -> list[str]:
    """Model texts from repeated options and comma-separated lists; a comma before ``key=value`` does not split.

    >>> split_models(["classical:nlm:sigma=25,distance_px=5,classical:tv", "classical:dcp"])
    ['classical:nlm:sigma=25,distance_px=5', 'classical:tv', 'classical:dcp']
    """
    models: list[str] = []
    for text in texts:
        for index, part in enumerate(text.split(",")):
            continues = index > 0 and "=" in part and ":" not in part.partition("=")[0]
            if continues:
                models[-1] += f",{part}"
            elif part.strip():
                models.append(part.strip())
    return models


def split_options(model: str, names: Collection[str]) -> tuple[str, str]:
    """The model and its options: ``refine:swap=zero``, or ``file:FILE:swap=zero`` unless a file is called so.

    Args:
        model: one model text.
        names: models that may have options.

    >>> split_options("file:a.safetensors:swap=zero", ()), split_options("refine", ["refine"])
    (('file:a.safetensors', 'swap=zero'), ('refine', ''))
    """
    place, _, options = model.rpartition(":")
    is_model = place in names or place.startswith("file:")
    is_option = is_model and "=" in options and not Path(model.partition(":")[2]).exists()
    return (place, options) if is_option else (model, "")


def split_composition(model: str) -> tuple[str, str | None]:
    """The model that refines and the one whose result it refines, None unless the text is ``OUTER(INNER)``.

    >>> split_composition("refine(classical:nlm:sigma=25)"), split_composition("refine")
    (('refine', 'classical:nlm:sigma=25'), ('refine', None))
    """
    outer, opened, inner = model.partition("(")
    is_composed = bool(outer and opened) and inner.endswith(")")
    is_file = model.startswith("file:") and Path(model.removeprefix("file:")).exists()
    return (outer, inner[:-1]) if is_composed and not is_file else (model, None)


def parse_options(model: str, text: str) -> dict[str, str]:
    """``key=value,key=value`` as a dict.

    Raises:
        ModelError: a part of another form.
    """
    options: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        key, separator, value = part.partition("=")
        if not separator or not key or not value:
            raise ModelError(f"{model}: expected options as key=value,key=value, got {part!r}")
        options[key.strip()] = value.strip()
    return options
