"""The settings of runs, and the commands and machines that made them, as blocks of a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from charlstm.inspect.runs import RunRecord, common_settings, differing_settings
from charlstm.report.blocks import Block, Table, Text


def settings(runs: Sequence[RunRecord]) -> Iterator[Block]:
    """Arrange the settings: those that differ as a table, all others in a paragraph for each section.

    Args:
        runs: at least one.

    Yields:
        The blocks.
    """
    different = differing_settings(runs)
    if len(runs) > 1 and any(run.settings for run in runs):
        if different:
            rows = tuple((name, *map(_value, row)) for name, row in different.items())
            yield Table(("setting", *(run.name for run in runs)), rows)
        else:
            yield Text("No setting differs.")
    sections: dict[str, list[str]] = {}
    for name, value in common_settings(runs).items():
        section, _, setting = name.partition(".")
        if value is not None:
            sections.setdefault(section, []).append(f"{setting} {_value(value)}")
    for section, values in sections.items():
        yield Text(f"{section}: {', '.join(values)}")


def _value(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, (list, tuple)):
        return " ".join(map(_value, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def commands(runs: Sequence[RunRecord]) -> Iterator[Block]:
    """Arrange, for each run, what it was trained on and by which commands, and the one that continues it.

    Args:
        runs: at least one.

    Yields:
        The blocks.
    """
    for run in runs:
        about = None if run.header is None else run.header.provenance
        made = about.command if about and about.command else next((s.command for s in run.history.sessions), "")
        machines = dict.fromkeys(session.machine for session in run.history.sessions if session.machine)
        trained_on = f"{run.name}: trained on " if len(runs) > 1 else "Trained on "
        facts = [trained_on + ", then on ".join(machines)] if machines else []
        if about and about.charlstm:
            facts.append(f"charlstm {about.charlstm}" + f", PyTorch {about.torch}" * bool(about.torch))
        if facts:
            yield Text("; ".join(facts) + ".")
        resumed = [session.command for session in run.history.sessions[1:] if session.command]
        lines = list(dict.fromkeys(([made] if made else []) + resumed))
        if lines:
            yield Text("Made by:")
            yield Text("\n".join(lines), is_code=True, is_command=True)
        if run.continue_with:
            yield Text("Continue it with:")
            yield Text(run.continue_with, is_code=True, is_command=True)
