"""The plan of a run, shown before it starts: the settings, the reasons for them, and the cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlstm.cli.spelling import with_options
from charlstm.cli.views.terminal import count, counted, duration, say, size, stdout_console, visible
from charlstm.config import SECTIONS

if TYPE_CHECKING:
    from rich.console import Console

    from charlstm.config import RunConfig
    from charlstm.training.plan.choose import Plan
    from charlstm.training.prepare import Prepared

NARROW = 64
"""Columns below which a reason stands below its setting, not beside it."""


def announce(prepared: Prepared, folder: Path) -> None:
    """Print a few lines about a run on stderr before it starts.

    Args:
        prepared: the run.
        folder: where its files go.
    """
    plan, run = prepared.plan, prepared.plan.run
    share = f"{100 * run.data.val_fraction:.2g} %"
    part = f"{share} of them, from all of the list," if run.data.lists_records else f"the last {share}"
    held_out = f"; {part} are for validation" if run.data.val_fraction else ""
    encoded = prepared.encoded
    text = counted(encoded.characters, "character")
    if encoded.tokenizer.kind == "byte":
        text = counted(encoded.bytes, "byte")
    tokens = "different tokens" if prepared.init is None else "tokens, including those of the initial model"
    say(f"{', '.join(run.data.sources)}: {text}, {run.model.vocab_size} {tokens}{held_out}")
    _say_start(prepared)
    for note in plan.notes:
        say(with_options(note))
    networks = f"{run.model.ensemble} networks" if run.model.ensemble > 1 else "network"
    say(
        f"{networks} {run.model.num_layers}×{run.model.hidden_size} {_kind(run)}, {count(plan.parameters)} weights; "
        f"batch {run.data.batch_size}, window {run.data.seq_len}, lr {run.train.lr:g}, dropout {run.model.dropout:g}; "
        f"{run.train.device} {run.train.precision} (--dry-run shows the reasons)"
    )
    say(f"{_budget(run)}; Ctrl-C stops earlier and saves. Files go to {folder}")


def explain(prepared: Prepared, folder: Path, measure: Callable[[], int | None]) -> None:
    """Print all settings with their reasons, and the cost of the run, on stdout (``--dry-run``).

    Args:
        prepared: the run.
        folder: where its files would go.
        measure: measures the bytes that the run takes; None if that cannot be done.
    """
    _say_start(prepared)
    for note in prepared.plan.notes:
        say(with_options(note))
    console = stdout_console()
    _draw_settings(console, _settings(prepared.plan))
    console.print()
    _draw_costs(console, _costs(prepared.plan, folder, len(prepared.encoded.ids), measure()))


def _say_start(prepared: Prepared) -> None:
    """Say what the run begins from, if the plan has chosen it."""
    start = prepared.start
    if start.from_starter:
        say(with_options(f"begins from the starter: {start.reason} (`init_from=none` begins from nothing)"))
    elif start.reason:
        say(f"begins from nothing: {start.reason}")


def _kind(run: RunConfig) -> str:
    """The kind of network: ``lstm with n-grams up to 4 and match memory``."""
    model = run.model
    kind = f"bidirectional {model.cell}" if model.bidirectional else model.cell
    inputs = " and ".join(side.summary() for side in model.enabled.values())
    return f"{kind} with {inputs}" if inputs else kind


def _budget(run: RunConfig) -> str:
    train = run.train
    parts = [
        f"{duration(train.max_time)}" if train.max_time else "",
        f"{train.max_steps} step{'s' * (train.max_steps != 1)}" if train.max_steps else "",
        f"{train.epochs:g} epoch{'s' * (train.epochs != 1)}" if train.epochs else "",
    ]
    return "training for " + " or ".join(part for part in parts if part)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _settings(plan: Plan) -> Iterator[tuple[str, str, str]]:
    """Each setting with its value and, if it chose itself, why."""
    for section in SECTIONS:
        for name, value in plan.run.to_plain()[section].items():
            if value is not None:
                yield f"{section}.{name}", _shown(value), plan.reasons.get(name, "")


def _costs(plan: Plan, folder: Path, tokens: int, measured: int | None) -> Iterator[tuple[str, str]]:
    yield "text", f"{tokens:,} tokens"
    yield "parameters", f"{plan.parameters:,}"
    yield "memory", f"about {size(plan.memory)}" if measured is None else f"{size(measured)}, measured in a few steps"
    yield "steps", f"about {plan.steps:,}"
    yield "time", f"about {duration(plan.seconds)} at {count(plan.tokens_per_second)} tokens/s"
    yield "writes", f"model.safetensors, resume.safetensors and metrics.jsonl in {folder}"


def _draw_settings(console: Console, rows: Iterable[tuple[str, str, str]]) -> None:
    """One row per setting; on a narrow terminal, where a third column would be a word wide, the reason stands below."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    narrow = console.width < NARROW
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold", max_width=None if narrow else console.width // 3)
    table.add_column(style="dim", overflow="fold")
    for name, value, reason in rows:
        if narrow:
            console.print(Text(name, "bold").append(f"  {visible(value)}", "not bold"), overflow="fold")
            if reason:
                console.print(Padding(Text(visible(reason), "dim"), (0, 0, 0, 4), expand=False))
        else:
            table.add_row(name, Text(visible(value)), Text(visible(reason)))
    if not narrow:
        console.print(table)


def _draw_costs(console: Console, rows: Iterable[tuple[str, str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(visible(value)))
    console.print(table)
