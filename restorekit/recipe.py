"""Recipes: one reproducible run as a TOML file, checked as a whole before anything is done.

- Every problem of a file is named at once, with its key, what was expected, and the closest valid key.
- A name such as ``classical/nlm_sigma25`` resolves in the installed package first, then as a path.
- No inheritance, no dotted paths to code, no expressions. ``--set config.options.sigma=15`` changes one value.
"""

import hashlib
import json
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from restorekit.core.options import check_options
from restorekit.errors import RecipeError, did_you_mean
from restorekit.training.settings import TrainingSettings

__all__ = ["DataFolders", "Recipe", "find_packaged", "list_packaged", "load_recipe", "parse_document", "recipe_hash"]


class DataFolders(BaseModel):
    """Where the photos of a run are; recipes that ship leave these open for ``--set data.train=FOLDER``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: str | None = Field(default=None, description="folder of clean training photos")
    validation: str | None = Field(default=None, description="folder of clean photos to validate on")


class Recipe(BaseModel):
    """One reproducible run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str = Field(description="one of restorekit's methods")
    summary: str = Field(default="", description="what the recipe is for, in a line")
    seed: int = Field(default=0, ge=0, description="all randomness of the run comes from it")
    config: dict[str, Any] = Field(default_factory=dict, description="the method's own settings")
    data: DataFolders = Field(default=DataFolders(), description="folders of photos")
    degradation: str | None = Field(default=None, description="degradation spec, such as noise:sigma=0..50")
    training: TrainingSettings = Field(default=TrainingSettings(), description="of the training loop")


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read, override and check a recipe, its method's config included.

    Args:
        name: a shipped name (``classical/nlm_sigma25``) or the path of a ``.toml`` file.
        overrides: ``key=value`` texts with dotted keys; values are TOML, or plain text where they are not.

    Raises:
        RecipeError: not found, not TOML, or any number of bad keys and values, all in one message.
        ModelError: the method does not exist.
    """
    from restorekit.methods import load_method

    path = find_packaged("recipes", name)
    recipe = parse_document(Recipe, read_toml(path, overrides), name)
    parse_document(load_method(recipe.method).config, recipe.config, name, prefix="config.")
    return recipe


def recipe_hash(recipe: Recipe) -> str:
    """Twelve hexadecimal digits that change when any setting of the recipe does."""
    text = json.dumps(recipe.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def find_packaged(kind: str, name: str) -> Path:
    """The file of a shipped recipe or suite, or else the path that ``name`` is.

    Args:
        kind: ``recipes`` or ``suites``.
        name: without ``.toml`` for what ships.

    Raises:
        RecipeError: neither exists; the message lists what ships.
    """
    shipped = _packaged_folder(kind) / f"{name.removesuffix('.toml')}.toml"
    if shipped.is_file():
        return shipped
    if Path(name).is_file():
        return Path(name)
    names = list_packaged(kind)
    raise RecipeError(
        f"{name}: expected a .toml file or one of the shipped {kind} ({', '.join(names)})" + did_you_mean(name, names)
    )


def list_packaged(kind: str) -> list[str]:
    """Names of the recipes or suites that ship, sorted."""
    folder = _packaged_folder(kind)
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.toml"))


def _packaged_folder(kind: str) -> Path:
    """In an installed wheel the files lie in the package; in a checkout beside it."""
    package = Path(str(resources.files("restorekit")))
    installed = package / "_data" / kind
    if installed.is_dir():
        return installed
    return package.parent / {"recipes": "recipes", "suites": "benchmarks/suites"}[kind]


def read_toml(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """A TOML file as a dict, with dotted ``key=value`` overrides put in."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: expected a readable UTF-8 file; {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path}: expected TOML; {error}") from None
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator or not key:
            raise RecipeError(f"--set: expected key=value, got {override!r}")
        table = document
        *parents, last = key.strip().split(".")
        for parent in parents:
            table = table.setdefault(parent, {})
            if not isinstance(table, dict):
                raise RecipeError(f"--set {override}: expected {parent!r} to be a table, got a value")
        table[last] = _toml_value(value.strip())
    return document


def _toml_value(text: str) -> Any:
    """Numbers, booleans, arrays and quoted strings as TOML reads them; anything else is a plain string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


Checked = TypeVar("Checked", bound=BaseModel)


def parse_document(model: type[Checked], document: dict[str, Any], where: str, *, prefix: str = "") -> Checked:
    """Check a document against a pydantic model and name every problem at once.

    Raises:
        RecipeError: one line for each bad key or value.
    """
    checked = check_options(model, document, prefix=prefix)
    if isinstance(checked, list):
        count = f"{len(checked)} problem" + "s" * (len(checked) > 1)
        raise RecipeError("\n  ".join([f"{where}: {count}", *checked]))
    return checked
