"""Settings in and out of TOML files."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charlstm.config import SECTIONS, check_partial
from charlstm.errors import ConfigError, NotFoundError
from charlstm.schemas import as_in_file

_LARGEST = 1_000_000  # bytes
_DEEP_KEY = re.compile(r"""(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*\.[ \t]*){99}""")
"""A hundred parts: more than any file name in a value has, and still quickly parsed."""


def read_settings(path: Path) -> dict[str, dict[str, Any]]:
    """The settings a TOML file names, by section; all others stay open for the automatic choice.

    Raises:
        NotFoundError: there is no such file.
        ConfigError: the file is no TOML, or has a setting that there is not or that cannot be.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise ConfigError(f"more than {_LARGEST:,} bytes are no settings", where=path)
        text = data.decode("utf-8")
        if _DEEP_KEY.search(text):  # the parser takes gigabytes for one of thousands of parts
            raise ConfigError("a key has more than two parts, a section and a setting", where=path)
        tables = tomllib.loads(text)
    except FileNotFoundError as fault:
        raise NotFoundError("no such settings file", where=path) from fault
    except (ValueError, OSError, RecursionError) as fault:  # a ValueError also for numbers of thousands of digits
        raise ConfigError(f"cannot be read as TOML ({fault})", where=path) from fault
    tables.pop("name", None)
    sections = "The sections are [model], [data] and [train]."
    for section, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigError(f"{section} stands in no section", where=path, hint=sections)
        if section not in SECTIONS:
            raise ConfigError(f"there is no section [{section}]", where=path, hint=sections)
        try:
            check_partial(section, table)
        except ConfigError as fault:
            raise ConfigError(as_in_file(fault.what), where=f"{path}, [{section}]") from fault
    return tables


def to_toml(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """Some settings, by section, as TOML that `read_settings` reads; a setting that is None is left out."""
    import tomli_w  # only here: few commands write settings

    return tomli_w.dumps(
        {
            section: {name: value for name, value in values.items() if value is not None}
            for section, values in sections.items()
        }
    )
