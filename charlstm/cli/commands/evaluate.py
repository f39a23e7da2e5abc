"""``charlstm eval``: the score of a text by a model, beside what general compressors need for it."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from charlstm.cli import options
from charlstm.cli.interrupts import load_torch
from charlstm.cli.load_mix import load_writer
from charlstm.cli.load_model import Writer, read_model
from charlstm.cli.options import DEFAULT_ROOT, Cache, Root
from charlstm.cli.views.progress import progress_bar
from charlstm.cli.views.terminal import say
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.cli.encoded_text import KnownText
    from charlstm.evaluation.dynamic import DynamicConfig
    from charlstm.evaluation.score import EncodedText, Score, ScoreSummary
    from charlstm.sampling.prompts import Unknown
    from charlstm.tokenizers import Tokenizer

EPILOG = """Examples:

\b
  charlstm eval other.txt                  nats and bits by the newest run, beside gzip, bzip2 and xz
  charlstm eval my-1 other.txt             by the run my-1
  charlstm eval starter - < letter.txt     a text from a pipe
  charlstm eval my-1 poem.txt --surprise   the text, coloured by how unexpected it is
  charlstm eval my-1 other.txt --dynamic   also while learning from the text
  charlstm eval my-1 other.txt --int8      what the speed of int8 costs
  charlstm eval --mix my-1,my-2 other.txt  by two networks together
  charlstm eval my-1 other.txt --json      for a program
"""

app = options.one_command()


@app.command(epilog=EPILOG)
def evaluate(
    checkpoint: options.Model = None,
    mix: options.Mix = None,
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT", help="Files, folders, globs, names of corpora, or '-' for stdin.", show_default=False
        ),
    ] = None,
    surprise: Annotated[bool, typer.Option("--surprise", help="Show the text by how unexpected it is.")] = False,
    exact: Annotated[
        bool, typer.Option("--exact", help="Read a long text in order too, in fp32: slower, no approximation.")
    ] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="In order, as `sample --precision int8` computes; needs numkong.")
    ] = False,
    dynamic: Annotated[
        bool, typer.Option("--dynamic", help="Also score it while learning from each part once it is scored.")
    ] = False,
    segment: Annotated[
        int | None, typer.Option("--segment", help="With --dynamic: tokens between two steps. [default: 20]")
    ] = None,
    lr: Annotated[float | None, typer.Option("--lr", help="With --dynamic: learning rate. [default: 0.0003]")] = None,
    decay: Annotated[
        float | None,
        typer.Option(
            "--decay", help="With --dynamic: how far a step returns to the trained weights, 0 to 1. [default: 0.001]"
        ),
    ] = None,
    unknown: options.Unknown = "error",
    encoding: options.Encoding = None,
    bad_bytes: options.BadBytes = "error",
    json_out: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    device: Annotated[
        str | None,
        typer.Option("--device", help="cpu, cuda, cuda:1 or mps. [default: a CUDA GPU if there is one]"),
    ] = None,
    root: Root = DEFAULT_ROOT,
    cache: Cache = None,
) -> None:
    """Score a text: nats, bits per character and byte, perplexity.

    Every token counts, given those before it; the first is scored as the first of any text. A text of fewer than 65,536
    tokens is read in order, so its score is exact. A longer one is read in 32 parallel streams, each after 256 tokens
    of what precedes it, and in bf16 where that is faster: the loss differs by less than 0.001 nats per token.

    A network trained with --bidirectional scores each token given all those around it. That is no likelihood of the
    text, so it is not compared with compressors.

    With --mix a text is scored by several networks together, and with --int8 as it would be written: always in order,
    some thousand tokens a second.

    With --dynamic the text is read a second time by a copy of the network that goes on learning (Krause et al. 2018).
    Both scores are shown; --surprise then shows that of the copy.
    """
    from charlstm.checkpoint.format import check_causal
    from charlstm.cli.model_or_text import model_and_sources
    from charlstm.cli.views.score import print_json
    from charlstm.sampling.prompts import parse_unknown
    from charlstm.tokenizers import from_state

    choice = parse_unknown(unknown)
    config = _dynamic_config({"segment": segment, "lr": lr, "decay": decay}, wanted=dynamic)
    words = [] if checkpoint is None else [checkpoint, *(texts or [])]
    reading = _Reading(choice, encoding, bad_bytes, options.cache_or_default(cache))
    if mix is not None:
        _exclude("--mix", {"--dynamic": dynamic, "--device": device})
    if int8:
        _exclude("--int8", {"--dynamic": dynamic, "--device": device, "--exact": exact})
    reference, sources = model_and_sources(words, root) if mix is None else (None, words)
    if mix is not None or int8:
        _check_sources(sources)
        loaded = load_writer(reference, mix, root, precision="int8" if int8 else "fp32")
        _evaluate_stepping(loaded, sources, reading, surprise=surprise, json_out=json_out)
        return
    path, saved = read_model(reference, root)
    if dynamic:
        check_causal(saved, path, lacking="has no order in which to learn from a text")
    tokenizer = from_state(saved.tokenizer)
    text, encoded = reading.read(sources, tokenizer, saved.run.data.newlines)
    load_torch()  # only when the text can be read
    for note in text.notes():
        say(note)
    from charlstm.cli.scorer import Scorer
    from charlstm.evaluation.objective import objective_of

    scorer = Scorer(saved, encoded, tokenizer, device, exact=exact)
    scores = [scorer.trained(by_token=surprise and (json_out or config is None))]
    if config is not None:
        scores.append(scorer.dynamic(config, by_token=surprise))
    # Losses given both sides do not add up to the length of a code, so they do not compare with compressors.
    compares = (json_out or not surprise) and objective_of(saved.run, tokenizer).has_order
    compressors = _compressors(text) if compares else {}
    say(scorer.description(path))
    if json_out:
        print_json({"checkpoint": str(path)}, scores, compressors, {} if config is None else asdict(config))
    else:
        _show(scores, compressors, surprise=surprise, of_bytes=tokenizer.kind == "byte")


@dataclass(frozen=True)
class _Reading:
    """How a text is read."""

    unknown: Unknown
    encoding: str | None
    bad_bytes: Literal["error", "replace", "skip"]
    cache: Path

    def read(
        self, sources: list[str], tokenizer: Tokenizer, newlines: Literal["normalise", "keep"]
    ) -> tuple[KnownText, EncodedText]:
        """Read a text and encode it."""
        from charlstm.cli.encoded_text import KnownText
        from charlstm.corpora.decode import Decoding
        from charlstm.corpora.sources import open_sources

        decoding = Decoding(self.encoding, newlines, self.bad_bytes)
        corpus = open_sources(tuple(sources), decoding=decoding, stdin=sys.stdin.buffer, cache=self.cache)
        text = KnownText(corpus, tokenizer, self.unknown)
        with progress_bar("reading") as progress:
            return text, text.encode(self.cache, progress)


def _check_sources(sources: list[str]) -> None:
    if not sources:
        raise UsageError("no TEXT to score", hint="Try: charlstm eval --mix starter,my-1 other.txt")


def _evaluate_stepping(
    loaded: Writer, sources: list[str], reading: _Reading, *, surprise: bool, json_out: bool
) -> None:
    """Score a text one token after the other, by one network or by several together."""
    from charlstm.cli.stepping_scorer import SteppingScorer
    from charlstm.cli.views.score import print_json

    tokenizer = loaded.model.tokenizer
    text, encoded = reading.read(sources, tokenizer, loaded.newlines)
    for note in text.notes():
        say(note)
    scorer = SteppingScorer(loaded, encoded)
    scores = [scorer.trained(by_token=surprise)]
    compressors = _compressors(text) if json_out or not surprise else {}
    say(scorer.description)
    if json_out:
        print_json(loaded.origin, scores, compressors, {})
    else:
        _show(scores, compressors, surprise=surprise, of_bytes=tokenizer.kind == "byte")


def _exclude(chosen: str, given: dict[str, Any]) -> None:
    """Check that no option was given that is for another way to score."""
    for option, value in given.items():
        if value:
            raise UsageError(f"{chosen} and {option} exclude each other", hint="Leave one of them out.")


def _show(scores: list[Score | ScoreSummary], compressors: dict[str, float], *, surprise: bool, of_bytes: bool) -> None:
    """Print the text by its surprisal, or the figures."""
    if surprise:
        from charlstm.cli.views.surprise import show

        show(cast("Score", scores[-1]))
    else:
        from charlstm.cli.views.score import print_table

        print_table(scores, compressors, of_bytes=of_bytes)


def _dynamic_config(given: dict[str, Any], *, wanted: bool) -> DynamicConfig | None:
    settings = {name: value for name, value in given.items() if value is not None}
    if not wanted:
        if settings:
            raise UsageError(f"--{next(iter(settings))} is for --dynamic", hint="Add --dynamic.")
        return None
    load_torch()
    from charlstm.evaluation.dynamic import DynamicConfig

    return DynamicConfig(**settings)


def _compressors(text: KnownText) -> dict[str, float]:
    from charlstm.cli.compressors import bits_per_byte

    with progress_bar("compressing with gzip, bzip2 and xz") as progress:
        return bits_per_byte(text.utf8(progress))
