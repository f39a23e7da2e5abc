"""What can be typed after ``charlstm``: each command's module is imported, and its options built, when it is asked for.

All of them together take longer than what most of them do first.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

LINES = {
    "train": "Train a network on a text; it writes like it afterwards.",
    "sample": "Write text in the style of what a model has learnt.",
    "write": "Write a text together with a model.",
    "fill": "Fill the blanks in a text.",
    "eval": "Score a text: nats, bits per character and byte, perplexity.",
    "tune": "Search for the settings that learn a text best.",
    "checkpoints": "List, check, compare, copy and remove checkpoints.",
    "corpora": "List, show, fetch, measure, check and clean up texts.",
    "lab": "Train the kinds of networks side by side, and see what holds.",
}
"""The commands in the order a newcomer meets them, and the first line of each one's own help."""

_MODULES = {"eval": "evaluate", "generate": "sample"}
"""Of those that are not called as their module; ``generate`` is not listed."""


class Commands(TyperGroup):
    """The root command."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        names: Any = dict.fromkeys(LINES)
        self.commands = names  # and no commands: only to tell which was meant by a name that is none

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, or None."""
        if cmd_name not in LINES and cmd_name not in _MODULES:
            return None
        command = typer.main.get_command(import_module(f"charlstm.cli.commands.{_MODULES.get(cmd_name, cmd_name)}").app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write their list without building them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(LINES.items()))
