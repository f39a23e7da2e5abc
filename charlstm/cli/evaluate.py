"""``charlstm eval``: how surprising a text is to a model, beside what compressors make of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charlstm.cli import options
from charlstm.cli.loading import unknown_choice
from charlstm.cli.options import DEFAULT_ROOT, Cache, Root
from charlstm.cli.render import count, is_terminal, say, stdout_console

if TYPE_CHECKING:
    from charlstm.library import Model, Score
    from charlstm.prompts import Unknown

EPILOG = """Examples:

\b
  charlstm eval my-1 other.txt             nats and bits, with gzip, bz2 and xz beside
  charlstm eval starter - < letter.txt     a text from a pipe
  charlstm eval my-1 poem.txt --surprise   the text, coloured by how unexpected it is
  charlstm eval my-1 other.txt --json      for a program
"""


def evaluate(
    checkpoint: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="A run's name, a folder, a file, 'latest' or 'starter'.")
    ],
    sources: Annotated[list[str], typer.Argument(metavar="TEXT", help="Files, folders, globs, names, or '-'.")],
    surprise: Annotated[bool, typer.Option("--surprise", help="Show the text by how unexpected it is.")] = False,
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
    """
    choice = unknown_choice(unknown, "--unknown")
    score, text, model, path = _score(checkpoint, sources, choice, encoding, root, options.cache_or_default(cache))
    # What is judged from both sides does not add up to a code, so a code's length says nothing beside it.
    compressors = {} if model.bidirectional else _compressors(text)
    if json_out:
        print(json.dumps(_plain(score, path, compressors, with_tokens=surprise), ensure_ascii=False))
        return
    if model.bidirectional:
        say("each token judged from those on both sides of it")
    if surprise:
        from charlstm.cli.surprise import show

        show(score)
        return
    _table(score, compressors, of_bytes=model.tokenizer.kind == "byte")


def _score(
    reference: str, sources: list[str], unknown: Unknown, encoding: str | None, root: Path, cache: Path
) -> tuple[Score, bytes, Model, Path]:
    from charlstm.checkpoint import format as checkpoint_format
    from charlstm.checkpoint.store import Store
    from charlstm.corpora.sources import open_sources
    from charlstm.prompts import fit_prompt

    path = Store(root).find(reference)
    saved = checkpoint_format.read(path, kind="model")
    checkpoint_format.check_model(saved, path)
    data = saved.config["data"]
    corpus = open_sources(
        tuple(sources), encoding=encoding, newlines=data["newlines"], stdin=sys.stdin.buffer, cache=cache
    )
    from charlstm.cli.signals import load_torch
    from charlstm.library import Model

    load_torch()  # only when the text can be read
    model = Model(saved)
    if data["tokenizer"] == "byte":
        text = b"".join(corpus.raw_chunks()).decode("utf-8", "surrogateescape")
    else:
        text = "".join(corpus.chunks())
    fitted, notes = fit_prompt(model.tokenizer, text, unknown, remedy="--unknown {}")
    for note in notes:
        say(note)
    from tqdm import tqdm

    octets = fitted.encode("utf-8", "surrogateescape")
    tokens = {"char": len(fitted), "byte": len(octets)}.get(model.tokenizer.kind)  # of pieces nobody knows yet
    with tqdm(
        total=tokens, desc="reading", unit="tok", unit_scale=True, delay=1.0, leave=False, file=sys.stderr,
        disable=not is_terminal(sys.stderr), dynamic_ncols=True,
    ) as bar:  # fmt: skip
        score = model.score(fitted, progress=bar.update)
    return score, octets, model, path


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


def _plain(score: Score, path: Path, compressors: dict[str, float], *, with_tokens: bool) -> dict[str, Any]:
    values: dict[str, Any] = {
        "checkpoint": str(path),
        "tokens": len(score.nats),
        "characters": score.characters,
        "bytes": score.bytes,
        "nats_per_token": score.nats_per_token,
        "perplexity": score.perplexity,
        "bits_per_char": score.bits_per_char,
        "bits_per_byte": score.bits_per_byte,
        "compressors_bits_per_byte": compressors,
    }
    if with_tokens:
        pieces = [token.decode("utf-8", "replace") for token in score.tokens]
        values["surprise"] = [[piece, float(nats)] for piece, nats in zip(pieces, score.nats, strict=True)]
    return values


def _table(score: Score, compressors: dict[str, float], *, of_bytes: bool) -> None:
    """The figures in plain words; a model of bytes knows nothing of characters, so they are left out."""
    from rich.table import Table

    console = stdout_console()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    token = "byte" if of_bytes else "token"
    if not of_bytes:
        table.add_row("bits a character", f"{score.bits_per_char:.4f}", f"{count(score.characters)} characters")
    table.add_row("bits a byte", f"{score.bits_per_byte:.4f}", f"{count(score.bytes)} bytes")
    table.add_row(f"nats a {token}", f"{score.nats_per_token:.4f}", f"{count(len(score.nats))} {token}s")
    table.add_row("perplexity", f"{score.perplexity:.3f}", f"{token}s it wavers between")
    for name, bits in compressors.items():
        table.add_row(name, f"{bits:.4f}", "bits a byte, for comparison")
    console.print(table)
