"""The commands of ``charlstm``: a command's module is imported, and its options built, only when the command is used.

Importing all of them takes longer than most of them do.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from charlstm.cli.room import NUMPY, check_room

LINES = {
    "train": "Train a network on a text; it writes like it afterwards.",
    "sample": "Write text in the style of what a model has learnt.",
    "write": "Write a text together with a model.",
    "fill": "Fill the blanks in a text.",
    "serve": "Open networks to a browser and to programs, on this machine.",
    "eval": "Score a text: nats, bits per character and byte, perplexity.",
    "report": "Show how a training went: its curves, and what it wrote.",
    "inspect": "Look into a network: its gates, units, memory and surprise.",
    "originality": "Find what a text copies from the training text.",
    "export": "Write a network as an ONNX file, or as a program of NumPy.",
    "tune": "Search for the settings that learn a text best.",
    "checkpoints": "List, check, compare, copy and remove checkpoints.",
    "corpora": "List, show, fetch, measure, check and clean up texts.",
    "lab": "Compare the recurrent cells in small experiments.",
    "doctor": "Show versions and devices, and whether everything works here.",
}
"""The commands in the order a newcomer needs them, with the first line of each one's help."""

_MODULES = {"eval": "evaluate", "generate": "sample"}
"""The modules of commands with another name; ``generate`` is not listed."""


class Commands(TyperGroup):
    """The root command."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        names: Any = dict.fromkeys(LINES)
        self.commands = names  # only for suggestions when a name is misspelt; no command is built

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Build the command of that name; None if there is none.

        Args:
            ctx: Typer's context.
            cmd_name: the name as typed.

        Returns:
            The command, or None.

        Raises:
            MemoryError: there is no room for what all commands load.
        """
        if cmd_name not in LINES and cmd_name not in _MODULES:
            return None
        if "numpy" not in sys.modules:
            check_room(NUMPY)
        command = typer.main.get_command(import_module(f"charlstm.cli.commands.{_MODULES.get(cmd_name, cmd_name)}").app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands without building them.

        Args:
            ctx: Typer's context.
            formatter: Typer's writer of help pages.
        """
        with formatter.section("Commands"):
            formatter.write_dl(list(LINES.items()))
