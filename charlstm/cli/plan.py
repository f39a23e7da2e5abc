"""The plan of a run, shown before it starts: what was chosen, why, and what it will cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlstm.cli.render import count, duration, say, size, stdout_console

if TYPE_CHECKING:
    from charlstm.config import RunConfig
    from charlstm.runs import Prepared
    from charlstm.settings.choose import Plan


def announce(prepared: Prepared, folder: Path) -> None:
    """A few lines on stderr before a run."""
    plan, run = prepared.plan, prepared.plan.run
    for note in plan.notes:
        say(note)
    share = f"{100 * run.data.val_fraction:.2g} %"
    held_out = f"; the last {share} of it is for validation" if run.data.val_fraction else ""
    say(
        f"{', '.join(run.data.sources)}: {count(prepared.encoded.characters)} characters, "
        f"{run.model.vocab_size} different tokens{held_out}"
    )
    say(
        f"network {run.model.num_layers}×{run.model.hidden_size} {run.model.cell}, {count(plan.parameters)} weights; "
        f"batch {run.data.batch_size}, window {run.data.seq_len}, lr {run.train.lr:g}, dropout {run.model.dropout:g}; "
        f"{run.train.device} {run.train.precision} (--dry-run tells why)"
    )
    say(f"{_budget(run)}; Ctrl-C stops earlier and keeps everything. Into {folder}")


def explain(prepared: Prepared, folder: Path) -> None:
    """All settings with their reasons, and the run's cost, on stdout: what ``--dry-run`` shows."""
    for note in prepared.plan.notes:
        say(note)
    _table(prepared.plan, folder, len(prepared.encoded.ids))


def _budget(run: RunConfig) -> str:
    train = run.train
    parts = [
        f"{duration(train.max_time)}" if train.max_time else "",
        f"{train.max_steps} steps" if train.max_steps else "",
        f"{train.epochs:g} epochs" if train.epochs else "",
    ]
    return "training for " + " or ".join(part for part in parts if part)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _table(plan: Plan, folder: Path, tokens: int) -> None:
    from rich.table import Table

    console = stdout_console()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(style="dim")
    for section in ("model", "data", "train"):
        for name, value in getattr(plan.run, section).model_dump().items():
            if value is None:
                continue
            table.add_row(f"{section}.{name}", _shown(value), plan.reasons.get(name, ""))
    console.print(table)
    console.print()
    for name, value in (
        ("text", f"{tokens:,} tokens"),
        ("parameters", f"{plan.parameters:,}"),
        ("memory", f"about {size(plan.memory)}"),
        ("steps", f"about {plan.steps:,}"),
        ("time", f"about {duration(plan.seconds)} at {count(plan.tokens_per_second)} tokens/s"),
        ("writes", f"{folder}/model.safetensors, resume.safetensors, metrics.jsonl"),
    ):
        console.print(f"[bold]{name:<12}[/bold]{value}", soft_wrap=True)
