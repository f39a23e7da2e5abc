"""The score of a text as a table, or as JSON."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from charlstm.cli.views.terminal import counted, measured, stdout_console
from charlstm.evaluation.score import Score, ScoreSummary


def print_json(
    origin: dict[str, Any], scores: list[Score | ScoreSummary], compressors: dict[str, float], dynamic: dict[str, Any]
) -> None:
    """Print one object.

    It is ASCII only, so that no character of the text controls a terminal, and a number that is not finite is null.

    Args:
        origin: the model, or several.
        scores: by the network as trained, and after it, if there is one, by dynamic evaluation.
        compressors: bits per byte that each compressor needs.
        dynamic: the settings of dynamic evaluation.
    """
    trained, *learning = map(_figures, scores)
    values = {**origin, **trained, "compressors_bits_per_byte": compressors}
    for score in learning:
        values["dynamic"] = {**dynamic, **score}
    _write(values)
    sys.stdout.write("\n")


def print_table(scores: list[Score | ScoreSummary], compressors: dict[str, float], *, of_bytes: bool) -> None:
    """Print the figures, a column for each score.

    Args:
        scores: by the network as trained, and after it, if there is one, by dynamic evaluation.
        compressors: bits per byte that each compressor needs.
        of_bytes: whether a token is a byte: then characters mean nothing to the model, and are left out.
    """
    from rich.table import Table

    summaries = [score.summary if isinstance(score, Score) else score for score in scores]
    first = summaries[0]
    table = Table(box=None, pad_edge=False, show_header=len(scores) > 1, header_style="dim")
    table.add_column(style="bold")
    for name in ("as trained", "dynamic")[: len(scores)]:
        table.add_column(name, justify="right")
    table.add_column(style="dim")
    token = "byte" if of_bytes else "token"
    if not of_bytes:
        bits = [measured(each.bits_per_char, 4) for each in summaries]
        table.add_row("bits per character", *bits, counted(first.characters, "character"))
    bits = [measured(each.bits_per_byte, 4) for each in summaries]
    table.add_row("bits per byte", *bits, counted(first.bytes, "byte"))
    nats = [measured(each.nats_per_token, 4) for each in summaries]
    table.add_row(f"nats per {token}", *nats, counted(first.tokens, token))
    table.add_row("perplexity", *(measured(each.perplexity, 3) for each in summaries), f"effective choices per {token}")
    for name, bits_per_byte in compressors.items():
        table.add_row(name, *[f"{bits_per_byte:.4f}"] * len(scores), "bits per byte, for comparison")
    stdout_console().print(table)


def _figures(score: Score | ScoreSummary) -> dict[str, Any]:
    """The figures of a score by name, and the score itself if it has each token's loss."""
    summary = score.summary if isinstance(score, Score) else score
    values = {
        "tokens": summary.tokens,
        "characters": summary.characters,
        "bytes": summary.bytes,
        "nats_per_token": summary.nats_per_token,
        "perplexity": summary.perplexity,
        "bits_per_char": summary.bits_per_char,
        "bits_per_byte": summary.bits_per_byte,
        "streams": summary.method.streams,
        "precision": summary.method.precision,
    }
    return {**values, "surprise": score} if isinstance(score, Score) else values


def _write(value: Any) -> None:
    """Write a value to stdout, a `Score` in it token by token: as one string it would be many times the text."""
    if isinstance(value, dict):
        for number, (name, member) in enumerate(value.items()):
            sys.stdout.write(f"{', ' if number else '{'}{json.dumps(name)}: ")
            _write(member)
        sys.stdout.write("}" if value else "{}")
    elif isinstance(value, Score):
        sys.stdout.write("[")
        for number, (piece, nats) in enumerate(value.pieces()):
            sys.stdout.write(f"{', ' if number else ''}{json.dumps([piece, _finite(nats)])}")
        sys.stdout.write("]")
    else:
        sys.stdout.write(json.dumps(_finite(value), allow_nan=False))


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
