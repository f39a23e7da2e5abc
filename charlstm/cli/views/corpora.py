"""Corpora drawn in a terminal, wide or narrow. Control characters of a text are shown, never sent to the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlstm.cli.spelling import with_options
from charlstm.cli.views.terminal import size, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from charlstm.corpora.check import Check
    from charlstm.corpora.describe import NamedCorpus
    from charlstm.corpora.stats import Stats

NARROW = 72
"""With fewer columns a list becomes blocks of two lines."""

_MOST_CHARACTERS = 100
_MOST_ODD = 20
_HEADINGS = {
    "bundled": "Shipped with charlstm",
    "catalogue": "To be fetched once: charlstm corpora fetch NAME",
    "local": "Already on this machine",
    "synthetic": "Generated, with a known true entropy",
}
_SIGNS = {" ": "space", "\n": r"\n", "\r": r"\r", "\t": r"\t"}


def draw_list(console: Console, corpora: Sequence[NamedCorpus], cache: Path) -> None:
    """Draw the corpora by kind; on a narrow terminal one per block.

    Args:
        console: where to draw.
        corpora: the corpora.
        cache: the cache folder, named below the list.
    """
    wide = console.width >= NARROW
    width = max(len(corpus.name) for corpus in corpora)
    for kind, heading in _HEADINGS.items():
        console.print(_text(heading, "bold"))
        table = _grid()
        for corpus in corpora:
            if corpus.kind == kind:
                facts = "; ".join((corpus.description, *_facts(corpus)))
                if wide:
                    table.add_row(_text(f"  {corpus.name}".ljust(width + 2), "cyan"), _text(facts))
                else:
                    _draw_block(console, corpus.name, facts)
        if wide:
            console.print(table)
        console.print()
    console.print(_text(f"cache: {cache}", "dim"), soft_wrap=True)


def draw_show(console: Console, values: Mapping[str, Any]) -> None:
    """Draw a corpus: names and values side by side, then its first lines.

    Args:
        console: where to draw.
        values: the fields of `NamedCorpus`, ``sha256`` and ``first_lines``.
    """
    number = values["size"]
    rows = [
        ("name", values["name"]),
        ("description", values["description"]),
        ("licence", values["licence"]),
        ("size", f"{size(number)} ({number:,} bytes)" if number is not None else "generated when it is read"),
        ("full name" if values["kind"] == "synthetic" else "address", values["address"]),
        ("sha256", values["sha256"]),
        ("place", values["place"] if values["ready"] else f"not fetched yet: charlstm corpora fetch {values['name']}"),
    ]
    _draw_rows(console, [(name, value) for name, value in rows if value])
    if values["first_lines"]:
        console.print()
    for line in values["first_lines"]:
        text = _text(f"  {line}", "dim")
        text.truncate(console.width, overflow="ellipsis")
        console.print(text, no_wrap=True)


def draw_stats(console: Console, stats: Stats) -> None:
    """Draw the numbers of a text, and its alphabet, the most frequent characters first.

    Args:
        console: where to draw.
        stats: the numbers.
    """
    _draw_rows(console, _stats_rows(stats))
    console.print()
    characters = sorted(stats.alphabet.items(), key=lambda pair: (-pair[1], pair[0]))
    heading = f"{len(stats.alphabet):,} different characters"
    if len(characters) > _MOST_CHARACTERS:
        heading += f", the {_MOST_CHARACTERS} most frequent"
    console.print(_text(heading, "bold"))
    from rich.columns import Columns

    console.print(
        Columns([_text(f"{_sign(character)} {n:,}") for character, n in characters[:_MOST_CHARACTERS]], padding=(0, 3))
    )


def draw_check(console: Console, result: Check) -> None:
    """Draw the findings, grave ones first, and the verdict.

    Args:
        console: where to draw.
        result: the findings.
    """
    stats = result.stats
    counts = f": {stats.characters:,} characters, {len(stats.alphabet):,} different, {_encodings(stats)}"
    console.print(_text(stats.name, "bold").append(visible(counts), "not bold"))
    console.print()
    table = _grid()
    for finding in result.findings:
        table.add_row(
            _text("!" if finding.grave else "-", "bold red" if finding.grave else ""), _text(with_options(finding.text))
        )
    if not result.findings:
        table.add_row(_text("ok", "green"), _text("No problems: no odd characters, no repeated passages, no leakage."))
    console.print(table)
    if result.odd:
        console.print()
        _draw_odd(console, result)
    if result.sampled > 1:
        console.print(_text(f"Repetitions are estimated: 1 window in {result.sampled} was examined.", "dim"))
    console.print()
    console.print(_text(result.verdict))


def _draw_odd(console: Console, result: Check) -> None:
    for odd in result.odd[:_MOST_ODD]:
        facts = f"{odd.kind}, {odd.count:,} ×, first in line {odd.line:,}, at character {odd.offset:,}"
        if console.width >= NARROW:
            console.print(_text(f"{odd.name}: {facts}"))
        else:
            _draw_block(console, odd.name, facts)
    if len(result.odd) > _MOST_ODD:
        console.print(_text(f"and {len(result.odd) - _MOST_ODD} more kinds; --json shows all", "dim"))


def _stats_rows(stats: Stats) -> Iterable[tuple[str, str]]:
    ends = stats.newlines
    newlines = ((ends.lf, "LF"), (ends.crlf, "CR LF"), (ends.cr, "CR"))
    yield "name", stats.name
    yield "parts", f"{stats.parts:,}, {size(stats.size)}, {_encodings(stats)}"
    yield "characters", f"{stats.characters:,}"
    yield "bytes", f"{stats.bytes:,} in UTF-8"
    yield "lines", f"{stats.lines:,}"
    yield "line ends", ", ".join(f"{n:,} {name}" for n, name in newlines if n) or "none"
    yield "sha256", stats.sha256
    if stats.true_entropy is not None:
        yield "true entropy", f"{stats.true_entropy:.4f} bits per character"
    yield "from counts", f"{stats.entropy:.4f} bits per character"
    for name, bits in stats.compressors.items():
        yield name, f"{bits:.4f} bits per character"


def _encodings(stats: Stats) -> str:
    names = [name.upper() for name in stats.encodings]
    return names[0] if len(names) == 1 else ", ".join(f"{n} {name.upper()}" for name, n in stats.encodings.items())


def _facts(corpus: NamedCorpus) -> Iterator[str]:
    if corpus.size is not None:
        yield size(corpus.size)
    if corpus.kind != "synthetic":
        yield corpus.licence
    if corpus.kind == "catalogue":
        yield "fetched" if corpus.ready else "not fetched"


def _sign(character: str) -> str:
    """A character as readable text."""
    if character in _SIGNS:
        return _SIGNS[character]
    shown = visible(character)
    return shown if shown.isprintable() and shown.strip() else f"U+{ord(character):04X}"


def _draw_rows(console: Console, rows: Iterable[tuple[str, str]]) -> None:
    table = _grid()
    for name, value in rows:
        table.add_row(_text(name, "bold"), _text(value))
    console.print(table)


def _draw_block(console: Console, name: str, facts: str) -> None:
    from rich.padding import Padding

    console.print(_text(name, "cyan"))
    console.print(Padding(_text(facts), (0, 0, 0, 2), expand=False))


def _text(content: str, style: str = "") -> Any:
    from rich.text import Text

    return Text(visible(content), style=style, overflow="fold")


def _grid() -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table
