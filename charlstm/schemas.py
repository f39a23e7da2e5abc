"""Settings as frozen structs: declared once, checked strictly, every fault one line that names the setting.

A schema's annotations are all there is: types, ranges (``Meta(ge=1)``) and a sentence for people
(``Meta(description=…)``). Files are checked against them, and the options of the command line are made from them.
A whole number is never taken for ``True``, a text never for a number.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from charlstm.errors import ConfigError


class Schema(msgspec.Struct, frozen=True, forbid_unknown_fields=True, repr_omit_defaults=True):
    """The base of all settings. Create one with `parse`: calling the class does not check its values."""


S = TypeVar("S", bound=Schema)

PositiveInt = Annotated[int, Meta(ge=1, le=1 << 31)]
Fraction = Annotated[float, Meta(ge=0.0, lt=1.0)]
PositiveFloat = Annotated[float, Meta(gt=0.0, le=1e9)]


class Setting(NamedTuple):
    """One field of a schema, as people meet it."""

    name: str
    type: Any
    """Without ``None`` and without `Meta`: ``int``, ``float``, ``bool``, ``str``, ``tuple`` or a ``Literal``."""
    default: Any
    """`msgspec.NODEFAULT` if it must be given."""
    help: str
    choices: tuple[Any, ...]
    """The values of a ``Literal``; empty otherwise."""


def parse(kind: type[S], values: Mapping[str, Any], where: object = "") -> S:
    """Check plain values and make a schema of them.

    Args:
        kind: the schema.
        values: by name; what is missing takes its default.
        where: the file or place the values come from, for the message.

    Raises:
        ConfigError: a name that the schema does not have, a value of another type or out of range, or values that
            exclude each other.
    """
    strange = [name for name in values if name not in kind.__struct_fields__]
    if strange:
        raise ConfigError(no_such_setting(strange[0], kind.__struct_fields__), where=where)
    try:
        return msgspec.convert(dict(values), kind)
    except msgspec.ValidationError as fault:
        raise ConfigError(_explain(str(fault), kind, values), where=where) from fault


def no_such_setting(name: object, known: tuple[str, ...] | list[str]) -> str:
    """The fault of a misspelt setting, with the names that come closest."""
    close = difflib.get_close_matches(str(name), known, n=2)
    meant = f"; did you mean {' or '.join(close)}?" if close else ""
    return f"there is no setting {str(name)!r:.60}{meant}"


def settings_of(kind: type[Schema]) -> list[Setting]:
    """The fields of a schema in their order."""
    hints = get_type_hints(kind, include_extras=True)
    found = []
    for field in msgspec.structs.fields(kind):
        plain, description = _unwrapped(hints[field.name])
        choices = get_args(plain) if get_origin(plain) is Literal else ()
        found.append(Setting(field.name, plain, field.default, description, choices))
    return found


def to_plain(schema: Schema) -> dict[str, Any]:
    """The values by name, ready for JSON; tuples stay tuples."""
    plain: dict[str, Any] = msgspec.to_builtins(schema)
    return plain


def _unwrapped(annotation: Any) -> tuple[Any, str]:
    """A type without its `Meta` and its ``None``, and the sentence in it."""
    description = ""
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *extras = get_args(annotation)
            description = next((meta.description for meta in extras if meta.description), description)
        elif get_origin(annotation) in (Union, UnionType):
            (annotation,) = (option for option in get_args(annotation) if option is not type(None))
        else:
            return annotation, description


_WORDS = {
    "`int`": "a whole number",
    "`float`": "a number",
    "`bool`": "true or false",
    "`str`": "a text",
    "`array`": "a list",
    "`null`": "nothing",
    "`object`": "a table",
}


def _explain(message: str, kind: type[Schema], values: Mapping[str, Any]) -> str:
    """A fault in msgspec's words, as ``Expected `int` >= 1 - at `$.hidden_size```, as one plain line."""
    rule, _, path = message.partition(" - at `$.")
    name = re.split(r"[.\[`]", path)[0]
    if not name:  # values that exclude each other, or one that is missing
        missing = re.search(r"missing required field `(\w+)`", message)
        return f"{missing[1]} is missing" if missing else message
    choices = next((setting.choices for setting in settings_of(kind) if setting.name == name), ())
    if choices:
        rule = f"must be one of {', '.join(map(str, choices))}"
    else:
        rule = re.sub(r", got .*", "", rule).replace("Expected ", "must be ").replace(" | ", " or ")
        for word, meaning in _WORDS.items():
            rule = rule.replace(word, meaning)
    return f"{name} = {values.get(name)!r:.60}: {rule}"
