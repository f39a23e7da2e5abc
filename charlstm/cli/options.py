"""Options that several commands share, and how values are typed."""

from __future__ import annotations

import dataclasses
import inspect
import re
import shutil
from collections.abc import Callable, Iterator
from functools import wraps
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import typer
from typer.core import TyperCommand

from charlstm.durations import seconds as seconds
from charlstm.errors import UsageError

PLACES = "Machine and folders"
"""The heading they stand under where a command's help has headings."""


def expanded(folder: Path | None) -> Path | None:
    """A folder, with ``~`` at its beginning as the home folder: a shell leaves it as it is in ``--root=~/runs``."""
    try:
        return None if folder is None else folder.expanduser()
    except RuntimeError:  # no such user
        return folder


Root = Annotated[
    Path,
    typer.Option(
        "--root",
        envvar="CHARLSTM_CHECKPOINTS",
        metavar="FOLDER",
        help="The folder runs are kept in.",
        callback=expanded,
        rich_help_panel=PLACES,
        readable=False,
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        envvar="CHARLSTM_CACHE",
        metavar="FOLDER",
        help="Where encoded texts and fetched corpora are kept. [default: this system's cache folder]",
        callback=expanded,
        rich_help_panel=PLACES,
    ),
]
DEFAULT_ROOT = Path("checkpoints")
ShortName = Annotated[str | None, typer.Option("-n", hidden=True)]
"""An earlier spelling of ``--name``: elsewhere ``-n`` is a number of texts."""

# ---- shared by sample, write and fill -----------------------------------------------------------------------------

Model = Annotated[
    str | None,
    typer.Argument(
        metavar="CHECKPOINT",
        help="A run's name, a folder, a file, 'latest' or 'starter'. [default: the newest run, else the starter]",
        show_default=False,
    ),
]
Mix = Annotated[
    str | None,
    typer.Option(
        "--mix",
        metavar="NAME:WEIGHT,…",
        help="Several networks together, instead of one; without weights they have equal ones.",
    ),
]
PromptFile = Annotated[Path | None, typer.Option("--prompt-file", metavar="FILE", help="Continue the text of a file.")]
_OWN = "[default: what is stored with the network]"
RepetitionPenalty = Annotated[
    float, typer.Option("--repetition-penalty", help="Above 1 makes the last 64 tokens less likely; 1 is off.")
]
TopK = Annotated[int, typer.Option("--top-k", help="Keep only the k likeliest tokens; 0 is off.")]
TopP = Annotated[
    float | None,
    typer.Option(
        "--top-p",
        help=f"Then keep only the fewest likeliest that add up to this probability; 1 is off. {_OWN}",
        show_default=False,
    ),
]
MinP = Annotated[
    float | None,
    typer.Option(
        "--min-p",
        help=f"Then keep only those at least this many times as likely as the likeliest; 0 is off. {_OWN}",
        show_default=False,
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        "--temperature",
        "-t",
        help=f"Low is careful, high is wild; 0 always takes the likeliest. {_OWN}",
        show_default=False,
    ),
]
NoRepeat = Annotated[
    int | None,
    typer.Option(
        "--no-repeat",
        help=f"Going on with a passage of more tokens that was written before is less likely; 0 is off. {_OWN}",
        show_default=False,
    ),
]
LongestRun = Annotated[
    int | None,
    typer.Option("--longest-run", help=f"Equal tokens in a row, at most; 0 is off. {_OWN}", show_default=False),
]
Unfiltered = Annotated[
    bool, typer.Option("--unfiltered", help="The network's own distribution: temperature 1, nothing removed.")
]
Source = Annotated[
    list[str] | None,
    typer.Option("--source", metavar="TEXT", help="The training text, if it is not where it was; may be repeated."),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", help="0 to 2^64 - 1; the same seed and inputs give the same text. [default: random]"),
]
Unknown = Annotated[
    str,
    typer.Option(
        "--unknown", help="Characters outside the model's alphabet: error, skip, or map to the nearest known ones."
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option("--encoding", metavar="NAME", help="Encoding of the text if it is not UTF-8; auto guesses it."),
]
BadBytes = Annotated[
    Literal["error", "replace", "skip"],
    typer.Option("--bad-bytes", help="Bytes that do not fit the encoding: error, replace by U+FFFD, or skip."),
]
Precision = Annotated[
    Literal["fp32", "int8"] | None,
    typer.Option(
        "--precision",
        envvar="CHARLSTM_PRECISION",
        help="int8 is faster; taken for wide networks if numkong is installed.",
        show_default=False,
    ),
]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1 or mps.")]


def hidden(kind: Any, *names: str) -> Any:
    """An option that works and is not shown: the name another program has for it."""
    return Annotated[kind, typer.Option(*names, hidden=True)]


def gathered(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take options that belong together as one value.

    Args:
        command: each parameter whose type is a dataclass receives one, made of the options that its fields declare.

    Returns:
        The function to register with Typer. In its help its own options stand first, then those of its groups, and
        the folders last.
    """
    signature = inspect.signature(command, eval_str=True)
    shared = {name: each.annotation for name, each in signature.parameters.items() if _is_group(each.annotation)}

    @wraps(command)
    def run(**values: Any) -> None:
        groups = {
            name: group(**{field.name: values.pop(field.name) for field in dataclasses.fields(group)})
            for name, group in shared.items()
        }
        command(**groups, **values)

    parameters = sorted(signature.parameters.values(), key=lambda each: each.name in shared)
    made = [one for each in parameters for one in _options_in(each)]
    made.sort(key=lambda one: _heading(one.annotation) == PLACES)
    run.__signature__ = signature.replace(parameters=made)  # type: ignore[attr-defined]
    return run


def _heading(annotation: Any) -> str | None:
    """The heading of an option in a command's help; None without one, and for Typer's context."""
    heading: str | None = annotation.__metadata__[0].rich_help_panel if hasattr(annotation, "__metadata__") else None
    return heading


def _is_group(annotation: Any) -> bool:
    return isinstance(annotation, type) and dataclasses.is_dataclass(annotation)


def _options_in(parameter: Parameter) -> Iterator[Parameter]:
    """A parameter of a command; or those that stand for it, if it is a dataclass of options."""
    if not _is_group(parameter.annotation):
        yield parameter.replace(kind=Parameter.KEYWORD_ONLY)
        return
    types = get_type_hints(parameter.annotation, include_extras=True)
    for field in dataclasses.fields(parameter.annotation):
        yield Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=types[field.name])


EXTRA_WORDS = {"allow_extra_args": True}
"""The context settings of a command that checks words after its arguments itself, to say what they should be."""


def one_command() -> typer.Typer:
    """The home of a module's only command."""
    return typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)


class Sections(TyperCommand):
    """A command with so many options that its help lists them under headings: each one's `rich_help_panel`."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the page, no wider than the terminal: the parser's own least width is 50.

        Args:
            ctx: Typer's context.
            formatter: receives the page.
        """
        formatter.width = max(20, min(formatter.width, shutil.get_terminal_size().columns - 2))
        super().format_help(ctx, formatter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections in the order of their first options.

        Help texts stand in one column beside all options, or below each option where the terminal is narrow.

        Args:
            ctx: Typer's context.
            formatter: receives the sections.
        """
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                kind = "Arguments" if parameter.param_type_name == "argument" else "Others"
                heading = getattr(parameter, "rich_help_panel", None) or kind
                sections.setdefault(heading, []).append((_short(record[0]), record[1]))
        width = max(len(name) for records in sections.values() for name, _ in records)
        beside = formatter.width - width >= _TEXT_WIDTH
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(
                    [(name.ljust(width) if beside else name, text) for name, text in records],
                    col_max=width if beside else 4,
                )


_TEXT_WIDTH = 40
"""The least columns of help texts beside the options."""


def _short(name: str) -> str:
    """Shorten ``--skip / --no-skip`` to ``--[no-]skip``, and ``TEXT <list[str]>`` to ``TEXT``."""
    return re.sub(r"--([\w-]+) / --no-\1", r"--[no-]\1", name).removesuffix(" <list[str]>")


def cache_or_default(cache: Path | None) -> Path:
    """The cache folder given, or the system's."""
    from charlstm.paths import cache_folder

    return cache if cache is not None else cache_folder()


def numbers(text: str) -> tuple[int, ...]:
    """Parse a list of whole numbers as a person types it: ``3,6``; ``0`` is none.

    Raises:
        UsageError: it is not such a list.
    """
    if text.strip() == "0":
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as fault:
        raise UsageError(f"{text!r} is not a list of whole numbers", hint="Write it like 3,6; 0 is none.") from fault
