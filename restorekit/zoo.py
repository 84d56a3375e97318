"""Names of models, and how a name becomes a restorer.

A model text is one of

- ``base``: a model whose weights come with the package (``restorekit.shipped``),
- ``classical:nlm`` or ``classical:nlm:key=value,key=value``: a restorer that needs no weights,
- ``recipe:classical/nlm_sigma25``: a recipe that ships, or the path of one,
- ``file:weights.safetensors``: what training or conversion wrote; the file says which network it is for. Settings of
  its method can be changed, as in ``file:weights.safetensors:swap=zero``, or ``refine:swap=zero`` for one that ships,
- ``spandrel:FILE``: somebody else's checkpoint (extra ``zoo``),
- ``python:module:factory``: any callable; ``factory()`` returns a restorer, a module or a function on images.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from restorekit.errors import ModelError, RecipeError, did_you_mean
from restorekit.model_text import parse_options, split_composition, split_models, split_options
from restorekit.recipe import load_recipe, parse_document, recipe_hash
from restorekit.shipped import shipped_models

if TYPE_CHECKING:
    from restorekit.core.prior import FeaturePrior
    from restorekit.core.restorer import Method, Restorer
    from restorekit.core.weights import WeightFile
    from restorekit.refine.parts import TensorSource

__all__ = [
    "DEFAULT_MODEL",
    "ModelRecord",
    "list_models",
    "load",
    "method_of",
    "model_identity",
    "shipped_weights",
    "show_model",
    "split_models",
]

DEFAULT_MODEL = "base"
"""What ``restorekit restore`` uses when no model is named."""


class ModelRecord(BaseModel):
    """What is known of a model before it is loaded."""

    model_config = ConfigDict(frozen=True)

    name: str
    method: str
    summary: str
    helps_against: str
    licence: str
    options: list[str]
    """One line for each option: name, default, unit, meaning."""
    data: tuple[str, ...] = ()
    """The photos it learned from, one line a set, with their licences."""
    sha256: str = ""
    """Of its weight file; empty where there is none."""
    scores: dict[str, float] = Field(default_factory=dict)
    """Mean PSNR in dB by data set, ``psnr[rgb|per-image|u8|crop0]``."""


def load(
    model: str = DEFAULT_MODEL, *, device: str = "auto", precision: str = "auto", overrides: Sequence[str] = ()
) -> "Restorer":
    """Build a restorer from its name.

    Args:
        model: ``base``, ``classical:nlm:sigma=25``, ``recipe:NAME``, ``file:FILE``, ``spandrel:FILE`` or
            ``python:module:factory``; ``list_models()`` has all names.
        device: auto, cpu, cuda, cuda:N or mps.
        precision: auto, float32, bfloat16 or float16.
        overrides: ``key=value`` changes of a recipe, such as ``config.options.sigma=15``.

    Raises:
        RecipeError: the recipe has problems, or overrides are given for a model that is none.
        ModelError: no model of that name, or options it does not take.
        UsageError: a device or precision this machine lacks.

    >>> load("classical:nlm").name
    'classical:nlm'
    """
    from restorekit.core.placement import resolve_device, resolve_precision

    chosen = resolve_device(device)
    return _build(model, overrides).to(chosen, resolve_precision(precision, chosen))


def list_models() -> list[ModelRecord]:
    """Every model that can be loaded by name, in the order to show them."""
    from restorekit.core.classical import describe_classical

    shipped = [
        ModelRecord(
            name=model.name,
            method=model.method,
            summary=f"{model.summary} ({model.parameters:,} parameters)",
            helps_against=", ".join(model.helps),
            licence=model.licence,
            options=[],
            data=model.data,
            sha256=model.sha256,
            scores=model.scores,
        )
        for model in shipped_models().values()
    ]
    return shipped + [
        ModelRecord(
            name=row.name,
            method="classical",
            summary=row.summary,
            helps_against=", ".join(row.helps),
            licence="Apache-2.0",
            options=[f"{o.name} ({o.expected}, default {o.default}): {o.description}" for o in row.options],
        )
        for row in describe_classical()
    ]


def show_model(name: str) -> ModelRecord:
    """The record of one model.

    Raises:
        ModelError: no model of that name.
    """
    records = {record.name: record for record in list_models()}
    if name not in records:
        raise _unknown(name)
    return records[name]


def shipped_weights() -> list["WeightFile"]:
    """The weight files that came with the installation, for ``restorekit doctor`` to check."""
    return [model.file() for model in shipped_models().values()]


def model_identity(model: str, overrides: Sequence[str] = ()) -> str:
    """A text that changes when the model does: with the content of its file, or the source of its Python code.

    Raises:
        ModelError, RecipeError: the file is absent.
    """
    from restorekit.core.weights import sha256_of

    model, inner = split_composition(model)
    if inner is not None:
        return f"{model_identity(model, overrides)} of {model_identity(inner)}"
    family, _, rest = model.partition(":")
    if family == "recipe":
        return f"{model} {recipe_hash(load_recipe(rest, overrides))}"
    place, _ = split_options(model, shipped_models())
    if family in ("file", "spandrel"):
        return f"{model} {sha256_of(Path(place.partition(':')[2]))}"
    if family == "python":
        from restorekit.core.networks.source import source_digest

        return f"{model} {source_digest(rest.partition(':')[0])}"
    shipped = shipped_models().get(place)
    return f"{model} {shipped.sha256}" if shipped else model


def method_of(name: str) -> "Method":
    """A method, knowing every name of the zoo: bases and priors that recipes and weight files ask for.

    Raises:
        ModelError: no method of that name.
    """
    from restorekit.methods import load_method

    method = load_method(name)
    given: Method = method.given(_Parts()) if hasattr(method, "given") else method
    return given


class _Parts:
    """What methods are put together from, by name; see ``restorekit.refine.parts``."""

    def restorer(self, name: str) -> "Restorer":
        """Any model of the zoo."""
        return _build(name, ())

    def prior(self, name: str, tensors: "TensorSource | None" = None) -> "FeaturePrior":
        """Any prior, the ConStyle encoder included; ``tensors`` are its weights where they are not where they usually
        are.
        """
        from restorekit.priors.catalogue import load_prior

        others: dict[str, Callable[[str], FeaturePrior]] = {
            "constyle": partial(_constyle_prior, name, tensors),
            "restoration": lambda rest: _restoration_prior(name, _build(rest, ())),
        }
        return load_prior(name, others)


def _constyle_prior(name: str, tensors: "TensorSource | None", rest: str) -> "FeaturePrior":
    """constyle: the encoder of the shipped model; constyle:FILE: that of a run."""
    from restorekit.constyle.prior import ConStylePrior
    from restorekit.core.weights import load_weights

    if tensors is not None:
        return ConStylePrior(name, tensors, name)
    shipped = shipped_models().get("constyle")
    if not rest and shipped is None:
        raise ModelError(
            "prior: expected constyle:FILE with the weights of a ConStyle run, since none ships, got constyle; "
            "train one: restorekit constyle train RECIPE"
        )
    path = Path(rest) if rest or shipped is None else shipped.file().path
    return ConStylePrior(name, partial(load_weights, path), str(path))


def _restoration_prior(name: str, restorer: "Restorer") -> "FeaturePrior":
    """restoration:MODEL: the bottleneck of any model that is a network."""
    from restorekit.core.networks.restorer import ModuleRestorer
    from restorekit.priors.restoration import RestorationPrior

    if not isinstance(restorer, ModuleRestorer):
        raise ModelError(f"prior: expected a network after restoration:, got {restorer.name}")
    return RestorationPrior(name, restorer)


def _build(model: str, overrides: Sequence[str]) -> "Restorer":
    family, _, rest = model.partition(":")
    if family == "recipe":
        recipe = load_recipe(rest, overrides)
        method = method_of(recipe.method)
        return method.restorer(parse_document(method.config, recipe.config, rest, prefix="config."))
    if overrides:
        raise RecipeError(
            f"--set: expected a model of the form recipe:NAME, got {model}; write {model}:key=value instead"
        )
    if family == "classical" and rest:
        from restorekit.core.classical import CLASSICAL, build_classical

        name, _, options = rest.partition(":")
        if name not in CLASSICAL:
            raise _unknown(f"classical:{name}")
        return build_classical(name, parse_options(model, options))
    outer, inner = split_composition(model)
    place, options = split_options(outer, shipped_models())
    changes = parse_options(model, options) | ({} if inner is None else {"base": inner})
    if place in (shipped := shipped_models()):
        return _from_file(model, shipped[place].file().path, changes)
    if family == "file" and rest:
        return _from_file(model, Path(place.partition(":")[2]), changes)
    if family == "spandrel" and rest:
        from restorekit.core.networks import load_foreign

        return load_foreign(Path(rest))
    if family == "python" and rest:
        from restorekit.core.networks import load_callable

        return load_callable(model)
    raise _unknown(model)


def _from_file(name: str, path: Path, changes: Mapping[str, str]) -> "Restorer":
    """A weight file says which method, and with which settings, or at least which network it is for.

    Args:
        name: as the restorer is called.
        path: the weight file.
        changes: in place of what the file says of its method's settings.
    """
    from restorekit.core.networks import network_restorer, read_description
    from restorekit.core.weights import load_metadata

    metadata = load_metadata(path)
    if "method" not in metadata:
        if changes:
            listed = ", ".join(f"{key}={value}" for key, value in changes.items())
            raise ModelError(f"{name}: expected no options, since {path} holds a plain network, got {listed}")
        return network_restorer(name, read_description(path)[1], path)
    method = method_of(metadata["method"])
    settings = json.loads(metadata["method_config"]) | dict(changes)
    config = parse_document(method.config, settings, str(path), prefix="config.")
    restorer = method.restorer(config.model_copy(update={"weights": str(path)}))
    restorer.name = name
    return restorer


def _unknown(name: str) -> ModelError:
    names = [record.name for record in list_models()]
    forms = "recipe:NAME, file:FILE, spandrel:FILE or python:module:factory"
    return ModelError(f"model: expected {', '.join(names)}, {forms}, got {name!r}" + did_you_mean(name, names))
