"""Options checked by pydantic, and every problem with them in our words: key, what was expected, what came.

Recipes, networks and classical restorers all refuse bad settings through here, so a message reads the same everywhere.
"""

from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from restorekit.errors import did_you_mean

__all__ = ["check_options", "expected_value"]

Checked = TypeVar("Checked", bound=BaseModel)


def check_options(model: type[Checked], values: Mapping[str, Any], *, prefix: str = "") -> Checked | list[str]:
    """The checked model, or one line for each problem.

    Args:
        model: what the values must fit; unknown keys are refused if its config says so.
        values: as they come from a file or a command line; numbers may be text.
        prefix: put before every key in the lines, such as ``config.``.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        return [_problem(model, detail, prefix) for detail in error.errors()]


def expected_value(field: FieldInfo) -> str | None:
    """What a number may be, for example "a number at least 0 and at most 100, or nothing"; None for other fields."""
    annotation = field.annotation
    kinds: Sequence[Any] = get_args(annotation) if get_origin(annotation) is UnionType else (annotation,)
    if not {int, float} & set(kinds):
        return None
    kind = "a whole number" if int in kinds else "a number"
    bounds = [_bound(item) for item in field.metadata]
    optional = ", or nothing" if NoneType in kinds else ""
    return " ".join([kind, " and ".join(bound for bound in bounds if bound)]).strip() + optional


def _problem(model: type[BaseModel], detail: ErrorDetails, prefix: str) -> str:
    """One refused value; keys of nested tables are joined with dots, items of lists have their index."""
    location = [str(part) for part in detail["loc"]]
    key = prefix + ".".join(location)
    owner = _owner(model, location[:-1])
    if detail["type"] == "extra_forbidden":
        valid = list(owner.model_fields)
        better = did_you_mean(location[-1], valid) or "; remove it"
        return f"{key}: unknown key; expected one of {', '.join(valid)}{better}"
    if detail["type"] == "missing":
        return f"{key}: missing"
    if detail["type"] == "value_error":
        message = detail["msg"].removeprefix("Value error, ")
        return f"{key}: {message}" if location else f"{prefix}{message}"  # of the whole: the message names the key
    field = owner.model_fields.get(location[-1])
    message = detail["msg"].removeprefix("Input should be ")
    expected = (expected_value(field) if field else None) or f"{message[:1].lower()}{message[1:]}"
    return f"{key}: expected {expected}, got {detail['input']!r}"


def _owner(model: type[BaseModel], location: Sequence[str]) -> type[BaseModel]:
    """The (nested) model that a location lies in; list indices are stepped over."""
    for part in location:
        if part not in model.model_fields:
            continue
        annotation = model.model_fields[part].annotation
        nested = [kind for kind in (annotation, *get_args(annotation)) if _is_model(kind)]
        if nested:
            model = nested[0]
    return model


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _bound(constraint: object) -> str:
    """One limit in words."""
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    for attribute, word in words.items():
        if hasattr(constraint, attribute):
            return f"{word} {getattr(constraint, attribute):g}"
    return ""
