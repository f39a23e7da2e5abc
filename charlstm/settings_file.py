"""Settings in and out of TOML files, and what is wrong with them in one line."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from charlstm.config import SECTIONS, S
from charlstm.errors import ConfigError, IncompatibleError, NotFoundError


def kept(kind: type[S], values: Mapping[str, Any], where: object = "") -> S:
    """Settings as a checkpoint has kept them.

    Args:
        kind: what they are.
        values: all of them.
        where: the file.

    Raises:
        IncompatibleError: a newer version has kept them, or a file without a digest was changed.
    """
    try:
        return kind(**values)
    except ValidationError as fault:
        what = f"settings that are not known here: {explain(fault)}"
        hint = "A newer charlstm may know them: update it. Whether a file is damaged tells: charlstm checkpoints verify"
        raise IncompatibleError(what, where=where, hint=hint) from fault


def read_settings(path: Path) -> dict[str, dict[str, Any]]:
    """The settings a TOML file names, by section; the rest stays open for the automatic choice.

    Raises:
        NotFoundError: there is no such file.
        ConfigError: the file is no TOML, or names a setting there is not.
    """
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as fault:
        raise NotFoundError("no such settings file", where=path) from fault
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as fault:
        raise ConfigError(f"not readable as TOML ({fault})", where=path) from fault
    tables.pop("name", None)
    for section, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigError(
                f"{section} stands in no section", where=path, hint="Put it below [model], [data] or [train]."
            )
        if section not in SECTIONS:
            raise ConfigError(f"no section [{section}]", where=path, hint="There are [model], [data] and [train].")
        check_partial(section, table, where=f"{path}, [{section}]")
    return tables


def check_partial(section: str, values: dict[str, Any], *, where: str = "") -> None:
    """Check the settings given, without asking for the ones that are not.

    Raises:
        ConfigError: a name or a value that cannot be.
    """
    kind = SECTIONS[section]
    needed = {"vocab_size": 1} if section == "model" else {}
    try:
        kind(**{**needed, **values})
    except ValidationError as fault:
        raise ConfigError(explain(fault), where=where) from fault


def explain(fault: ValidationError) -> str:
    """Pydantic's faults as one plain line: the setting, what was given, what it must be."""
    lines = []
    for error in fault.errors():
        name = ".".join(str(part) for part in error["loc"])
        if error["type"] == "extra_forbidden":
            lines.append(f"there is no setting {name!r}")
        elif not name:  # settings that do not go together
            lines.append(error["msg"].removeprefix("Value error, "))
        else:
            rule = error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
            if error["type"] != "literal_error":  # those are lists of what can be; the others end with asides
                rule = rule.partition(", ")[0]
            lines.append(f"{name} = {error['input']!r}: {rule}")
    return "; ".join(lines)


def tables_to_toml(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Some settings, by section, as TOML that `read_settings` takes back; a setting that is None is left out."""
    lines: list[str] = []
    for section, values in tables.items():
        lines += ["", f"[{section}]"]
        lines += [f"{name} = {_toml_value(value)}" for name, value in values.items() if value is not None]
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    if isinstance(value, str):
        escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in value)
        return f'"{escaped}"'
    return repr(value)
