"""``charlstm sample``: text in the style of what a network was trained on, as it is drawn."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from charlstm.cli import options
from charlstm.cli.load_model import Loaded, describe, fitted_prompt, load, one_of, prompt_text, told_seed
from charlstm.cli.options import DEFAULT_ROOT, Root
from charlstm.cli.views.stream import Output
from charlstm.cli.views.terminal import is_terminal, say
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.engine.protocol import TextModel
    from charlstm.sampling.sampler import Fragment, SampleConfig
    from charlstm.tokenizers import Tokenizer

EPILOG = """Examples:

\b
  charlstm sample                                the newest run, else the starter
  charlstm sample my-1 --prompt "ROMEO:"         go on from a prompt
  charlstm sample my-1 -t 0.5 --length 0         careful, and endless: Ctrl-C ends it
  charlstm sample my-1 -n 3 --lines 4 --seed 7   three texts of four lines, always the same
  fortune | charlstm sample --prompt -           the prompt from a pipe
  charlstm sample --json | jq .text              for a program
  charlstm sample disk-1 --raw > new.img         bytes, of a model of bytes
"""

app = options.one_command()

_LENGTH = 500
_A_LINE = 1000
"""Tokens a line may have on the average of those asked for: some networks get lost among blanks."""


@app.command(epilog=EPILOG)
def sample(
    checkpoint: options.Model = None,
    prompt: Annotated[str | None, typer.Option("--prompt", "-p", help="Go on from this text; - reads stdin.")] = None,
    prompt_file: options.PromptFile = None,
    length: Annotated[
        int | None,
        typer.Option(
            "--length", "-l", help=f"Tokens to draw; 0 never ends. [default: {_LENGTH}; with --lines {_A_LINE} a line]"
        ),
    ] = None,
    temperature: options.Temperature = 0.8,
    top_k: options.TopK = 0,
    top_p: options.TopP = 1.0,
    min_p: options.MinP = 0.0,
    repetition_penalty: options.RepetitionPenalty = 1.0,
    samples: Annotated[int, typer.Option("-n", "--samples", help="Texts to draw, as one batch.")] = 1,
    seed: options.Seed = None,
    stop: Annotated[
        list[str] | None, typer.Option("--stop", metavar="TEXT", help="End before this text; may be given again.")
    ] = None,
    lines: Annotated[int, typer.Option("--lines", help="End after so many lines; 0 does not count.")] = 0,
    no_echo: Annotated[bool, typer.Option("--no-echo", help="Do not repeat the prompt.")] = False,
    unknown: options.Unknown = "error",
    json_out: Annotated[
        bool, typer.Option("--json", help="One JSON object a text, with each token's log-probability.")
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="Bytes as they are drawn, into a file or pipe; only of a model of bytes.")
    ] = False,
    device: options.Device = "cpu",
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            min=1,
            help="CPU threads. [default: 1; more for wide networks and many texts, while no other program wants them]",
        ),
    ] = None,
    root: Root = DEFAULT_ROOT,
    primetext: options.hidden(str | None, "--primetext", "--prime", "--start") = None,  # type: ignore[valid-type]
) -> None:
    """Write text in the style of what a model has learnt.

    The text goes to stdout as it is drawn, everything else to stderr. Several texts (-n) come one after the other, each
    under a line "=== 1 of 3 ===". On a terminal control characters are shown, not obeyed; a pipe gets the bytes as
    they are. Log-probabilities are the model's own: in nats, at temperature 1, before any filter.
    """
    from charlstm.sampling.sampler import SampleConfig

    if samples < 1:
        raise UsageError(f"-n {samples}: at least one text")
    config = SampleConfig(
        length=(_A_LINE * max(lines, 0) or _LENGTH) if length is None else length,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        stop=tuple(stop or ()),
        lines=lines,
        seed=told_seed(seed),
    )
    loaded = load(checkpoint, root, device, threads)
    _check_endings(config, loaded.model.tokenizer, "--json" if json_out else "-n" if samples > 1 else "")
    if raw:
        _check_raw(loaded.model.tokenizer, "--json" if json_out else "-n" if samples > 1 else "")
    text = prompt_text(one_of(prompt, primetext, name="--prompt"), prompt_file, loaded)
    text = fitted_prompt(loaded.model.tokenizer, text, unknown)
    say(describe(loaded, seed=config.seed))
    output = Output()
    fragments = _draw(loaded, text, config, samples, raw=raw, with_log_probabilities=json_out)
    if lines and length is None:
        fragments = _telling_of_cuts(fragments, config)
    try:
        if json_out:
            _as_json(output, loaded, text, config, fragments)
        else:
            _as_text(output, "" if no_echo else text, fragments, samples)
    except KeyboardInterrupt:
        output.end_line()
        raise typer.Exit(130) from None
    except BrokenPipeError:  # whoever read has read enough; Typer would leave with 1
        raise typer.Exit(0) from None


def _check_endings(config: SampleConfig, tokenizer: Tokenizer, whole: str) -> None:
    """See that the texts can end as asked: ``whole`` is the option that needs whole texts, if any.

    Raises:
        UsageError: they cannot.
    """
    if whole and not (config.length or config.stop or config.lines):
        raise UsageError(f"{whole} needs an end", hint="Give --length, --lines or --stop.")
    if config.lines and tokenizer.unknown_characters("\n"):
        raise UsageError("--lines: this model has no newline in its alphabet, so no line ever ends")
    for stop in config.stop:
        strangers = tokenizer.unknown_characters(stop)
        if strangers:
            hint = "In most shells a newline is typed as $'\\n'." if "\\n" in stop else ""
            what = f"--stop '{stop}' can never come: the model does not know '{strangers[0]}'"
            raise UsageError(what, hint=hint)


def _check_raw(tokenizer: Tokenizer, parts: str) -> None:
    """See that bytes can be written as they are: ``parts`` is the option that asks for more than one text's, if any.

    Raises:
        UsageError: they cannot.
    """
    if tokenizer.kind != "byte":
        raise UsageError("--raw: this model was not trained on bytes, so it writes text", hint="Leave --raw out.")
    if parts:
        raise UsageError(f"--raw writes the bytes of one text and nothing else, so {parts} cannot be with it")
    if is_terminal(sys.stdout):
        raise UsageError("--raw: a terminal would obey such bytes", hint="Send them into a file: --raw > FILE")


def _draw(
    loaded: Loaded[TextModel], prompt: str, config: SampleConfig, samples: int, **wanted: bool
) -> Iterator[Fragment]:
    from charlstm.sampling import sampler as sampling

    ids = loaded.model.tokenizer.encode(prompt)
    return in_order(sampling.sample(loaded.model, ids, config, rows=samples, **wanted), samples)


def _telling_of_cuts(fragments: Iterable[Fragment], config: SampleConfig) -> Iterator[Fragment]:
    """The same, and at the end a word about texts that did not come to their lines."""
    cut = 0
    for fragment in fragments:
        cut += fragment.ending == "length"
        yield fragment
    if cut:
        what = "ended" if cut == 1 else f"ended, {cut} times,"
        say(f"{what} after {config.length:,} tokens without {config.lines} line ends; --length 0 would go on")


def in_order(fragments: Iterable[Fragment], rows: int) -> Iterator[Fragment]:
    """Row after row of what is drawn side by side: the first row at once, each other when those before it are whole."""
    waiting: list[list[Fragment]] = [[] for _ in range(rows)]
    current = 0
    for fragment in fragments:
        waiting[fragment.row].append(fragment)
        while current < rows and waiting[current]:
            ready, waiting[current] = waiting[current], []
            yield from ready
            if not ready[-1].ending:
                break
            current += 1


def _as_text(output: Output, prompt: str, fragments: Iterable[Fragment], samples: int) -> None:
    """Print texts, each with the prompt before it."""
    begun = 0
    for fragment in fragments:
        if fragment.row == begun:
            begun += 1
            if samples > 1:
                output.rule(f"{begun} of {samples}")
            output.write(prompt)
        output.write(fragment.text)
        if fragment.ending and samples > 1:
            output.end_line()
    if output.terminal:
        output.end_line()  # the shell's next line must not begin in the middle; a pipe gets no byte more than the text
    output.flush()


def _as_json(
    output: Output, loaded: Loaded[TextModel], prompt: str, config: SampleConfig, fragments: Iterable[Fragment]
) -> None:
    """Print one object a text. ASCII only: no character can do harm to a terminal, or get lost on the way."""
    common = {"checkpoint": str(loaded.path), "sha256": loaded.checkpoint.sha256, **asdict(config), "prompt": prompt}
    tokenizer = loaded.model.tokenizer
    text, tokens = "", []
    for fragment in fragments:
        text += fragment.text
        piece = tokenizer.token_bytes(fragment.token).decode("utf-8", "replace")
        tokens.append({"text": piece, "id": fragment.token, "log_probability": fragment.log_probability})
        if fragment.ending:
            about = {"sample": fragment.row + 1, "text": text, "ending": fragment.ending, "tokens": tokens}
            output.write(json.dumps(common | about) + "\n")
            text, tokens = "", []
    output.flush()
