"""Settings as frozen structs, declared once and checked strictly; an error is one line that names the setting.

The annotations of a schema are the whole declaration: types, ranges (``Meta(ge=1)``) and a sentence of help
(``Meta(description=…)``). Settings files are checked against them, and command-line options are generated from them.
Types are never coerced: an integer is not accepted as a Boolean, nor a string as a number.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from numbers import Integral, Real
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from charlstm.errors import ConfigError, UsageError


class Schema(msgspec.Struct, frozen=True, forbid_unknown_fields=True, repr_omit_defaults=True):
    """The base class of all settings. Create instances with `parse`: the constructor does not check values."""


S = TypeVar("S", bound=Schema)

PositiveInt = Annotated[int, Meta(ge=1, le=1 << 31)]
Fraction = Annotated[float, Meta(ge=0.0, lt=1.0)]
PositiveFloat = Annotated[float, Meta(gt=0.0, le=1e9)]


class Setting(NamedTuple):
    """One field of a schema, as users see it."""

    name: str
    type: Any
    """The type without ``None`` and `Meta`: ``int``, ``float``, ``bool``, ``str``, ``tuple`` or a ``Literal``; a union
    of several as it is."""
    default: Any
    """`msgspec.NODEFAULT` for a required setting."""
    help: str
    choices: tuple[Any, ...]
    """The values of a ``Literal``; empty otherwise."""


def parse(kind: type[S], values: Mapping[str, Any], where: object = "") -> S:
    """Check plain values and create an instance of a schema from them.

    Args:
        kind: the schema class.
        values: values by name; a missing one takes its default.
        where: the file or place the values come from, for the error message.

    Returns:
        The instance.

    Raises:
        ConfigError: an unknown name, a value of the wrong type or out of range, or values that exclude each other.
    """
    known = kind.__struct_encode_fields__
    unknown = [name for name in values if name not in known]
    if unknown:
        raise ConfigError(no_such_setting(unknown[0], known), where=where)
    try:
        return msgspec.convert(dict(values), kind)
    except msgspec.ValidationError as fault:
        raise ConfigError(_explain(str(fault), kind, values), where=where) from fault
    except UnicodeError as fault:
        raise ConfigError("a name in a table holds half of a surrogate pair", where=where) from fault


def no_such_setting(name: object, known: tuple[str, ...] | list[str]) -> str:
    """Return the message for an unknown setting, with the most similar names.

    Args:
        name: the unknown name.
        known: all valid names.

    Returns:
        The message, without a full stop.
    """
    close = difflib.get_close_matches(str(name), known, n=2, cutoff=0.7)
    meant = f"; did you mean {' or '.join(close)}?" if close else ""
    return f"there is no setting {str(name)!r:.60}{meant}"


def bad_value(name: str, value: object, rule: str) -> str:
    """The fault of a setting's value: ```hidden_size=0` must be a whole number of at least 1``.

    Args:
        name: the setting.
        value: what it is.
        rule: what it must be.
    """
    try:
        text = repr(value).replace("`", "'")
    except ValueError:  # Python refuses to print a whole number of more than 4,300 digits
        text = "…"
    shown = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    return f"`{name}={shown}` must be {rule}"


def require(name: str, value: object, holds: bool, rule: str) -> None:
    """Check a setting.

    Args:
        name: the setting.
        value: its value, for the message.
        holds: whether the value is allowed.
        rule: what it must be, as the end of a sentence.

    Raises:
        UsageError: ``holds`` is false.
    """
    if not holds:
        raise UsageError(bad_value(name, value, rule))


def require_whole(name: str, value: object) -> None:
    """Check that a setting is a whole number.

    Args:
        name: the setting.
        value: its value.

    Raises:
        UsageError: it is not; True is none.
    """
    require(name, value, isinstance(value, Integral) and not isinstance(value, bool), "a whole number")


def require_number(name: str, value: object) -> None:
    """Check that a setting is a number.

    Args:
        name: the setting.
        value: its value.

    Raises:
        UsageError: it is not; True is none, and none is a whole number larger than any float.
    """
    require(name, value, isinstance(value, Real) and not isinstance(value, bool) and _fits(value), "a number")


def require_flag(name: str, value: object) -> None:
    """Check that a setting is true or false.

    Args:
        name: the setting.
        value: its value.

    Raises:
        UsageError: it is something else, a number for example.
    """
    require(name, value, isinstance(value, bool), "True or False")


def _fits(value: Real) -> bool:
    """Whether a float can hold a number."""
    try:
        float(value)
    except OverflowError:
        return False
    return True


def as_in_file(message: str) -> str:
    """A message about settings in a file: without the backticks of which the command line makes options."""
    return _BACKTICKS.sub(r"\1", message)


_SHOWN = 40  # characters of a wrong value that a message repeats
_BACKTICKS = re.compile(r"`([^`]*)`")


def settings_of(kind: type[Schema]) -> list[Setting]:
    """Return the fields of a schema, in order."""
    hints = get_type_hints(kind, include_extras=True)
    settings = []
    for field in msgspec.structs.fields(kind):
        plain, description = _unwrapped(hints[field.name])
        choices = get_args(plain) if get_origin(plain) is Literal else ()
        settings.append(Setting(field.name, plain, field.default, description, choices))
    return settings


def to_plain(schema: Schema) -> dict[str, Any]:
    """Return the values by name, ready for JSON; tuples stay tuples."""
    plain: dict[str, Any] = msgspec.to_builtins(schema)
    return plain


def _unwrapped(annotation: Any) -> tuple[Any, str]:
    """Return a type without `Meta` and ``None``, and its description."""
    description = ""
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *extras = get_args(annotation)
            description = next((meta.description for meta in extras if meta.description), description)
        elif get_origin(annotation) in (Union, UnionType):
            options = [option for option in get_args(annotation) if option is not type(None)]
            if len(options) > 1:
                return annotation, description
            (annotation,) = options
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
    ">=": "of at least",
    "<=": "of at most",
    ">": "above",
    "<": "below",
}


def _explain(message: str, kind: type[Schema], values: Mapping[str, Any]) -> str:
    """Translate a message of msgspec, such as ``Expected `int` >= 1 - at `$.hidden_size```, into one plain line."""
    rule, _, path = message.partition(" - at `$.")
    name = re.split(r"[.\[`]", path)[0]
    if missing := re.search(r"missing required field `(\w+)`", message):
        return f"`{missing[1]}` is missing"
    if unknown := re.search(r"contains unknown field `(.*)`", rule):
        return f"{no_such_setting(unknown[1], ())} in `{name}`"
    if not name:  # values that exclude each other
        return message
    choices = next((setting.choices for setting in settings_of(kind) if setting.name == name), ())
    if choices:
        return bad_value(name, values.get(name), f"one of {', '.join(map(str, choices))}")
    rule = re.sub(r", got .*", "", rule).replace("Expected ", "").replace(" | ", "` or `").replace(" of length", "")
    rule = re.sub(r"\.0$", "", rule)
    for word, meaning in _WORDS.items():
        rule = rule.replace(word, meaning)
    return bad_value(name, values.get(name), rule)
