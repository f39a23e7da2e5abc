"""``charlstm fill``: what stands in the blanks of a text, as a network guesses it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from charlstm.cli import options
from charlstm.cli.loading import Loaded, describe, one_blas_thread, prompt_text, read_model, told_seed, unknown_choice
from charlstm.cli.options import DEFAULT_ROOT, Root
from charlstm.cli.render import is_terminal, say, stdout_console, visible
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.blanks import Blanked
    from charlstm.filling import Filling

EPILOG = """Blanks:

\b
  ____         as many characters as underscores
  {}           some characters, 1 to 12
  {3-9}  {5}   so many characters
  \\_  \\{       an underscore, a brace

Examples:

\b
  charlstm fill "the color of the sky is ____"
  charlstm fill my-1 "I have {} seen the {3-9}." -n 5     five answers, by the run my-1
  charlstm fill "She {} and left." -t 0.8 --seed 7        a drawn one, always the same
  charlstm fill - -n 3 --json < letter.txt                for a program, the text from a pipe
  charlstm train my.txt --bidirectional -n both           a network that sees both sides
  charlstm fill both "the color of the sky is ____"
"""


def fill(
    checkpoint: Annotated[
        str | None,
        typer.Argument(metavar="CHECKPOINT", help="A run, as in sample; may be left out.", show_default=False),
    ] = None,
    text: Annotated[
        str | None,
        typer.Argument(metavar="TEXT", help="A text with blanks, in quotes; - reads stdin.", show_default=False),
    ] = None,
    count: Annotated[int, typer.Option("-n", "--alternatives", help="Answers to give, all different.")] = 1,
    temperature: Annotated[
        float, typer.Option("--temperature", "-t", help="0 gives the likeliest; above, answers are drawn.")
    ] = 0.0,
    candidates: Annotated[
        int, typer.Option("--candidates", help="How many are weighed: more find better ones, slower.")
    ] = 100,
    newlines: Annotated[bool, typer.Option("--newlines", help="A blank may run over the end of a line.")] = False,
    seed: options.Seed = None,
    unknown: options.Unknown = "error",
    json_out: Annotated[bool, typer.Option("--json", help="One JSON object an answer.")] = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Fill the blanks in a text.

    Any network can. One that writes on, as all are that were trained without --bidirectional, proposes what may follow
    the left side and weighs each proposal by how likely it makes all that stands to the right. One trained with
    --bidirectional sees both sides at once. The probability is an answer's share among the candidates weighed. Where a
    text ends with a blank, a word is taken to end there. A blank is filled with characters, of a model of bytes or
    parts of words with those.
    """
    one_blas_thread()
    from charlstm import filling
    from charlstm.blanks import parse
    from charlstm.engine import engine_of

    if text is None:  # one word alone is the text
        checkpoint, text = None, checkpoint
    if text is None:
        raise UsageError("what is to be filled?", hint='Try: charlstm fill "the color of the sky is ____"')
    drawn = temperature > 0
    config = filling.FillConfig(count, temperature, candidates, newlines, told_seed(seed) if drawn else seed)
    if text != "-":
        parse(text)  # a text without blanks is told of before a model is read
    path, saved = read_model(checkpoint, root)
    engine = engine_of(saved)
    loaded = Loaded(path, saved, engine)
    blanked = parse(prompt_text(text, None, loaded))
    choice = unknown_choice(unknown, "--unknown")
    blanked, notes = filling.fitted(engine.tokenizer, blanked, choice, remedy="--unknown {}")
    for note in notes:
        say(f"text: {note}")
    say(describe(loaded, **({"seed": config.seed} if drawn else {})))
    try:
        found = filling.fill(filling.reader_of(engine), engine.tokenizer, blanked, config)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if json_out:
        common = {"checkpoint": str(path), "sha256": saved.sha256, **asdict(config)}
        for filling_ in found:
            print(json.dumps(common | asdict(filling_)))
    else:
        _show(blanked, found)


def _show(blanked: Blanked, found: list[Filling]) -> None:
    """Each answer, what was filled in made to stand out where that can be; of several, how likely each is."""
    from rich.text import Text

    console = stdout_console()
    several = len(found) > 1
    for answer in found:
        line = Text()
        if several:
            line.append(f"{_percent(answer.probability):>6}  ", "dim")
        for part, filled in zip(blanked.texts, (*answer.blanks, ""), strict=True):
            line.append(_shown(part)).append(_shown(filled), "bold underline")
        if several and "\n" in line.plain:
            line.append("\n")
        console.print(line, soft_wrap=True, end="" if line.plain.endswith("\n") else "\n")


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else "< 1%"


def _shown(text: str) -> str:
    return visible(text) if is_terminal(sys.stdout) else text
