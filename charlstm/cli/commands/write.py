"""``charlstm write``: a person and a model write a text in turn."""

from __future__ import annotations

from typing import Annotated

import typer

from charlstm.cli import options
from charlstm.cli.load_mix import load_writer
from charlstm.cli.load_model import (
    describe,
    fit_prompt,
    prompt_text,
    reject_filters,
    reject_prompt_words,
    seed_or_random,
)
from charlstm.cli.options import DEFAULT_ROOT, Root
from charlstm.cli.rules import LastingRules, make_rules, settings_of
from charlstm.cli.views.terminal import say
from charlstm.cli.write_session import Session
from charlstm.errors import UsageError

EPILOG = """Examples:

\b
  charlstm write                           with the newest run, else the starter
  charlstm write my-1 --prompt "ROMEO:"    start with this text
  charlstm write my-1 --max-line 60        in lines of at most 60 characters
  charlstm write my-1 > scene.txt          save the finished text to a file
  charlstm write --mix starter:2,my-1:1    with two networks; /mix changes their weights
  printf 'ROMEO:\\n\\n/alt 3\\n2\\n' | charlstm write --seed 1
"""

app = options.one_command()


@app.command(epilog=EPILOG, context_settings=options.EXTRA_WORDS)
@options.gathered
def write(
    context: typer.Context,
    rules: LastingRules,
    checkpoint: options.Model = None,
    mix: options.Mix = None,
    prompt: Annotated[str | None, typer.Option("--prompt", "-p", help="Start with this text.")] = None,
    prompt_file: options.PromptFile = None,
    length: Annotated[int, typer.Option("--length", "-l", help="Tokens the model adds at a time.")] = 100,
    repetition_penalty: options.RepetitionPenalty = 1.0,
    no_repeat: options.NoRepeat = None,
    longest_run: options.LongestRun = None,
    top_k: options.TopK = 0,
    top_p: options.TopP = None,
    min_p: options.MinP = None,
    temperature: options.Temperature = None,
    unfiltered: options.Unfiltered = False,
    seed: options.Seed = None,
    unknown: options.Unknown = "error",
    device: options.Device = "cpu",
    precision: options.Precision = None,
    root: Root = DEFAULT_ROOT,
    cache: options.Cache = None,
) -> None:
    """Write a text together with a model.

    Enter lets the model continue, typed text is added, commands begin with /: see /help. Nothing is computed twice. If
    stdout is not a terminal, it gets the finished text, also after Ctrl-C, and everything else is shown on stderr.
    Lines may come from a pipe; the first that fails ends the session.

    Filters apply in this order, each to what the one before has left: --no-repeat, --longest-run,
    --repetition-penalty, --top-k, --top-p, --min-p, --temperature.
    """
    from charlstm.sampling.config import settings_for
    from charlstm.sampling.cowriter import CoWriter
    from charlstm.sampling.prompts import parse_unknown
    from charlstm.schemas import require

    reject_prompt_words("write", checkpoint, context.args)
    if prompt == "-" or str(prompt_file) == "-":
        raise UsageError("commands come from stdin, so the prompt cannot", hint="Use --prompt-file FILE.")
    if rules.source and not rules.no_copy:
        raise UsageError("--source is for --no-copy", hint="Add --no-copy 40.")
    require("length", length, length >= 1, "1 or more")
    filters = reject_filters(
        unfiltered, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p,
        repetition_penalty=repetition_penalty, no_repeat=no_repeat, longest_run=longest_run,
    )  # fmt: skip
    choice = parse_unknown(unknown)
    loaded = load_writer(checkpoint, mix, root, device, precision=precision)
    config = settings_for(loaded.writing, length=length, seed=seed_or_random(seed), **filters)
    text = fit_prompt(loaded.model.tokenizer, prompt_text(prompt, prompt_file, loaded), unknown)
    kept = make_rules(settings_of(rules, loaded), loaded, rules.source, options.cache_or_default(cache))
    writing = loaded.writing
    writer = CoWriter(loaded.model, config, writing.starts, kept.after if kept else None, writing.record)
    writer.add(text)
    say(describe(loaded, seed=config.seed))
    say("Enter lets the model continue, /help lists the commands.")
    Session(writer, choice).run()
