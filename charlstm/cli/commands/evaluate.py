"""``charlstm eval``: how surprising a text is to a model, beside what compressors make of it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from charlstm.cli import options
from charlstm.cli.load_model import unknown_choice
from charlstm.cli.options import DEFAULT_ROOT, Cache, Root
from charlstm.cli.views.terminal import counted, is_terminal, say, stdout_console
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from tqdm import tqdm

    from charlstm.api import Model
    from charlstm.evaluation.dynamic import DynamicConfig
    from charlstm.evaluation.score import Score
    from charlstm.sampling.prompts import Unknown

EPILOG = """Examples:

\b
  charlstm eval my-1 other.txt             nats and bits, with gzip, bz2 and xz beside
  charlstm eval starter - < letter.txt     a text from a pipe
  charlstm eval my-1 poem.txt --surprise   the text, coloured by how unexpected it is
  charlstm eval my-1 other.txt --dynamic   the same, and if it learned from the text on the way
  charlstm eval my-1 other.txt --json      for a program
"""

app = options.one_command()


@app.command(epilog=EPILOG)
def evaluate(
    checkpoint: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="A run's name, a folder, a file, 'latest' or 'starter'.")
    ],
    sources: Annotated[list[str], typer.Argument(metavar="TEXT", help="Files, folders, globs, names, or '-'.")],
    surprise: Annotated[bool, typer.Option("--surprise", help="Show the text by how unexpected it is.")] = False,
    dynamic: Annotated[
        bool, typer.Option("--dynamic", help="Also let it learn from each part of the text once that is scored.")
    ] = False,
    segment: Annotated[
        int | None, typer.Option("--segment", help="With --dynamic: tokens from step to step. [default: 20]")
    ] = None,
    lr: Annotated[
        float | None, typer.Option("--lr", help="With --dynamic: how far a weight moves in a step. [default: 0.0003]")
    ] = None,
    decay: Annotated[
        float | None,
        typer.Option("--decay", help="With --dynamic: share of the way back each step goes. [default: 0.001]"),
    ] = None,
    unknown: options.Unknown = "error",
    encoding: Annotated[str | None, typer.Option("--encoding", help="If it is not UTF-8.")] = None,
    json_out: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    root: Root = DEFAULT_ROOT,
    cache: Cache = None,
) -> None:
    """Score a text: nats, bits a character and a byte, perplexity.

    Every character counts, read in order with the state carried from the first to the last; the first is judged as
    the first of any text. A network trained with --bidirectional judges each from all the others around it: that is no
    likelihood of the text, so no compressor stands beside it.

    With --dynamic the text is read a second time by a copy of the network that goes on learning (Krause et al. 2018):
    each part is scored first, then learned from. Both figures are shown; --surprise then is that of the copy.
    """
    choice = unknown_choice(unknown, "--unknown")
    given = {name: value for name, value in [("segment", segment), ("lr", lr), ("decay", decay)] if value is not None}
    if given and not dynamic:
        raise UsageError(f"--{next(iter(given))} is for --dynamic", hint="Add --dynamic.")
    model, text, path = _read(
        checkpoint, sources, choice, encoding, root, options.cache_or_default(cache), in_order=dynamic
    )
    config = _config(given) if dynamic else None
    scores = _scores(model, text, config)
    # What is judged from both sides does not add up to a code, so a code's length says nothing beside it.
    compressors = {} if model.bidirectional else _compressors(text.encode("utf-8", "surrogateescape"))
    if json_out:
        figures = [_plain(score, with_tokens=surprise) for score in scores]
        values = {"checkpoint": str(path), **figures[0], "compressors_bits_per_byte": compressors}
        if config is not None:
            values["dynamic"] = {**asdict(config), **figures[1]}
        print(json.dumps(values, ensure_ascii=False))
        return
    if model.bidirectional:
        say("each token judged from those on both sides of it")
    if surprise:
        from charlstm.cli.views.surprise import show

        show(scores[-1])
        return
    _table(scores, compressors, of_bytes=model.tokenizer.kind == "byte")


def _read(
    reference: str,
    sources: list[str],
    unknown: Unknown,
    encoding: str | None,
    root: Path,
    cache: Path,
    *,
    in_order: bool,
) -> tuple[Model, str, Path]:
    """The model, the text in characters it knows, and the model's file."""
    from charlstm.checkpoint import format as checkpoint_format
    from charlstm.checkpoint.references import find_model
    from charlstm.checkpoint.store import Store
    from charlstm.corpora.sources import open_sources
    from charlstm.sampling.prompts import fit_prompt

    path = find_model(Store(root), reference)
    saved = checkpoint_format.read(path, kind="model")
    checkpoint_format.check_model(saved, path)
    if in_order:
        checkpoint_format.check_writes_on(saved, path, lacking="has no order in which to learn from a text")
    data = saved.config["data"]
    corpus = open_sources(
        tuple(sources), encoding=encoding, newlines=data["newlines"], stdin=sys.stdin.buffer, cache=cache
    )
    from charlstm.api import Model
    from charlstm.cli.interrupts import load_torch

    load_torch()  # only when the text can be read
    model = Model(saved)
    if data["tokenizer"] == "byte":
        text = b"".join(corpus.raw_chunks()).decode("utf-8", "surrogateescape")
    else:
        text = "".join(corpus.chunks())
    fitted, notes = fit_prompt(model.tokenizer, text, unknown, remedy="--unknown {}", where="text")
    for note in notes:
        say(note)
    return model, fitted, path


def _config(given: dict[str, Any]) -> DynamicConfig:
    from charlstm.evaluation.dynamic import DynamicConfig

    return DynamicConfig(**given)


def _scores(model: Model, text: str, config: DynamicConfig | None) -> list[Score]:
    """The text's score by the model as trained, and with ``config`` behind it by one that learns on the way."""
    with _bar("reading", model, text) as bar:
        scores = [model.score(text, progress=bar.update)]
    if config is not None:
        with _bar("learning", model, text) as bar:
            scores.append(model.score_dynamic(text, progress=bar.update, **asdict(config)))
    return scores


def _bar(doing: str, model: Model, text: str) -> tqdm[NoReturn]:
    from tqdm import tqdm

    octets = len(text.encode("utf-8", "surrogateescape"))
    tokens = {"char": len(text), "byte": octets}.get(model.tokenizer.kind)  # of pieces nobody knows yet
    return tqdm(
        total=tokens, desc=doing, unit="tok", unit_scale=True, delay=1.0, leave=False, file=sys.stderr,
        disable=not is_terminal(sys.stderr), dynamic_ncols=True,
    )  # fmt: skip


def _compressors(text: bytes) -> dict[str, float]:
    """Bits a byte that general compressors need, at their best."""
    import bz2
    import gzip
    import lzma

    packed = {
        "gzip -9": gzip.compress(text, 9),
        "bzip2 -9": bz2.compress(text, 9),
        "xz -9e": lzma.compress(text, preset=9 | lzma.PRESET_EXTREME),
    }
    return {name: 8 * len(octets) / len(text) for name, octets in packed.items()}


def _plain(score: Score, *, with_tokens: bool) -> dict[str, Any]:
    values: dict[str, Any] = {
        "tokens": len(score.nats),
        "characters": score.characters,
        "bytes": score.bytes,
        "nats_per_token": score.nats_per_token,
        "perplexity": score.perplexity,
        "bits_per_char": score.bits_per_char,
        "bits_per_byte": score.bits_per_byte,
    }
    if with_tokens:
        pieces = [token.decode("utf-8", "replace") for token in score.tokens]
        values["surprise"] = [[piece, float(nats)] for piece, nats in zip(pieces, score.nats, strict=True)]
    return values


def _table(scores: list[Score], compressors: dict[str, float], *, of_bytes: bool) -> None:
    """The figures in plain words, a column a score; a model of bytes knows nothing of characters: they are left out."""
    from rich.table import Table

    console = stdout_console()
    score = scores[0]
    table = Table(box=None, pad_edge=False, show_header=len(scores) > 1, header_style="dim")
    table.add_column(style="bold")
    for name in ("as trained", "dynamic")[: len(scores)]:
        table.add_column(name, justify="right")
    table.add_column(style="dim")
    token = "byte" if of_bytes else "token"
    if not of_bytes:
        bits = [f"{each.bits_per_char:.4f}" for each in scores]
        table.add_row("bits a character", *bits, counted(score.characters, "character"))
    table.add_row("bits a byte", *(f"{each.bits_per_byte:.4f}" for each in scores), counted(score.bytes, "byte"))
    nats = [f"{each.nats_per_token:.4f}" for each in scores]
    table.add_row(f"nats a {token}", *nats, counted(len(score.nats), token))
    table.add_row("perplexity", *(f"{each.perplexity:.3f}" for each in scores), f"{token}s it wavers between")
    for name, needed in compressors.items():
        table.add_row(name, *[f"{needed:.4f}"] * len(scores), "bits a byte, for comparison")
    console.print(table)
