"""``restorekit METHOD train | restore | info``, and what a method brings itself, for methods in packages of their own.

- No method is named here: a line in ``METHODS`` is all that it takes. A method is imported when one of its commands
  needs it, or when its own help lists them; ``restorekit --help`` reads no more than the first line of its package.
- A ``METHOD`` with ``commands: Mapping[str, str]``, name to ``module:function``, brings commands of its own: functions
  for typer; one named like a general command takes its place. Methods lie below the zoo, so the parameter
  ``load_model``, where there is one, is filled in here.
"""

import ast
import functools
import importlib
import importlib.util
import inspect
import json as jsonlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from pydantic import BaseModel
from pydantic_core import to_jsonable_python
from typer.core import TyperGroup

from restorekit.cli import options
from restorekit.cli.console import print_json, report_errors
from restorekit.cli.restore import restore
from restorekit.cli.train import train
from restorekit.errors import UsageError
from restorekit.methods import METHODS, load_method
from restorekit.recipe import find_packaged, list_packaged, read_toml
from restorekit.shipped import shipped_models

if TYPE_CHECKING:
    from restorekit.core.restorer import Restorer

__all__ = ["add_methods", "load_model", "own_methods"]

Model = Annotated[
    str,
    typer.Option("--model", "-m", help="file:WEIGHTS, recipe:NAME or a name; left out: the method's own that ships."),
]


def add_methods(app: typer.Typer) -> None:
    """Give ``app`` one group of commands for each method of ``own_methods``."""
    for method in own_methods():
        app.add_typer(_group(method), name=method)


def own_methods() -> list[str]:
    """The methods that live in a package of their name; the others have no commands beyond the general ones.

    >>> "constyle" in own_methods(), "classical" in own_methods()
    (True, False)
    """
    return [name for name, place in METHODS.items() if place.partition(":")[0] == f"restorekit.{name}"]


def load_model(method: str, model: str, **settings: Any) -> "Restorer":
    """The restorer that a command of a method works with.

    Args:
        method: whose command it is.
        model: as for ``restorekit restore``; "" is the model of this method that ships.
        settings: ``device``, ``precision`` and ``overrides`` of ``restorekit.zoo.load``.

    Raises:
        UsageError: "", and there is no such model, or several.
    """
    from restorekit.zoo import load

    return load(model or _shipped(method), **settings)


class _MethodGroup(TyperGroup):
    """The commands that every method has, and then those of its ``METHOD``, which are imported here.

    The types are those of click, or of typer's own copy of it.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        return list(dict.fromkeys([*super().list_commands(ctx), *_own_commands(self.name or "")]))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        place = _own_commands(self.name or "").get(cmd_name, "")
        if not place:
            return super().get_command(ctx, cmd_name)
        module, _, function = place.partition(":")
        single = typer.Typer(add_completion=False)
        single.command(cmd_name)(
            report_errors(_own(self.name or "", getattr(importlib.import_module(module), function)))
        )
        return typer.main.get_command(single)


def _own_commands(method: str) -> Mapping[str, str]:
    commands: Mapping[str, str] = getattr(load_method(method), "commands", {})
    return commands


def _group(method: str) -> typer.Typer:
    app = typer.Typer(cls=_MethodGroup, help=_about(method), no_args_is_help=True)
    for name, command in {"train": _train, "restore": _restore, "info": _info}.items():
        app.command(name)(report_errors(command(method)))
    return app


def _about(method: str) -> str:
    """The first line of a method's package, which is not imported for it."""
    spec = importlib.util.find_spec(f"restorekit.{method}")
    source = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
    return (ast.get_docstring(ast.parse(source)) or method).splitlines()[0]


# ------------------------------------------------------------------------------------------------------- the commands


def _own(method: str, function: Callable[..., None]) -> Callable[..., None]:
    """A command that the method brings; it loads models by ``load_model``, if at all."""
    parameters = dict(inspect.signature(function).parameters)
    if parameters.pop("load_model", None) is None:
        return function

    @functools.wraps(function)
    def command(**arguments: Any) -> None:
        function(load_model=functools.partial(load_model, method), **arguments)

    return _with_parameters(command, parameters)


def _with_parameters(command: Callable[..., None], parameters: Mapping[str, inspect.Parameter]) -> Callable[..., None]:
    """``command``, of which typer sees these parameters."""
    command.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    return command


def _train(method: str) -> Callable[..., None]:
    """``restorekit train`` for recipes of one method."""

    @functools.wraps(train)
    def command(**arguments: Any) -> None:
        recipe = arguments["recipe"]
        found = _method_of(recipe, arguments["set_"])
        if found in METHODS and found != method:
            right = f"{found} train" if found in own_methods() else "train"
            raise UsageError(
                f"{recipe}: expected a recipe of {method}, got one of {found}; run: restorekit {right} {recipe}"
            )
        train(**arguments)

    return command


def _restore(method: str) -> Callable[..., None]:
    """``restorekit restore`` with this method's model where none is named."""

    @functools.wraps(restore)
    def command(**arguments: Any) -> None:
        restore(**arguments | {"model": arguments["model"] or _shipped(method)})

    parameters = inspect.signature(restore).parameters
    model = parameters["model"].replace(default="", annotation=Model)
    return _with_parameters(command, parameters | {"model": model})


def _info(method: str) -> Callable[..., None]:
    """What is known of one method."""

    def command(json: options.Json = False) -> None:
        """Say what the method is: its settings, its recipes, its model."""
        chosen = load_method(method)
        recipes = {name: _summary_of(name) for name in list_packaged("recipes") if _method_of(name) == method}
        models = {model.name: model.summary for model in shipped_models().values() if model.method == method}
        tables = list(_tables(chosen.config, "config"))
        if json:
            document = {"name": chosen.name, "summary": chosen.summary, "config": tables}
            print_json(document | {"recipes": recipes, "models": models})
            return
        typer.echo(f"{chosen.name}: {chosen.summary}")
        for table in tables:
            typer.echo(f"\n[{table['table']}]  {table['about']}")
            for setting in table["settings"]:
                typer.echo(f"  {setting['name']} = {_value(setting)}".ljust(36) + f" {setting['description']}".rstrip())
        for title, entries in {"recipes": recipes, "models that ship": models}.items():
            typer.echo(f"\n{title}:" + "".join(f"\n  {name:28} {about}" for name, about in entries.items()))
            if not entries:
                typer.echo("  none yet")

    return command


# ----------------------------------------------------------------------------------------------------- what they know


def _shipped(method: str) -> str:
    """The model of a method that ships: the only one, or the one of its name."""
    names = [model.name for model in shipped_models().values() if model.method == method]
    if len(names) == 1 or method in names:
        return method if method in names else names[0]
    none = "none ships; train one and give its file:WEIGHTS, or recipe:NAME with --set config.weights=WEIGHTS"
    several = f"several ship: {', '.join(names)}; name one"
    raise UsageError(f"--model: expected a model of {method}, got nothing, and {several if names else none}")


def _method_of(recipe: str, overrides: list[str] | None = None) -> str:
    """The method that a recipe names, unchecked."""
    return str(read_toml(find_packaged("recipes", recipe), overrides or []).get("method", ""))


def _summary_of(recipe: str) -> str:
    return str(read_toml(find_packaged("recipes", recipe)).get("summary", ""))


def _tables(model: type[BaseModel], name: str) -> Iterator[dict[str, Any]]:
    """The settings of a configuration, table by table as in a recipe; where one of several fits, all are given."""
    nested = {key: _models(field.annotation) for key, field in model.model_fields.items()}
    settings = [
        {
            "name": key,
            "required": field.is_required(),
            "default": None
            if field.is_required()
            else to_jsonable_python(field.get_default(call_default_factory=True)),
            "description": " ".join((field.description or "").split()),
        }
        for key, field in model.model_fields.items()
        if not nested[key]
    ]
    yield {"table": name, "about": (inspect.getdoc(model) or "").partition("\n")[0], "settings": settings}
    for key, kinds in nested.items():
        for kind in kinds:
            yield from _tables(kind, f"{name}.{key}")


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The configurations that a field may hold: none, one, or several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _value(setting: Mapping[str, Any]) -> str:
    if setting["required"]:
        return "needed"
    return "nothing" if setting["default"] is None else jsonlib.dumps(setting["default"])
