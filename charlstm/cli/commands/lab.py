"""``charlstm lab``: experiments that train the cells side by side, at equal parameter counts and for equal time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charlstm.cli.lazy_group import LINES
from charlstm.cli.options import DEFAULT_ROOT, Cache, Root, cache_or_default, expanded, seconds

if TYPE_CHECKING:
    from charlstm.lab.progress import Experiment, ShouldStop
    from charlstm.lab.side_by_side import CellComparison
    from charlstm.lab.texts import Text

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help=LINES["lab"],
)

Cells = Annotated[
    str, typer.Option("--cells", metavar="LIST", help="The recurrent cells to compare, separated by commas.")
]
Seeds = Annotated[int, typer.Option("--seeds", help="Networks trained for each cell; more make the findings surer.")]
MaxTime = Annotated[
    str, typer.Option("--max-time", metavar="TIME", help="Training time of all networks together: 90s, 5m.")
]
Parameters = Annotated[int, typer.Option("--parameters", help="Parameters of each network, approximately.")]
Out = Annotated[
    Path,
    typer.Option(
        "--out", metavar="FOLDER", help="Folder for the files; previous results are replaced.", callback=expanded
    ),
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
            help="A run's name, a folder, a file, 'latest' or 'starter'. [default: compare the cells]",
            show_default=False,
        ),
    ] = None,
    text: Annotated[
        str, typer.Option("--text", help="The text to train on, without CHECKPOINT: a file or a name.")
    ] = "english",
    cells: Cells = ALL,
    seeds: Seeds = 3,
    max_time: MaxTime = "2m",
    parameters: Parameters = 20_000,
    out: Out = OUT,
    json_out: Json = False,
    root: Root = DEFAULT_ROOT,
    cache: Cache = None,
) -> None:
    """Measure how far back a network's gradient reaches.

    It is the gradient of a prediction with respect to the character read k characters before. Where it vanishes,
    nothing can be learned.

    A checkpoint is measured on text that it generates, and compared with the same architecture untrained. Without one,
    new networks of every cell are measured, trained on a text side by side, and measured again.
    """
    if checkpoint is not None and (cells, text) != (ALL, "english"):
        from charlstm.errors import UsageError

        option = "--cells" if cells != ALL else "--text"
        raise UsageError(f"{option} cannot be used with a checkpoint", hint="Leave out one of the two.")
    comparison, cache_folder = _comparison(cells, seeds, max_time), cache_or_default(cache)
    from charlstm.cli.views.lab import present
    from charlstm.lab import gradient as lab

    if checkpoint is not None:
        experiment = _measure_checkpoint(checkpoint, root, seeds)
        with _one_thread():  # Ctrl-C ends it at once: there is no training whose results could be kept
            present(experiment, out, json_out=json_out)
        return
    read = _read_text(text, cache_folder)
    _perform(lambda should_stop: lab.compare_cells(read, comparison, parameters, should_stop), out, json_out)


@app.command(epilog=_examples("gap", "gap --seeds 5 --max-time 10m", "gap --cells rnn,lstm --out here", "gap --json"))
def gap(
    cells: Cells = ALL,
    seeds: Seeds = 3,
    max_time: MaxTime = "3m",
    parameters: Parameters = 5_000,
    out: Out = OUT,
    json_out: Json = False,
) -> None:
    """Find how far each cell can carry a fact. The fact is read, a gap follows, and then it must be recalled.

    "I spent 20 years in Spain … I speak fluent ___" in miniature: all cells are trained on it side by side, and tested
    on gaps of up to eight times the longest in training.
    """
    comparison = _comparison(cells, seeds, max_time)
    from charlstm.lab import long_range as lab

    _perform(lambda should_stop: lab.run(comparison, parameters, should_stop), out, json_out)


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
    """Find how far each cell can count. After n times a, it must write n times b.

    All cells are trained side by side on n = 1 to 10, and tested on n up to 200.
    """
    comparison = _comparison(cells, seeds, max_time)
    from charlstm.lab import counting as lab

    _perform(lambda should_stop: lab.run(comparison, parameters, should_stop), out, json_out)


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
        str, typer.Option("--parameters", metavar="LIST", help="Parameters of the networks: one number or several.")
    ] = "7000,20000,60000",
    out: Out = OUT,
    json_out: Json = False,
    cache: Cache = None,
) -> None:
    """Compare how well each cell learns a text.

    All cells are trained on it side by side, at every size and for equal time. The report shows the validation loss
    against time, characters trained on and parameters; its findings are about the middle size. The loss is that of up
    to 20,000 characters of the last tenth of the text, which no network is trained on.
    """
    sizes = _sizes(parameters)
    comparison = _comparison(cells, seeds, max_time)
    text = _read_text(file, cache_or_default(cache))
    from charlstm.lab import bakeoff as lab

    _perform(lambda should_stop: lab.run(text, comparison, sizes, should_stop), out, json_out)


@app.command(
    epilog=_examples(
        "claims --quick",
        "claims",
        "claims --only 5,6 --max-time 10m",
        "claims --text my.txt --seeds 3 --max-time 30m",
        "claims --quick --json",
    )
)
def claims(
    quick: Annotated[
        bool, typer.Option("--quick", help="Five minutes in all: two seeds, and 4m30s of training.")
    ] = False,
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="LIST", help="The claims to test, by their numbers: 5,6. [default: all]"),
    ] = None,
    text: Annotated[str, typer.Option("--text", help="The text to train on: a file or a name.")] = "english",
    seeds: Annotated[
        int | None,
        typer.Option("--seeds", help="Networks trained of each kind; more make the verdicts surer. [default: 5]"),
    ] = None,
    max_time: Annotated[
        str | None,
        typer.Option(
            "--max-time", metavar="TIME", help="Training time of all networks together. [default: 40m for all claims]"
        ),
    ] = None,
    out: Out = OUT,
    json_out: Json = False,
    cache: Cache = None,
) -> None:
    """Test what tutorials say of recurrent networks.

    "An LSTM bridges long gaps", "a GRU is faster", "attention helps": twelve claims, each tested by networks that are
    trained here side by side. A claim is supported if every seed of one kind of network beats every seed of the other,
    refuted if it is the other way round, and inconclusive otherwise. All of them take about 45 minutes, some their
    share of that.
    """
    from charlstm.cli.interrupts import load_torch

    numbers = _list(only, "--only", "5, or 5,6") if only is not None else []
    budget = seconds(max_time) if max_time is not None else None
    cache_folder = cache_or_default(cache)
    load_torch()
    from charlstm.lab import claims as lab

    count = (2 if quick else 5) if seeds is None else seeds
    lab.numbered(numbers)  # a wrong number costs no reading
    read = _read_text(text, cache_folder)
    if budget is None:
        budget = (_QUICK if quick else _WHOLE) * lab.share_of_all(read, numbers)
    _perform(lambda should_stop: lab.run(read, count, budget, numbers, should_stop), out, json_out)


_QUICK, _WHOLE = 270.0, 2400.0
"""Seconds of training for all claims."""


def _perform(start: Callable[[ShouldStop], Experiment], out: Path, json_out: bool) -> None:
    """Run an experiment that the first Ctrl-C ends with partial results."""
    from charlstm.cli.interrupts import StopRequest
    from charlstm.cli.views.lab import present

    with StopRequest("measuring what has been trained so far") as request, _one_thread():
        present(start(request), out, json_out=json_out)
    if request():
        raise typer.Exit(request.exit_code)


@contextmanager
def _one_thread() -> Iterator[None]:
    """One CPU thread: networks this small gain nothing from two, and two wait for each other on a busy machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _list(text: str, option: str, example: str) -> list[int]:
    """Whole numbers as they are typed for an option, in order, each once."""
    from charlstm.errors import UsageError

    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() for word in words):
        raise UsageError(f"{text!r} is not a list of whole numbers", where=option, hint=f"Write it like {example}.")
    return sorted(set(map(int, words)))


def _sizes(text: str) -> list[int]:
    from charlstm.errors import UsageError

    sizes = _list(text, "--parameters", "20000, or 7000,20000,60000")
    if not sizes[0]:
        raise UsageError("a network has at least 1 parameter", where="--parameters")
    return sizes


def _measure_checkpoint(reference: str, root: Path, seeds: int) -> Experiment:
    from charlstm.api.model import Model
    from charlstm.cli.load_model import read_model
    from charlstm.engine.load import torch_model
    from charlstm.lab import gradient as lab
    from charlstm.lab.progress import Progress
    from charlstm.sampling.config import SampleConfig
    from charlstm.sampling.sampler import sample

    _, checkpoint = read_model(reference, root)
    model, network = Model(checkpoint), torch_model(checkpoint)

    def experiment() -> Experiment:
        import numpy as np

        yield Progress(0.0, "generating text to measure on")
        config = SampleConfig(length=lab.LENGTH, temperature=1.0, seed=1)
        excerpts: list[list[int]] = [[] for _ in range(lab.EXCERPTS)]
        for fragment in sample(model.writer, [], config, rows=lab.EXCERPTS):
            excerpts[fragment.row].append(fragment.token)
        unit = {"char": "character", "byte": "byte"}.get(model.tokenizer.kind, "token")
        texts = np.array([excerpt[: lab.LENGTH] for excerpt in excerpts])  # bytes may go on to complete a character
        yield from lab.measure_checkpoint(model.config.name, network, texts, seeds, unit)

    return experiment()


def _comparison(cells: str, seeds: int, max_time: str) -> CellComparison:
    """Check the options that all experiments share, and load torch.

    Raises:
        UsageError: an option is invalid.
    """
    budget = seconds(max_time)
    from charlstm.cli.interrupts import load_torch

    load_torch()
    from charlstm.lab.side_by_side import CellComparison

    return CellComparison(tuple(cell.strip() for cell in cells.split(",")), seeds, budget)


def _read_text(source: str, cache: Path) -> Text:
    import sys

    from charlstm.cli.views.progress import progress_bar
    from charlstm.config import DataConfig
    from charlstm.corpora.encode import encode
    from charlstm.corpora.sources import open_sources
    from charlstm.lab.texts import Text

    corpus = open_sources((source,), stdin=sys.stdin.buffer, cache=cache)
    with progress_bar("encoding") as progress:
        return Text.from_encoded(encode(corpus, DataConfig(sources=(source,)), cache, progress=progress))
