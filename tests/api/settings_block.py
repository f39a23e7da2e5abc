"""What `charlstm/api/settings.py` must say, made from the schemas: ``python -m tests.api.settings_block`` writes it."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from charlstm.api import settings
from charlstm.api.train import DURATIONS
from charlstm.config import SECTIONS, settings_in
from charlstm.schemas import Setting

FILE = Path(settings.__file__)
MARK = "    # Generated from the schemas: see tests/api/settings_block.py.\n"


def block() -> str:
    """The fields of the `TypedDict`, each with its help."""
    return "".join(map(_field, (setting for section in SECTIONS for setting in settings_in(section)))).rstrip() + "\n"


def current() -> str:
    """What the file says."""
    return FILE.read_text("utf-8").partition(MARK)[2]


def _field(setting: Setting) -> str:
    if setting.name == "sources":  # the arguments before the settings
        return ""
    kind = f"{_spelled(setting.type)}{' | str' * (setting.name in DURATIONS)} | None"
    raw = "r" * ("\\" in setting.help)
    sentence = f'{raw}"""{setting.help}"""'
    if len(sentence) > 116:
        sentence = f'{raw}"""{setting.help}\n"""'
    return textwrap.indent(f"{setting.name}: {kind}\n{sentence}\n\n", "    ").replace("\n\n", "\n")


def _spelled(kind: Any) -> str:
    if get_origin(kind) is Annotated:
        return _spelled(get_args(kind)[0])
    if get_origin(kind) is tuple:
        return f"tuple[{_spelled(get_args(kind)[0])}, ...]"
    if get_origin(kind) is None:
        return kind.__name__
    return f"Literal[{', '.join(map(_quoted, get_args(kind)))}]"


def _quoted(choice: str) -> str:
    return f'"{choice}"'


if __name__ == "__main__":
    FILE.write_text(FILE.read_text("utf-8").partition(MARK)[0] + MARK + block(), "utf-8")
