"""Checkpoints in a terminal, wide or narrow. Text from a file is shown, with its control characters made visible."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from charlstm.cli.views.terminal import count, duration, measured, size, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from charlstm.checkpoint.format import Header
    from charlstm.checkpoint.summary import Comparison, Summary
    from charlstm.checkpoint.writing import Writing

NARROW = 64
"""Columns below which a list becomes blocks of two lines."""
WIDE = 100
"""Columns from which on a list has room for cells and texts."""
_NOTHING = "-"


def draw_list(console: Console, summaries: Sequence[Summary]) -> None:
    """Print the runs, one per row, or per block on a narrow terminal; the faults of broken ones stand below.

    Args:
        console: where to print.
        summaries: the runs, in the order to print them in.
    """
    if console.width < NARROW:
        _draw_blocks(console, summaries)
        return
    wide = console.width >= WIDE
    table = _table("run", "shape", *(["cell"] if wide else []), "params", "bits/char", "steps", "size", "age")
    if wide:
        table.add_column("text", overflow="fold", max_width=console.width // 5)
    for summary in summaries:
        shape, *others = map(_escaped, _cells(summary))
        cell = [_text(summary.cell or _NOTHING)] if wide else []
        text = [_text(summary.text or _NOTHING)] if wide else []
        table.add_row(_text(summary.name), shape, *cell, *others, *text)
    console.print(table)
    for summary in summaries:
        if summary.broken:
            console.print(_text(f"{summary.name}: {summary.fault}"), soft_wrap=True)


def draw_show(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    """Print names and values side by side.

    Args:
        console: where to print.
        rows: pairs of a name and a value.
    """
    table = _grid()
    for name, value in rows:
        table.add_row(_text(name, "bold"), _text(value))
    console.print(table)


def draw_verdicts(console: Console, verdicts: Sequence[tuple[str, str | None]]) -> None:
    """Print ``ok`` or the fault of each file, in one line per file however long.

    Args:
        console: where to print.
        verdicts: path and fault of each file; None instead of a fault if there is none.
    """
    for path, fault in verdicts:
        line = _text("bad  " if fault else "ok   ", "bold red" if fault else "green")
        line.append(visible(f"{path}: {fault}" if fault else path), "not bold default")
        console.print(line, soft_wrap=True)


def draw_comparison(console: Console, comparison: Comparison, first: str, second: str) -> None:
    """Print the settings that differ, and the results of both.

    Args:
        console: where to print.
        comparison: of the two checkpoints.
        first: what the first is called.
        second: what the second is called.
    """
    table = _table("", first, second)
    for name, (one, two) in comparison.results.items():
        table.add_row(_text(_LABELS.get(name, name)), _text(shown(name, one)), _text(shown(name, two)))
    if comparison.settings:
        table.add_section()
    for name, (one, two) in comparison.settings.items():
        table.add_row(_text(name), _text(_plain(one)), _text(_plain(two)))
    console.print(table)
    for line in _remarks(comparison, first, second):
        console.print(_text(line))


def show_rows(header: Header, path: str) -> list[tuple[str, str]]:
    """Return everything in a checkpoint's header as names and values.

    Args:
        header: the checkpoint's.
        path: its file.
    """
    from charlstm.checkpoint.summary import dtype_of, shape_of

    shape = f"{shape_of(header) or '?'}, {count(header.parameters)} parameters, {dtype_of(header) or 'no weights'}"
    rows = [("file", path), ("kind", header.kind), ("shape", shape), ("size", size(header.size))]
    rows += [("tokenizer", _tokenizer(header.tokenizer))]
    rows += [(_LABELS.get(name, name), shown(name, value)) for name, value in _provenance(header) if value != ""]
    if header.kind == "model":
        rows += [("writes", _writing(header.writing))]
    rows += [(section, _settings(values)) for section, values in header.run.to_plain().items() if section != "name"]
    return [*rows, ("sha256", f"{header.sha256} (as written; `verify` computes it)")]


def _writing(writing: Writing) -> str:
    """How a network writes unless it is told otherwise: ``at temperature 0.7, top-p 0.9, from 8 starts``."""
    parts = [f"at temperature {writing.temperature:g}"]
    parts += [f"top-p {writing.top_p:g}"] * (writing.top_p < 1) + [f"min-p {writing.min_p:g}"] * (writing.min_p > 0)
    parts += [f"no repeats of more than {writing.no_repeat} tokens"] * (writing.no_repeat > 0)
    parts += [f"runs of at most {writing.longest_run}"] * (writing.longest_run > 0)
    count = len(writing.starts)
    return ", ".join(parts + ["from one start" if count == 1 else f"from {count} starts"] * (count > 0))


def _provenance(header: Header) -> Iterator[tuple[str, Any]]:
    """The provenance; for a model of bytes with bits per byte."""
    bits = header.provenance.bits_per_byte(header.tokenizer.get("kind"))
    for name, value in header.provenance.to_plain().items():
        yield ("bits_per_byte", bits) if name == "bits_per_char" and bits is not None else (name, value)


def shown(name: str, value: Any) -> str:
    """Format a value of a checkpoint's provenance with its unit.

    Args:
        name: the value's name.
        value: the value; None if there is none.

    Returns:
        The text; a value without a unit as it is.
    """
    if name in _UNITS and value is not None:
        return _UNITS[name](value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    return _plain(value)


_LABELS = {
    "val_loss": "val loss",
    "bits_per_char": "bits/char",
    "bits_per_byte": "bits/byte",
    "step": "steps",
    "seconds": "trained for",
    "init_from": "began with",
}
_UNITS = {
    "val_loss": lambda value: f"{measured(value, 4)} nats/token",
    "bits_per_char": lambda value: measured(value, 4),
    "bits_per_byte": lambda value: measured(value, 4),
    "step": "{:,}".format,
    "tokens": "{:,}".format,
    "seconds": duration,
    "size": size,
    "parameters": count,
}


def _cells(summary: Summary) -> Iterator[Any]:
    if summary.fault:
        yield _text("broken", "bold red") if summary.broken else "new"
        yield from (_NOTHING,) * 4
    else:
        yield summary.shape or _NOTHING
        yield _NOTHING if summary.parameters is None else count(summary.parameters)
        yield _bits(summary)
        yield _NOTHING if summary.step is None else f"{summary.step:,}"
        yield _NOTHING if summary.size is None else size(summary.size)
    yield duration(max(0.0, time.time() - summary.modified))


def _bits(summary: Summary) -> str:
    """Bits per character, as the column's title says, or bits per byte with that unit."""
    if summary.bits_per_byte is not None:
        return f"{measured(summary.bits_per_byte, 3)}/byte"
    return _NOTHING if summary.bits_per_char is None else measured(summary.bits_per_char, 3)


def _draw_blocks(console: Console, summaries: Sequence[Summary]) -> None:
    from rich.padding import Padding

    for summary in summaries:
        shape, parameters, bits, steps, octets, age = _cells(summary)
        bits = f"{bits.removesuffix('/byte')} bits/{'byte' if bits.endswith('/byte') else 'char'}"
        facts = f"{shape}, {parameters} params, {bits}, {steps} steps, {octets}"
        if summary.fault:
            facts = f"broken: {summary.fault}" if summary.broken else summary.fault
        console.print(_text(summary.name, "bold"))
        console.print(Padding(_text(f"{facts}, {age} old"), (0, 0, 0, 2), expand=False))


def _remarks(comparison: Comparison, first: str, second: str) -> Iterator[str]:
    if comparison.same_file:
        yield "The files are identical."
    elif not comparison.settings:
        yield "No setting differs."
    if comparison.alphabet is None:
        yield f"The tokenizers are {'the same' if comparison.same_tokenizer else 'different'}."
        return
    for name, characters in zip((first, second), comparison.alphabet, strict=True):
        if characters:
            yield f"Only {name} has: {_characters(characters)}"
    if comparison.alphabet == ("", ""):
        yield "The alphabets are the same." if comparison.same_tokenizer else "Same characters, other ids."


def _tokenizer(state: dict[str, Any]) -> str:
    kind, alphabet = _plain(state.get("kind")), state.get("alphabet")
    if not isinstance(alphabet, str):
        return kind
    unknown = ", and one id for all others" if state.get("unknown") is True else ""
    return f"{kind}, {len(alphabet):,} characters{unknown}: {_characters(alphabet)}"


def _characters(characters: str) -> str:
    """Characters side by side, white space escaped."""
    return "".join(repr(c)[1:-1] if c.isspace() and c != " " else c for c in characters)


def _settings(values: Any) -> str:
    if not isinstance(values, dict):
        return _plain(values)
    return ", ".join(f"{name} {_plain(value)}" for name, value in values.items() if value is not None)


def _plain(value: Any) -> str:
    if value is None:
        return _NOTHING
    if isinstance(value, list):
        return " ".join(map(_plain, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _escaped(cell: Any) -> Any:
    """A cell that rich cannot take for markup."""
    return _text(cell) if isinstance(cell, str) else cell


_LONGEST = 20_000
"""Characters of a cell: rich takes minutes to fold a text of megabytes."""


def _text(content: str, style: str = "") -> Any:
    from rich.text import Text

    if len(content) > _LONGEST:
        content = f"{content[:_LONGEST]}… (of {len(content):,} characters; --json has them all)"
    return Text(visible(content), style=style, overflow="fold")


def _table(first: str, *others: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(_text(first), overflow="fold")
    for name in others:
        table.add_column(_text(name), overflow="fold", justify="right")
    return table


def _grid() -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table
