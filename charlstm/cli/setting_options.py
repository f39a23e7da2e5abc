"""The options of settings, made from the schemas of `config`: a setting declared there is an option here.

The tables below hold only what the schemas do not know: headings, which values are typed as times, older spellings,
and which settings are chosen automatically. A setting in none of them stands under the heading of its section.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from inspect import Parameter
from typing import Annotated, Any, get_origin

import typer

from charlstm.cli.options import PLACES, numbers, seconds
from charlstm.cli.spelling import as_option
from charlstm.config import SECTIONS, settings_in
from charlstm.errors import UsageError
from charlstm.nn.side_inputs import SIDE_INPUTS
from charlstm.nn.side_inputs.base import TextFacts
from charlstm.schemas import Setting

GOAL = "What to train, and for how long"
OUTPUT = "Progress and output"

_HEADINGS = {
    GOAL: ("max_time", "max_steps", "epochs"),
    OUTPUT: ("preview", "eval_every", "patience", "save_every"),
    "Reading the text": (
        "encoding",
        "bad_bytes",
        "newlines",
        "records",
        "tokenizer",
        "vocab_size",
        "min_count",
        "val_fraction",
    ),
    "The network": (),
    "The batches": (),
    "The optimizer": (),
    PLACES: ("seed", "device", "precision", "threads"),
}
"""The headings of the help page in their order, with the settings that stand under another than their section's."""

_HEADING_OF_SECTION = {"model": "The network", "data": "The batches", "train": "The optimizer"}

_TIMES = {"max_time", "save_every"}
"""Settings in seconds that are typed with a unit: ``5m``."""

_ALIASES = {
    "hidden_size": ("rnn_size",),
    "attention_window": ("attention",),
    "skip_connections": ("skip",),
    "ngram_buckets": ("ngram_rows",),
    "match_orders": ("recall",),
    "match_slots": ("recall_rows",),
    "seq_len": ("seq_length", "bptt"),
    "reset_prob": ("state_reset",),
    "lr": ("learning_rate",),
    "ema_decay": ("average",),
}
"""Earlier names of settings, and those of other programs: accepted, but not shown."""

_FLAGS = {"attention": 256}
"""Aliases without a value, and the value they stand for."""

_AUTOMATIC = {
    *("max_time", "epochs", "eval_every", "patience", "records", "val_fraction", "device", "precision"),
    *("hidden_size", "num_layers", "ensemble", "cell", "embedding_size", "skip_connections", "dropout", "weight_drop"),
    *("batch_size", "seq_len", "streams", "optimizer", "lr", "warmup", "beta2", "weight_decay"),
}
"""Settings that `training.plan` chooses, besides those of side inputs: their defaults are not what a user gets."""

Settings = dict[str, dict[str, Any]]
"""Settings that were given, by section and name."""


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each setting of a run, and an argument for the text.

    Args:
        command: it receives the settings that were given as ``settings``, and its other parameters from Typer.

    Returns:
        The function to register with Typer.
    """
    schema = [(section, setting) for section in SECTIONS for setting in settings_in(section)]
    signature = inspect.signature(command, eval_str=True)
    own = [parameter for name, parameter in signature.parameters.items() if name != "settings"]
    made = [parameter for section, setting in schema for parameter in _parameters(section, setting)]

    @wraps(command)
    def run(**values: Any) -> None:
        settings: Settings = {section: {} for section in SECTIONS}
        for section, setting in schema:
            for name in _names(setting):  # its own name first: it overrides the aliases
                value = values.pop(name)
                if value is not None and value != []:
                    settings[section].setdefault(setting.name, _parsed(setting, name, value))
        command(settings=settings, **values)

    keyword_only = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in (*made, *own)]
    run.__signature__ = signature.replace(parameters=sorted(keyword_only, key=_place))  # type: ignore[attr-defined]
    return run


def _names(setting: Setting) -> tuple[str, ...]:
    return (setting.name, *_ALIASES.get(setting.name, ()))


def _place(parameter: Parameter) -> int:
    """Where a parameter stands on the help page: arguments first, then heading by heading."""
    (shown,) = parameter.annotation.__metadata__
    return -1 if shown.rich_help_panel is None else list(_HEADINGS).index(shown.rich_help_panel)


def _parameters(section: str, setting: Setting) -> Iterator[Parameter]:
    """The option of a setting and its hidden aliases; the argument that is ``sources``."""
    help_text = _help(setting)
    if setting.name == "sources":
        text = typer.Argument(metavar="TEXT", help=help_text, show_default=False)
        yield _optional("sources", list[str], text)
        return
    listed = (heading for heading, names in _HEADINGS.items() if setting.name in names)
    heading = next(listed, _HEADING_OF_SECTION[section])
    for name in _names(setting):
        declaration, kind, metavar = as_option(name), setting.type, None
        if name in _FLAGS:
            kind = bool
        elif kind is bool:
            declaration = f"{declaration}/--no-{declaration.removeprefix('--')}"
        elif setting.name in _TIMES:
            kind, metavar = str, "TIME"
        elif get_origin(kind) is tuple:
            kind, metavar = str, "N,N,…"
        elif setting.choices or kind is str:
            metavar = "KIND" if setting.choices else "NAME"
        hidden = name != setting.name
        option = typer.Option(declaration, metavar=metavar, help=help_text, rich_help_panel=heading, hidden=hidden)
        yield _optional(name, kind, option)


def _optional(name: str, kind: Any, shown: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, shown])


def _parsed(setting: Setting, name: str, value: Any) -> Any:
    """The value of a setting, of what was typed for its option ``name``."""
    if name in _FLAGS:
        return _FLAGS[name]
    if setting.name == "sources":
        return tuple(value)
    if setting.name not in _TIMES and get_origin(setting.type) is not tuple:
        return value
    try:
        return seconds(value) if setting.name in _TIMES else numbers(value)
    except UsageError as fault:
        fault.where = as_option(name)
        raise


def _help(setting: Setting) -> str:
    """A setting's sentence, and its default if that is what a user gets."""
    sentence = setting.help
    if setting.name != "sources" and get_origin(setting.type) is tuple:
        sentence += " 0: none."
    automatic = setting.name in _AUTOMATIC or setting.name in _chosen_by_side_inputs()
    if automatic or setting.default is None or isinstance(setting.default, bool):
        return sentence
    return f"{sentence} [default: {_typed(setting)}]"


def _typed(setting: Setting) -> str:
    """A setting's default as a person types it."""
    if get_origin(setting.type) is tuple:
        return ",".join(map(str, setting.default)) or "0"
    return f"{setting.default:g}s" if setting.name in _TIMES else str(setting.default)


def _chosen_by_side_inputs() -> set[str | None]:
    any_text = TextFacts(train_tokens=1_000_000, effective_vocab_size=64, device="cpu")
    return {name for kind in SIDE_INPUTS.values() for name in (*kind.plan(any_text), kind.dropout_setting)}
