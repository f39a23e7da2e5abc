"""How corpora look in a terminal, wide or narrow. What a text holds is never obeyed, only shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlstm.cli.views.terminal import size, visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from charlstm.corpora.check import Check
    from charlstm.corpora.describe import Named
    from charlstm.corpora.stats import Stats

NARROW = 72
"""Columns below which a list becomes blocks of two lines."""

_MOST_CHARACTERS = 100
_MOST_ODD = 20
_HEADINGS = {
    "bundled": "Shipped with charlstm",
    "catalogue": "To fetch once: charlstm corpora fetch NAME",
    "virtual": "Already on this machine",
    "synthetic": "Made to measure, with a known true entropy",
}
_SIGNS = {" ": "space", "\n": r"\n", "\r": r"\r", "\t": r"\t"}


def draw_list(console: Console, corpora: Sequence[Named], cache: Path) -> None:
    """The corpora by kind; on a narrow terminal one a block."""
    wide = console.width >= NARROW
    width = max(len(corpus.name) for corpus in corpora)
    for kind, heading in _HEADINGS.items():
        console.print(_text(heading, "bold"))
        table = _grid()
        for corpus in corpora:
            if corpus.kind == kind:
                about = "; ".join((corpus.description, *_facts(corpus)))
                if wide:
                    table.add_row(_text(f"  {corpus.name}".ljust(width + 2), "cyan"), _text(about))
                else:
                    _draw_block(console, corpus.name, about)
        if wide:
            console.print(table)
        console.print()
    console.print(_text(f"cache: {cache}", "dim"), soft_wrap=True)


def draw_show(console: Console, values: Mapping[str, Any]) -> None:
    """Names and values side by side, then the first lines."""
    octets = values["size"]
    rows = [
        ("name", values["name"]),
        ("what", values["description"]),
        ("licence", values["licence"]),
        ("size", f"{size(octets)} ({octets:,} bytes)" if octets is not None else "made when asked for"),
        ("in full" if values["kind"] == "synthetic" else "address", values["address"]),
        ("sha256", values["sha256"]),
        ("place", values["place"] if values["ready"] else f"not here yet: charlstm corpora fetch {values['name']}"),
    ]
    _draw_rows(console, [(name, value) for name, value in rows if value])
    if values["first_lines"]:
        console.print()
    for line in values["first_lines"]:
        text = _text(f"  {line}", "dim")
        text.truncate(console.width, overflow="ellipsis")
        console.print(text, no_wrap=True)


def draw_stats(console: Console, found: Stats) -> None:
    """The numbers of a text, and its alphabet from the most frequent character on."""
    _draw_rows(console, _stats_rows(found))
    console.print()
    kinds = sorted(found.alphabet.items(), key=lambda pair: (-pair[1], pair[0]))
    heading = f"{len(found.alphabet):,} different characters"
    if len(kinds) > _MOST_CHARACTERS:
        heading += f", the {_MOST_CHARACTERS} most frequent"
    console.print(_text(heading, "bold"))
    from rich.columns import Columns

    console.print(
        Columns([_text(f"{_sign(character)} {n:,}") for character, n in kinds[:_MOST_CHARACTERS]], padding=(0, 3))
    )


def draw_check(console: Console, found: Check) -> None:
    """What was found, the gravest first, and the verdict."""
    stats = found.stats
    line = _text(stats.name, "bold")
    line.append(
        f": {stats.characters:,} characters, {len(stats.alphabet):,} different, {_encodings(stats)}", "not bold"
    )
    console.print(line)
    console.print()
    table = _grid()
    for finding in found.findings:
        table.add_row(_text("!" if finding.grave else "-", "bold red" if finding.grave else ""), _text(finding.text))
    if not found.findings:
        table.add_row(
            _text("ok", "green"), _text("Nothing odd: no strange characters, no repeated passages, no leakage.")
        )
    console.print(table)
    if found.odd:
        console.print()
        _draw_odd(console, found)
    if found.sampled > 1:
        console.print(_text(f"Repetitions are estimated: 1 window in {found.sampled} was looked at.", "dim"))
    console.print()
    console.print(_text(found.verdict))


def _draw_odd(console: Console, found: Check) -> None:
    for odd in found.odd[:_MOST_ODD]:
        facts = f"{odd.kind}, {odd.count:,} ×, first in line {odd.line:,}, at character {odd.offset:,}"
        if console.width >= NARROW:
            console.print(_text(f"{odd.name}: {facts}"))
        else:
            _draw_block(console, odd.name, facts)
    if len(found.odd) > _MOST_ODD:
        console.print(_text(f"and {len(found.odd) - _MOST_ODD} more kinds; --json tells all", "dim"))


def _stats_rows(found: Stats) -> Iterable[tuple[str, str]]:
    ends = found.newlines
    kinds = ((ends.lf, "LF"), (ends.crlf, "CR LF"), (ends.cr, "CR"))
    yield "name", found.name
    yield "parts", f"{found.parts:,}, {size(found.size)}, {_encodings(found)}"
    yield "characters", f"{found.characters:,}"
    yield "bytes", f"{found.bytes:,} in UTF-8"
    yield "lines", f"{found.lines:,}"
    yield "line ends", ", ".join(f"{n:,} {name}" for n, name in kinds if n) or "none"
    yield "sha256", found.sha256
    if found.true_entropy is not None:
        yield "true entropy", f"{found.true_entropy:.4f} bits a character"
    yield "by counts", f"{found.entropy:.4f} bits a character"
    for name, bits in found.compressors.items():
        yield name, f"{bits:.4f} bits a character"


def _encodings(found: Stats) -> str:
    names = [name.upper() for name in found.encodings]
    return names[0] if len(names) == 1 else ", ".join(f"{n} {name.upper()}" for name, n in found.encodings.items())


def _facts(corpus: Named) -> Iterator[str]:
    if corpus.size is not None:
        yield size(corpus.size)
    if corpus.kind != "synthetic":
        yield corpus.licence
    if corpus.kind == "catalogue":
        yield "fetched" if corpus.ready else "not fetched"


def _sign(character: str) -> str:
    """A character as it can be read in a list."""
    if character in _SIGNS:
        return _SIGNS[character]
    shown = visible(character)
    return shown if shown.isprintable() and shown.strip() else f"U+{ord(character):04X}"


def _draw_rows(console: Console, rows: Iterable[tuple[str, str]]) -> None:
    table = _grid()
    for name, value in rows:
        table.add_row(_text(name, "bold"), _text(value))
    console.print(table)


def _draw_block(console: Console, name: str, about: str) -> None:
    from rich.padding import Padding

    console.print(_text(name, "cyan"))
    console.print(Padding(_text(about), (0, 0, 0, 2), expand=False))


def _text(content: str, style: str = "") -> Any:
    from rich.text import Text

    return Text(visible(content), style=style, overflow="fold")


def _grid() -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table
