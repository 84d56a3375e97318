"""Model texts taken apart: several in one option, and the options of one."""

from collections.abc import Collection, Sequence
from pathlib import Path

from restorekit.errors import ModelError

__all__ = ["parse_options", "split_models", "split_options"]


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

    ``refine(MODEL)`` is ``refine:base=MODEL``: what is refined is another model's result.

    Args:
        model: one model text.
        names: models that may have options.

    >>> split_options("file:a.safetensors:swap=zero", ()), split_options("refine", ["refine"])
    (('file:a.safetensors', 'swap=zero'), ('refine', ''))
    >>> split_options("refine(constyle)", ["refine"])
    ('refine', 'base=constyle')
    """
    outer, opened, inner = model.partition("(")
    if opened and inner.endswith(")") and (outer in names or outer.startswith("file:")):
        return outer, f"base={inner[:-1]}"
    place, _, options = model.rpartition(":")
    is_model = place in names or place.startswith("file:")
    is_option = is_model and "=" in options and not Path(model.partition(":")[2]).exists()
    return (place, options) if is_option else (model, "")


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
