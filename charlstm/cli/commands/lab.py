"""``charlstm lab``: the cells side by side, at equal parameters and equal time; each command is one experiment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charlstm.cli.lazy_group import LINES
from charlstm.cli.options import DEFAULT_ROOT, Cache, Root, cache_or_default, seconds

if TYPE_CHECKING:
    from charlstm.lab.side_by_side import Rules
    from charlstm.lab.texts import Text
    from charlstm.report.data import Event

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help=LINES["lab"],
)

Cells = Annotated[str, typer.Option("--cells", metavar="LIST", help="Which take part, by commas.")]
Seeds = Annotated[int, typer.Option("--seeds", help="Networks of each cell: more tell chance from truth.")]
MaxTime = Annotated[
    str, typer.Option("--max-time", metavar="TIME", help="Training of all together, shared out equally: 90s, 5m.")
]
Parameters = Annotated[int, typer.Option("--parameters", help="Weights of each network, as near as can be.")]
Out = Annotated[
    Path, typer.Option("--out", metavar="FOLDER", help="Where table, PNG and page go; earlier ones are replaced.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")]

ALL = "rnn,lstm,gru,peephole"
OUT = Path("lab")


def _examples(*lines: str) -> str:
    return "\b\nExamples:\n" + "\n".join(f"  charlstm lab {line}" for line in lines)


@app.command(
    epilog=_examples("gradient", "gradient my-1", "gradient starter --json", "gradient --text my.txt --seeds 5")
)
def gradient(
    checkpoint: Annotated[
        str | None,
        typer.Argument(
            metavar="CHECKPOINT",
            help="A run's name, a folder, a file, 'latest' or 'starter'. [default: fresh networks]",
            show_default=False,
        ),
    ] = None,
    text: Annotated[str, typer.Option("--text", help="What fresh networks learn: a file or name.")] = "english",
    cells: Cells = ALL,
    seeds: Seeds = 3,
    max_time: MaxTime = "2m",
    parameters: Parameters = 20_000,
    out: Out = OUT,
    json_out: Json = False,
    root: Root = DEFAULT_ROOT,
    cache: Cache = None,
) -> None:
    """Measure how far back a network listens.

    That is the gradient of what it says now to what it read k characters before: where it vanishes, nothing is learned.

    Of a checkpoint it is measured on text that it writes itself, beside the same shape untrained, in seconds. Without
    one, fresh networks of every cell are measured, trained on a text at equal parameters and time, and measured again.
    """
    from charlstm.cli.views.lab import perform

    if checkpoint is not None and (cells, text) != (ALL, "english"):
        from charlstm.errors import UsageError

        what = "--cells" if cells != ALL else "--text"
        raise UsageError(f"{what} is for fresh networks, not for a checkpoint", hint="Leave out one of the two.")
    rules, where = _rules(cells, seeds, max_time), cache_or_default(cache)
    if checkpoint is not None:
        events = _of_checkpoint(checkpoint, root, seeds)
        perform(lambda stop: events, out, json_out=json_out)
        return
    read = _text(text, where)
    from charlstm.lab import gradient as lab

    perform(lambda stop: lab.fresh(read, rules, parameters, stop), out, json_out=json_out)


@app.command(epilog=_examples("gap", "gap --seeds 5 --max-time 10m", "gap --cells rnn,lstm --out here", "gap --json"))
def gap(
    cells: Cells = ALL,
    seeds: Seeds = 3,
    max_time: MaxTime = "3m",
    parameters: Parameters = 5_000,
    out: Out = OUT,
    json_out: Json = False,
) -> None:
    """Find where each cell stops recalling. A fact, a growing gap of characters, and a question at the end.

    "I spent 20 years in Spain … I speak fluent ___" in miniature: all cells learn it side by side at equal parameters
    and time, and are then asked across gaps of up to eight times the longest they learned.
    """
    from charlstm.cli.views.lab import perform

    rules = _rules(cells, seeds, max_time)
    from charlstm.lab import long_range as lab

    perform(lambda stop: lab.run(rules, parameters, stop), out, json_out=json_out)


@app.command(
    epilog=_examples("count", "count --seeds 5 --max-time 10m", "count --cells lstm,gru --out here", "count --json")
)
def count(
    cells: Cells = ALL,
    seeds: Seeds = 3,
    max_time: MaxTime = "3m",
    parameters: Parameters = 1_500,
    out: Out = OUT,
    json_out: Json = False,
) -> None:
    """Let each cell count beyond what it learned. As many b as a, for ever more of them.

    All cells learn lines of 1 to 10 a and as many b, side by side at equal parameters and time; then each is given up
    to 200 a and must end the line after as many b.
    """
    from charlstm.cli.views.lab import perform

    rules = _rules(cells, seeds, max_time)
    from charlstm.lab import counting as lab

    perform(lambda stop: lab.run(rules, parameters, stop), out, json_out=json_out)


@app.command(
    "bake-off",
    epilog=_examples(
        "bake-off my.txt",
        "bake-off english --seeds 3 --max-time 10m",
        "bake-off my.txt --parameters 50000",
        "bake-off - --json",
    ),
)
def bake_off(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file, folder, glob, name, or '-'.")],
    cells: Cells = ALL,
    seeds: Seeds = 2,
    max_time: MaxTime = "3m30s",
    parameters: Annotated[
        str, typer.Option("--parameters", metavar="LIST", help="Weights of the networks, one size or several.")
    ] = "7000,20000,60000",
    out: Out = OUT,
    json_out: Json = False,
    cache: Cache = None,
) -> None:
    """Compare how well each cell learns a text. Validation loss against time, characters read and weights.

    All cells learn the text side by side, at every size, for equal seconds; what is compared in words is the middle
    size. Tested are up to 20,000 characters of the last tenth, which none learns from.
    """
    from charlstm.cli.views.lab import perform

    sizes = _sizes(parameters)
    rules = _rules(cells, seeds, max_time)
    text = _text(file, cache_or_default(cache))
    from charlstm.lab import bakeoff as lab

    perform(lambda stop: lab.run(text, rules, sizes, stop), out, json_out=json_out)


def _sizes(listed: str) -> list[int]:
    from charlstm.errors import UsageError

    words = [word.strip() for word in listed.split(",")]
    if not all(word.isascii() and word.isdigit() and int(word) for word in words):
        hint = "Write it like 20000, or 7000,20000,60000."
        raise UsageError(f"{listed!r} is no list of numbers of weights", where="--parameters", hint=hint)
    return sorted({int(word) for word in words})


def _of_checkpoint(reference: str, root: Path, seeds: int) -> Iterator[Event]:
    import numpy as np

    from charlstm.api import load
    from charlstm.engine.load import torch_model
    from charlstm.lab import gradient as lab
    from charlstm.sampling.config import SampleConfig
    from charlstm.sampling.sampler import sample

    model = load(reference, root=root)
    config = SampleConfig(length=lab.LENGTH, temperature=1.0, seed=1)
    written: list[list[int]] = [[] for _ in range(lab.PIECES)]
    for fragment in sample(model.writer, [], config, rows=lab.PIECES):
        written[fragment.row].append(fragment.token)
    return lab.of_checkpoint(model.config.name, torch_model(model.checkpoint), np.array(written), seeds)


def _rules(cells: str, seeds: int, max_time: str) -> Rules:
    """Who takes part, and for how long; torch is loaded from here on.

    Raises:
        UsageError: an option that cannot be.
    """
    budget = seconds(max_time)
    from charlstm.cli.interrupts import load_torch

    load_torch()
    from charlstm.lab.side_by_side import Rules

    return Rules(tuple(cell.strip() for cell in cells.split(",")), seeds, budget)


def _text(source: str, cache: Path) -> Text:
    import sys

    from charlstm.cli.views.progress import bytes_bar
    from charlstm.config import DataConfig
    from charlstm.corpora.encode import encode
    from charlstm.corpora.sources import open_sources
    from charlstm.lab.texts import Text

    corpus = open_sources((source,), stdin=sys.stdin.buffer, cache=cache)
    with bytes_bar("encoding", quiet=False) as progress:
        return Text.of(encode(corpus, DataConfig(sources=(source,)), cache, progress=progress))
