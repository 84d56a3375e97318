"""What may be used for business: whether a model's licence, and those of the photos it learned from, are known to allow
it.

- Not known is not allowed: a foreign checkpoint, a file without a record and a callable are left out, however free they
  may be in truth.
- Share-alike and attribution are duties of whoever passes photos on, and no bar to commercial use. This is what records
  say, read by a program: no legal advice.
"""

from collections.abc import Sequence

from restorekit.auto import AUTO
from restorekit.diagnosis.verdict import MODELS
from restorekit.errors import ModelError
from restorekit.recipe import load_recipe
from restorekit.shipped import ShippedModel, shipped_models

__all__ = ["COMMERCIAL", "obstacle", "refuse_unsafe"]

COMMERCIAL = frozenset(
    (
        *("Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause"),
        *("CC0 1.0", "CC0-1.0", "CC BY 4.0", "CC-BY-4.0", "CC BY-SA 4.0", "CC-BY-SA-4.0"),
        *("public domain", "Unsplash licence", "Pexels licence"),
    )
)
"""Licences, as records write them, that allow commercial use."""

_UNKNOWN = {
    "file": "a weight file does not say which photos it learned from, nor their licences",
    "spandrel": "a foreign checkpoint has no licence that restorekit knows",
    "python": "code of your own has no licence that restorekit knows",
}


def obstacle(model: str) -> str | None:
    """Why a model, by any name that the zoo takes, is not known to be safe for commercial use; None if it is.

    Raises:
        RecipeError: ``recipe:NAME``, and there is no such recipe.
    """
    if model == AUTO:
        return next(filter(None, map(obstacle, filter(None, MODELS.values()))), None)
    family, _, rest = model.partition(":")
    if family == "classical":
        return None
    if family == "recipe":
        method = load_recipe(rest).method
        return None if method == "classical" else "a recipe does not say what its weights and priors learned from"
    if model in (shipped := shipped_models()):
        return _of_record(shipped[model])
    return _UNKNOWN.get(family, "it has no record")


def refuse_unsafe(models: Sequence[str]) -> None:
    """Raise ModelError, naming each, unless all models are known to be safe for commercial use."""
    reasons = [f"{model} ({reason})" for model in models if (reason := obstacle(model))]
    if reasons:
        raise ModelError(
            f"--commercial-safe: expected models whose licences are known to allow commercial use, got "
            f"{'; '.join(reasons)}; see 'restorekit models list --commercial-safe'"
        )


def _of_record(model: ShippedModel) -> str | None:
    if model.licence not in COMMERCIAL:
        return f"its licence is {model.licence}"
    barred = [line for line in model.data if _licence(line) not in COMMERCIAL]
    return (
        f"the licence of its training data does not allow it, or is not known: {'; '.join(barred)}" if barred else None
    )


def _licence(line: str) -> str:
    """Of a line on training photos, which ends with it: ``CID22 (181 photos, CC BY-SA 4.0)``."""
    return line.rstrip(")").rpartition(", ")[2]
