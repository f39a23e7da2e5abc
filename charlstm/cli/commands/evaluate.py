"""``charlstm eval``: the score of a text by a model, beside what general compressors need for it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charlstm.cli import options
from charlstm.cli.load_model import read_model, unknown_choice
from charlstm.cli.options import DEFAULT_ROOT, Cache, Root
from charlstm.cli.views.progress import bytes_bar
from charlstm.cli.views.terminal import is_terminal, say
from charlstm.errors import CharlstmError, CheckpointError, UsageError

if TYPE_CHECKING:
    from charlstm.checkpoint.format import Checkpoint
    from charlstm.corpora.read import Corpus
    from charlstm.evaluation.dynamic import DynamicConfig
    from charlstm.evaluation.score import EncodedText, Losses, Score, ScoreSummary
    from charlstm.nn.model import CharLM
    from charlstm.tokenizers import Tokenizer

EPILOG = """Examples:

\b
  charlstm eval other.txt                  nats and bits by the newest run, beside gzip, bzip2 and xz
  charlstm eval my-1 other.txt             by the run my-1
  charlstm eval starter - < letter.txt     a text from a pipe
  charlstm eval my-1 poem.txt --surprise   the text, coloured by how unexpected it is
  charlstm eval my-1 other.txt --dynamic   also while learning from the text
  charlstm eval my-1 other.txt --json      for a program
"""

app = options.one_command()


@app.command(epilog=EPILOG)
def evaluate(
    checkpoint: options.Model = None,
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
    encoding: Annotated[str | None, typer.Option("--encoding", help="If it is not UTF-8.")] = None,
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
    A network with a match memory reads every text in order.

    A network trained with --bidirectional scores each token given all those around it. That is no likelihood of the
    text, so it is not compared with compressors.

    With --dynamic the text is read a second time by a copy of the network that goes on learning (Krause et al. 2018).
    Both scores are shown; --surprise then shows that of the copy.
    """
    from charlstm.cli.encoded_text import KnownText
    from charlstm.tokenizers import from_state

    choice = unknown_choice(unknown, "--unknown")
    config = _dynamic_config({"segment": segment, "lr": lr, "decay": decay}, wanted=dynamic)
    words = [] if checkpoint is None else [checkpoint, *(texts or [])]
    reference, sources = _model_and_sources(words, root)
    path, saved = read_model(reference, root)
    if dynamic:
        _check_causal(saved, path)
    folder = options.cache_or_default(cache)
    text = KnownText(_corpus(sources, saved, encoding, folder), from_state(saved.tokenizer), choice)
    with bytes_bar("reading", quiet=False) as progress:
        encoded = text.encode(folder, progress)
    for note in text.notes():
        say(note)
    scorer = _Scorer(saved, encoded, device, exact=exact)
    scores = [scorer.trained(by_token=surprise and (json_out or not dynamic))]
    if config is not None:
        scores.append(scorer.dynamic(config, by_token=surprise))
    compressors = {} if scorer.bidirectional or (surprise and not json_out) else _compressors(text)
    say(scorer.description(path))
    _show(scores, compressors, scorer, config, str(path), surprise=surprise, json_out=json_out)


def _dynamic_config(given: dict[str, Any], *, wanted: bool) -> DynamicConfig | None:
    settings = {name: value for name, value in given.items() if value is not None}
    if not wanted:
        if settings:
            raise UsageError(f"--{next(iter(settings))} is for --dynamic", hint="Add --dynamic.")
        return None
    from charlstm.cli.interrupts import load_torch

    load_torch()
    from charlstm.evaluation.dynamic import DynamicConfig

    return DynamicConfig(**settings)


def _check_causal(saved: Checkpoint, path: Path) -> None:
    from charlstm.checkpoint.format import check_writes_on

    check_writes_on(saved, path, lacking="has no order in which to learn from a text")


def _corpus(sources: list[str], saved: Checkpoint, encoding: str | None, cache: Path) -> Corpus:
    from charlstm.corpora.sources import open_sources

    newlines = saved.config["data"]["newlines"]
    return open_sources(tuple(sources), encoding=encoding, newlines=newlines, stdin=sys.stdin.buffer, cache=cache)


# ---- which word is the model -------------------------------------------------------------------------------------


def _model_and_sources(words: list[str], root: Path) -> tuple[str | None, list[str]]:
    """The reference of the model, None for the default one, and the sources of the text.

    Raises:
        UsageError: there is no text; or a single word means both a model and a text.
        NotFoundError: the first of several words is neither.
    """
    if not words:
        raise UsageError("no TEXT to score", hint="Try: charlstm eval other.txt")
    first, *others = words
    model = _model_file(first, root)
    if model is None:
        if others and not _is_text(first, None):
            _raise_not_found(first, root)
        return None, words
    if others:
        return first, others
    if _is_text(first, model):
        hint = f"For the text: charlstm eval latest {first}; for the model: charlstm eval {first} TEXT"
        raise UsageError(f"{first!r} is a model and also a text", hint=hint)
    raise UsageError(f"{first!r} is a model, and the TEXT is missing", hint=f"Try: charlstm eval {first} other.txt")


def _model_file(word: str, root: Path) -> Path | None:
    """The model file that a word refers to; a text is none, though `Store.find` accepts any file."""
    from charlstm.checkpoint.format import read_header
    from charlstm.checkpoint.store import Store

    try:
        path = Store(root).find(word)
        if path.suffix != ".safetensors":
            read_header(path)
    except CheckpointError:
        return None
    except CharlstmError as fault:
        # A run without a model, or a file that cannot be read, is reported when it is loaded.
        return Path(fault.where) if word in _runs(root) else None
    return path


def _runs(root: Path) -> set[str]:
    from charlstm.checkpoint.store import Store

    return {entry.name for entry in Store(root).runs()}


def _is_text(word: str, model: Path | None) -> bool:
    """Whether a word names a text; a file or folder that is the model itself is none."""
    from charlstm.corpora.sources import STDIN, names
    from charlstm.corpora.synthetic import PREFIX

    path = Path(os.path.expanduser(word))
    is_model = model is not None and path in (model, model.parent)
    named = word in (STDIN, *names()) or word.startswith(PREFIX)
    return named or (os.path.lexists(path) and not is_model) or any(sign in word for sign in "*?[")


def _raise_not_found(word: str, root: Path) -> None:
    from charlstm.checkpoint.store import Store

    Store(root).find(word)


# ---- scoring -----------------------------------------------------------------------------------------------------


class _Scorer:
    """A model on its device and a text, to be scored in one way or two.

    Args:
        saved: the model.
        text: encoded with its tokenizer.
        device: as torch names it; None is the fastest.
        exact: read the text in order and in fp32, whatever its length.
    """

    def __init__(self, saved: Checkpoint, text: EncodedText, device: str | None, *, exact: bool) -> None:
        from charlstm.cli.interrupts import load_torch

        load_torch()
        from charlstm.engine.load import torch_model
        from charlstm.evaluation.method import choose_method
        from charlstm.sampling.prompts import opening
        from charlstm.tokenizers import from_state
        from charlstm.training.plan.probe import best_device

        self.tokenizer: Tokenizer = from_state(saved.tokenizer)
        self.device = device or best_device()
        self._model: CharLM = torch_model(saved, self.device)
        self._text = text
        self._seq_len: int = saved.config["data"].get("seq_len", 0)
        self._bos_ids = opening(self.tokenizer)
        self._method = choose_method(self._model, text.ids, self._bos_ids, self._seq_len, exact=exact)

    @property
    def bidirectional(self) -> bool:
        return self._model.config.bidirectional

    def trained(self, *, by_token: bool) -> Score | ScoreSummary:
        """The score by the network as it was trained; ``by_token`` keeps every token's loss."""
        from charlstm.evaluation.method import text_losses

        losses = text_losses(self._model, self._text.ids, self._bos_ids, self._seq_len, self._method)
        return self._collected("scoring", losses, exact=self._method.exact, by_token=by_token)

    def dynamic(self, config: DynamicConfig, *, by_token: bool) -> Score | ScoreSummary:
        """The score by a copy that learns from the text; ``by_token`` keeps every token's loss."""
        import numpy as np

        from charlstm.evaluation.dynamic import dynamic_losses

        losses = dynamic_losses(self._model, self._text.ids, np.array(self._bos_ids), config)
        return self._collected("learning", losses, exact=True, by_token=by_token)

    def description(self, path: Path) -> str:
        """Which model scored, where and how: ``checkpoints/my-1: in 32 parallel streams, in bf16, on cpu …``."""
        where = path.parent if path.name == "model.safetensors" else path
        if self.bidirectional:
            return f"{where}: each token given those around it, in {self._method.precision}, on {self.device}"
        streams = "in order" if self._method.streams == 1 else f"in {self._method.streams} parallel streams"
        remedy = "exact" if self._method.exact else "--exact reads it in order, in fp32"
        return f"{where}: {streams}, in {self._method.precision}, on {self.device} ({remedy})"

    def _collected(self, action: str, losses: Losses, *, exact: bool, by_token: bool) -> Score | ScoreSummary:
        from charlstm.evaluation.score import Method, score_tokens, summarize

        method = Method() if exact else self._method
        with _token_bar(action, len(self._text.ids), losses) as shown:
            if by_token:
                return score_tokens(shown, self._text, self.tokenizer, method)
            return summarize(shown, self._text, method)


@contextmanager
def _token_bar(action: str, tokens: int, losses: Losses) -> Iterator[Losses]:
    """The same losses, with a progress bar, and with fewer threads while other programs want the cores."""
    import torch
    from tqdm import tqdm

    from charlstm.cpu import Threads

    most = torch.get_num_threads()
    threads = Threads(most, torch.set_num_threads)

    def counted() -> Iterator[Any]:
        last = time.monotonic()
        for positions, values in losses:
            yield positions, values
            bar.update(len(positions))
            last, before = time.monotonic(), last
            threads.after_step((last - before) / len(positions))

    with tqdm(
        total=tokens, desc=action, unit="tok", unit_scale=True, delay=1.0, leave=False, file=sys.stderr,
        disable=not is_terminal(sys.stderr), dynamic_ncols=True,
    ) as bar:  # fmt: skip
        try:
            yield counted()
        finally:
            torch.set_num_threads(most)


def _compressors(text: Any) -> dict[str, float]:
    from charlstm.cli.compressors import bits_per_byte

    with bytes_bar("compressing with gzip, bzip2 and xz", quiet=False) as progress:
        return bits_per_byte(text.utf8(progress))


def _show(
    scores: list[Score | ScoreSummary],
    compressors: dict[str, float],
    scorer: _Scorer,
    config: DynamicConfig | None,
    checkpoint: str,
    *,
    surprise: bool,
    json_out: bool,
) -> None:
    from charlstm.cli.views import score as view
    from charlstm.cli.views.surprise import show

    if json_out:
        trained, *learned = map(view.figures, scores)
        values = {"checkpoint": checkpoint, **trained, "compressors_bits_per_byte": compressors}
        if config is not None:
            values["dynamic"] = {**asdict(config), **learned[0]}
        view.write_json(values)
    elif surprise:
        show(scores[-1])  # type: ignore[arg-type]
    else:
        view.print_table(scores, compressors, of_bytes=scorer.tokenizer.kind == "byte")
