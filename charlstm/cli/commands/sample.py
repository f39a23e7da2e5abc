"""``charlstm sample``: text in the style of a model's training text, as it is drawn."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charlstm.cli import options
from charlstm.cli.drawing import Drawing
from charlstm.cli.load_mix import load_writer
from charlstm.cli.load_model import (
    Loaded,
    describe,
    fit_prompt,
    hints_without_encoding,
    one_of,
    prompt_text,
    reject_filters,
    reject_prompt_words,
    seed_or_random,
)
from charlstm.cli.options import DEFAULT_ROOT, Root
from charlstm.cli.rules import AllRules, make_rules, settings_of, shown
from charlstm.cli.views.pages import Forms
from charlstm.cli.views.stream import Output
from charlstm.cli.views.terminal import is_terminal, say
from charlstm.cli.views.texts import Printer, TextsAsJson
from charlstm.cli.ways import Choice, parse_choice, say_how_to_go_on
from charlstm.errors import CharlstmError, UsageError

if TYPE_CHECKING:
    from charlstm.checkpoint.known import KnownRecords
    from charlstm.sampling.config import SampleConfig
    from charlstm.sampling.guides import Guide
    from charlstm.sampling.rules.from_settings import RuleSettings
    from charlstm.tokenizers import Tokenizer

EPILOG = """Examples:

\b
  charlstm sample                                the newest run, else the starter
  charlstm sample my-1 --prompt "ROMEO:"         continue a prompt
  charlstm sample my-1 -t 0.5 --length 0         careful, and endless: Ctrl-C ends it
  charlstm sample my-1 -n 3 --lines 4 --seed 7   three texts of four lines, always the same
  charlstm sample my-1 --words -t 1.1            wild, in words of the text it learnt
  charlstm sample my-1 --match "The .*[.!]"      one sentence that begins like that
  charlstm sample --starts "S,E,A" --max-line 60 an acrostic, in lines of at most 60 characters
  charlstm sample --rhyme --lines 4              two pairs of lines that rhyme
  charlstm sample my-1 --no-copy 40              no 40 characters in a row from its training text
  charlstm sample my-1 --sweep temperature=0.2..1.4   the same at five temperatures, side by side
  charlstm sample -p "The tide was" --ways 3     three ways to go on, to choose from
  charlstm sample -p "The tide was" --pick 2 --seed 7   write on with the second of seed 7
  charlstm sample names-1 -n 20 --new            twenty names that its list does not have
  charlstm sample --mix starter:0.7,my-1:0.3     two networks together, one louder
  fortune | charlstm sample --prompt -           the prompt from a pipe
  charlstm sample --json | jq .text              for a program
  charlstm sample disk-1 --raw > new.img         bytes, from a model of bytes
"""

app = options.one_command()

_LENGTH = 500
_RECORDS = 10
"""Texts drawn by a network that has read a list of them."""
_MOST_TEXTS, _MOST_THREADS = 10_000, 4096
_TOKENS_PER_LINE = 1000
"""Tokens a line may have on average with --lines: some models get stuck among spaces and never end a line."""


@app.command(epilog=EPILOG, context_settings=options.EXTRA_WORDS)
@options.gathered
def sample(
    context: typer.Context,
    rules: AllRules,
    checkpoint: options.Model = None,
    mix: options.Mix = None,
    prompt: Annotated[str | None, typer.Option("--prompt", "-p", help="Continue this text; - reads stdin.")] = None,
    prompt_file: options.PromptFile = None,
    length: Annotated[
        int | None,
        typer.Option(
            "--length",
            "-l",
            help=f"Tokens to draw; 0 is endless. [default: {_LENGTH}; with --lines {_TOKENS_PER_LINE} per line]",
        ),
    ] = None,
    repetition_penalty: options.RepetitionPenalty = 1.0,
    no_repeat: options.NoRepeat = None,
    longest_run: options.LongestRun = None,
    top_k: options.TopK = 0,
    top_p: options.TopP = None,
    min_p: options.MinP = None,
    temperature: options.Temperature = None,
    unfiltered: options.Unfiltered = False,
    sweep: Annotated[
        str | None,
        typer.Option(
            "--sweep",
            metavar="NAME=A..B",
            help="Compare values of temperature, top_p or min_p: a range, or a list 0.5,0.8,1.",
        ),
    ] = None,
    ways: Annotated[
        int | None, typer.Option("--ways", metavar="N", help="Show N ways to go on, each to the end of a sentence.")
    ] = None,
    pick: Annotated[
        str | None,
        typer.Option(
            "--pick", metavar="N", help="Write on with one of the --ways of a --seed; 2,1 after two such choices."
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            "-n", "--samples", help=f"Number of texts, drawn as one batch. [default: 1; of a list of texts {_RECORDS}]"
        ),
    ] = None,
    new: Annotated[
        bool, typer.Option("--new", help="Of a list of texts: leave out those that the model has read.")
    ] = False,
    seed: options.Seed = None,
    stop: Annotated[
        list[str] | None, typer.Option("--stop", metavar="TEXT", help="End before this text; may be repeated.")
    ] = None,
    stop_after: Annotated[
        list[str] | None, typer.Option("--stop-after", metavar="TEXT", help="End with this text; may be repeated.")
    ] = None,
    lines: Annotated[int, typer.Option("--lines", help="End after this number of lines; 0 is no limit.")] = 0,
    no_echo: Annotated[bool, typer.Option("--no-echo", help="Do not print the prompt.")] = False,
    unknown: options.Unknown = "error",
    json_out: Annotated[
        bool, typer.Option("--json", help="One JSON object per text, with each token's log-probability.")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="With --sweep: also as one page for a browser.", callback=options.expanded
        ),
    ] = None,
    png: Annotated[
        Path | None,
        typer.Option(
            "--png",
            metavar="FILE",
            help="With --sweep: also as a picture; needs matplotlib.",
            callback=options.expanded,
        ),
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Bytes as they are drawn, into a file or pipe; only for models of bytes.")
    ] = False,
    device: options.Device = "cpu",
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            help="CPU threads. [default: 1; more for wide networks and many texts, if cores are idle]",
        ),
    ] = None,
    precision: options.Precision = None,
    root: Root = DEFAULT_ROOT,
    cache: options.Cache = None,
    primetext: options.hidden(str | None, "--primetext", "--prime", "--start") = None,  # type: ignore[valid-type]
) -> None:
    """Write text in the style of what a model has learnt.

    The text goes to stdout as it is drawn, everything else to stderr. Several texts (-n) come one after the other, each
    under a line "=== 1 of 3 ===". A terminal shows control characters instead of obeying them; a pipe gets them
    unchanged.

    A model that has read a list of texts (names, tweets: `charlstm train --records`) draws whole ones, all different,
    those that its list does not have before the others.

    With --ways it shows several ways to go on, and how surprising each is to the network. --pick 2 with their seed
    writes the second one to the end; --pick 2 with --ways shows the ways after it, from which --pick 2,1 chooses.

    With --mix several networks write together: at every token their predictions are mixed, each as strongly as its
    weight says. They write with the settings of the one with the largest weight.

    Without a prompt it begins where a paragraph or line of its training text could begin. Temperature, top-p, min-p
    and no-repeat are stored with the network (`charlstm checkpoints show`); --unfiltered leaves its distribution as it
    is.

    The rules --match, --starts, --max-line, --words, --no-copy and --rhyme hold together. No text gets stuck between
    them: a character after which they could not all be kept is left out, too. At its length a text goes on to where
    they let it end. They are about what is drawn, after the prompt; but a line, a word or a copy that begins in the
    prompt counts. Under --match, --starts and --max-line eight texts are drawn for each, and the one is kept that the
    rules fit best: so lines end between words. --particles says how many.

    Filters apply in this order, each to what the one before has left: --no-repeat, --longest-run,
    --repetition-penalty, --top-k, --top-p, --min-p, --temperature. Log-probabilities are the model's own: in nats, at
    temperature 1, before any filter.
    """
    from charlstm.sampling.config import settings_for

    reject_prompt_words("sample", checkpoint, context.args)
    _check_numbers(samples, threads)
    choice = parse_choice(ways, pick, seed, **{"-n": samples, "--sweep": sweep, "--new": new, "--raw": raw})
    forms = Forms(html, png, json_out)
    swept = _swept(sweep, rules, forms, samples)
    if swept:
        _check_sweep(swept[0], new, temperature=temperature, top_p=top_p, min_p=min_p)
    filters = reject_filters(
        unfiltered, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p,
        repetition_penalty=repetition_penalty, no_repeat=no_repeat, longest_run=longest_run,
    )  # fmt: skip
    if mix is not None:
        _check_mix(sweep, rules.no_copy or None)
    loaded = load_writer(checkpoint, mix, root, device, threads, precision)
    writing = loaded.writing
    kept = settings_of(rules, loaded)
    default_length = 0 if writing.record else _TOKENS_PER_LINE * max(lines, len(kept.starts)) or _LENGTH
    config = settings_for(
        writing,
        length=default_length if length is None else length,
        stop=tuple(stop or ()),
        stop_after=tuple(stop_after or ()),
        lines=lines,
        seed=seed_or_random(seed),
        **filters,
    )
    as_list = bool(writing.record) and not raw
    samples = samples or (_RECORDS if as_list else 1)
    _check_new(new, loaded.records)
    needs_end = "--sweep" if swept else "--json" if json_out else "-n" if samples > 1 else ""
    _check_ends(config, loaded.model.tokenizer, needs_end)
    if raw:
        _check_raw(loaded.model.tokenizer, needs_end)
    text = prompt_text(one_of(prompt, primetext, name="--prompt"), prompt_file, loaded)
    text = fit_prompt(loaded.model.tokenizer, text, unknown)
    folder = options.cache_or_default(cache)
    made = make_rules(kept, loaded, rules.source, folder)
    if choice:
        _check_fits_ways(kept)
    guide, rhymes = (made.after(text), made.rhymes) if made and not choice else (None, None)
    say(describe(loaded, seed=config.seed))
    if samples > 1 and (config.temperature == 0 or config.top_k == 1) and not swept:
        say(f"all {samples} texts will be the same: only the likeliest token is ever drawn")
    as_json = TextsAsJson(loaded, text, config, shown(kept)) if json_out else None
    scored = json_out or bool(swept)
    drawing = Drawing(loaded, text, config, samples, guide, made.particles if made else 1, rhymes, scored)
    echo = "" if no_echo else text
    if swept and isinstance(loaded, Loaded):
        from charlstm.cli.sweep import present_sweep

        with hints_without_encoding():
            present_sweep(
                loaded, drawing.each, config, swept, forms, echo=echo, sources=rules.source, cache=folder
            )  # fmt: skip
        return
    if choice:
        chosen = _choose(choice, drawing, echo, as_json, lambda before: made.after(before) if made else None)
        if chosen is None:
            return
        drawing, echo = chosen
        as_json = as_json and as_json.after(drawing.prompt)
    with _until_it_ends() as output:
        printer = Printer(output, drawing, echo, as_json)
        if as_list:
            printer.records(new_only=new)
        else:
            printer.texts(raw=raw, cuts_are_told=bool(lines) and length is None)


@contextmanager
def _until_it_ends() -> Iterator[Output]:
    """Where the texts go. Whatever ends them, an open line is ended."""
    output = Output()
    try:
        yield output
    except KeyboardInterrupt:
        output.end_line()
        raise typer.Exit(130) from None
    except CharlstmError:
        output.end_line()
        raise
    except BrokenPipeError:  # the reader has seen enough; Typer would exit with 1
        raise typer.Exit(0) from None


def _choose(
    choice: Choice,
    drawing: Drawing,
    echo: str,
    as_json: TextsAsJson | None,
    guide_after: Callable[[str], Guide | None],
) -> tuple[Drawing, str] | None:
    """Show the ways after the choices that were made; or return what draws the last one, and the text before it."""
    from charlstm.cli.views.ways import show_ways

    if drawing.loaded.writing.record:
        what = "--ways and --pick are for a model that has read one text, and this one has read a list"
        raise UsageError(what, hint="Draw some of its texts with -n.")
    branches = choice.branches(drawing.loaded, drawing.config, guide_after)
    path = choice.path if choice.shown else choice.path[:-1]
    so_far = branches.text_of(drawing.prompt, path)
    text = drawing.prompt + so_far
    if not choice.shown:
        draw = partial(branches.write_on, text, path, choice.path[-1])
        return replace(drawing, prompt=text, draw=draw), echo + so_far
    ways = branches.ways(text, path)[: choice.ways]
    if as_json is None:
        show_ways(echo + so_far, ways)
    else:
        output, lines = Output(), as_json.after(text)
        for number, way in enumerate(ways, 1):
            output.write(lines.line(number, way.fragments, bits_per_char=way.bits_per_char))
        output.flush()
    say_how_to_go_on(choice, drawing.config.seed)
    return None


def _check_numbers(samples: int | None, threads: int | None) -> None:
    if samples is not None and not 1 <= samples <= _MOST_TEXTS:
        raise UsageError(f"-n {samples} must be 1 to {_MOST_TEXTS:,}")
    if threads is not None and not 1 <= threads <= _MOST_THREADS:
        raise UsageError(f"--threads {threads} must be 1 to {_MOST_THREADS}")


def _check_fits_ways(kept: RuleSettings) -> None:
    if kept.rhyme:
        raise UsageError("--ways and --pick are for sentences, and --rhyme writes pairs of lines")
    if (kept.particles or 1) > 1:
        raise UsageError("--ways and --pick are for single texts, and --particles draws one of many")


def _swept(
    sweep: str | None, rules: AllRules, forms: Forms, samples: int | None
) -> tuple[str, tuple[float, ...]] | None:
    """What is swept and its values; None without ``--sweep``, and then no option that is only for it."""
    if sweep is None:
        for option, file in (("--html", forms.html), ("--png", forms.png)):
            if file is not None:
                raise UsageError(f"{option} is for --sweep", hint="Add --sweep temperature=0.2..1.4.")
        if rules.source and not rules.no_copy:
            raise UsageError("--source is for --no-copy and --sweep", hint="Add --no-copy 40.")
        return None
    from charlstm.inspect.sweep import parse_sweep

    forms.check()
    if samples not in (None, 1):
        raise UsageError(f"-n {samples}: --sweep draws one text at each value", hint="Leave -n out.")
    return parse_sweep(sweep)


def _check_mix(sweep: str | None, no_copy: int | None) -> None:
    """Check that nothing is asked for that needs the training text of one network."""
    for option, value in (("--sweep", sweep), ("--no-copy", no_copy)):
        if value is not None:
            raise UsageError(f"--mix and {option} exclude each other", hint="Leave one of them out.")


def _check_sweep(swept: str, new: bool, **given: float | None) -> None:
    """Check that nothing is asked for that a sweep leaves aside; ``given`` are the settings that can be swept."""
    if new:
        raise UsageError("--new and --sweep exclude each other", hint="Leave one of them out.")
    if given[swept] is not None:
        option = f"--{swept.replace('_', '-')}"
        raise UsageError(f"{option} and --sweep {swept}=… exclude each other", hint=f"Leave {option} out.")


def _check_ends(config: SampleConfig, tokenizer: Tokenizer, needs_end: str) -> None:
    """Check that the texts can end; ``needs_end`` is the option that needs whole texts, if there is one."""
    if needs_end and not config.ends:
        raise UsageError(f"{needs_end} needs texts that end", hint="Give --length, --lines, --stop or --stop-after.")
    if config.lines and tokenizer.unknown_characters("\n"):
        raise UsageError("--lines cannot be used: this model has no newline in its alphabet")
    for option, texts in (("--stop", config.stop), ("--stop-after", config.stop_after)):
        for text in texts:
            unknown = tokenizer.unknown_characters(text)
            if unknown:
                what = f"{option} '{text}' can never occur: this model has no '{unknown[0]}' in its alphabet"
                raise UsageError(what, hint="In most shells a newline is typed as $'\\n'." if "\\n" in text else "")


def _check_new(new: bool, records: KnownRecords) -> None:
    if new and not len(records):
        what = "--new is for a model that has read a list of texts and knows which"
        raise UsageError(what, hint="Train one with --records lines.")


def _check_raw(tokenizer: Tokenizer, other: str) -> None:
    """Check that raw bytes can be written; ``other`` is an option that excludes them, if there is one."""
    if tokenizer.kind != "byte":
        raise UsageError("--raw: this model was not trained on bytes, so it writes text", hint="Leave --raw out.")
    if other:
        raise UsageError("--raw writes the bytes of one text and nothing else", hint=f"Leave {other} out.")
    if is_terminal(sys.stdout):
        raise UsageError("--raw: a terminal would obey such bytes", hint="Write them into a file: --raw > FILE")
