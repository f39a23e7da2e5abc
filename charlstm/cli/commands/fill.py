"""``charlstm fill``: what stands in the blanks of a text, as a network guesses it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charlstm.cli import options
from charlstm.cli.load_model import Loaded, describe, prompt_text, read_model, told_seed, unknown_choice
from charlstm.cli.options import DEFAULT_ROOT, Root
from charlstm.cli.views.terminal import is_terminal, say, stdout_console, visible
from charlstm.errors import CharlstmError, UsageError

if TYPE_CHECKING:
    from rich.text import Text

    from charlstm.filling.config import Filling

EPILOG = """Blanks:

\b
  ____         as many characters as underscores
  {}           some characters, 1 to 12
  {3-9}  {5}   so many characters
  \\_  \\{       an underscore, a brace

Examples:

\b
  charlstm fill "I have n_v_r s_en the s_a."
  charlstm fill "The s__ was rising." -n 3                three answers and how likely each is
  charlstm fill my-1 "I have {} seen the {3-9}." -n 5     by the run my-1
  charlstm fill "She {} and left." -t 0.8 --seed 7        a drawn one, always the same
  charlstm fill - -n 3 --json < letter.txt                for a program, the text from a pipe
  charlstm train my.txt --bidirectional -n both           a network that sees both sides,
  charlstm fill both "The s__ was rising."                and what it fills
"""

app = options.one_command()


@app.command(epilog=EPILOG)
def fill(
    checkpoint: Annotated[
        str | None,
        typer.Argument(
            metavar="CHECKPOINT",
            help="A run's name, a folder, a file, 'latest' or 'starter'. [default: the newest run, else the starter]",
            show_default=False,
        ),
    ] = None,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT", help="A text with blanks, in quotes; - reads stdin.", show_default=False),
    ] = None,
    count: Annotated[int, typer.Option("-n", "--alternatives", help="Answers to give, all different.")] = 1,
    temperature: Annotated[
        float, typer.Option("--temperature", "-t", help="0 gives the likeliest; above, answers are drawn.")
    ] = 0.0,
    candidates: Annotated[
        int, typer.Option("--candidates", help="How many are compared: more find better ones, slower.")
    ] = 100,
    newlines: Annotated[bool, typer.Option("--newlines", help="A blank may run over the end of a line.")] = False,
    seed: options.Seed = None,
    unknown: options.Unknown = "error",
    json_out: Annotated[bool, typer.Option("--json", help="One JSON object an answer.")] = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Fill the blanks in a text.

    Every network can, in one of two ways. One that writes on guesses a hundred ways to go on from the left side, and
    takes the one after which all that stands to the right is likeliest. One trained with --bidirectional has read both
    sides before it guesses: that is quicker, and it can do nothing else. Try both kinds: in equal time of training the
    one that writes on has learnt more.

    With -n each answer has its share among the candidates that were compared. Where a text ends with a blank, a word is
    taken to end there. A model of bytes, or of parts of words, puts as many of those in a blank.
    """
    from charlstm.engine.auto_threads import own_engine_of
    from charlstm.filling import fill as search
    from charlstm.filling.blanks import parse
    from charlstm.filling.config import FillConfig
    from charlstm.filling.readers import reader_of

    reference, text = _words(checkpoint, words or [], root)
    drawn = temperature > 0
    config = FillConfig(count, temperature, candidates, newlines, told_seed(seed) if drawn else seed)
    if text != "-":
        parse(text)  # a text without blanks is told of before a model is read
    choice = unknown_choice(unknown, "--unknown")
    path, saved = read_model(reference, root)
    engine = own_engine_of(saved)
    loaded = Loaded(path, saved, engine)
    text = prompt_text(text, None, loaded, "text")
    typed, read, notes = search.fitted(engine.tokenizer, text, choice, remedy="--unknown {}")
    for note in notes:
        say(f"text: {note}")
    say(describe(loaded, **({"seed": config.seed} if drawn else {})))
    try:
        found = search.fill(reader_of(engine), engine.tokenizer, read, config, shown=typed)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if json_out:
        common = {"checkpoint": str(path), "sha256": saved.sha256, **asdict(config)}
        for answer in found:
            print(json.dumps(common | asdict(answer)))
    else:
        _show(typed.texts, found)
    if len(found) < count:
        say("there are no more")


def _words(first: str | None, others: list[str], root: Path) -> tuple[str | None, str]:
    """The checkpoint if one is named, and the text.

    Raises:
        UsageError: there is no text, or its words came one by one.
    """
    if first is None:
        raise UsageError("no text to fill", hint='Try: charlstm fill "I have n_v_r s_en the s_a."')
    if len(others) > 1:
        raise UsageError("the text came in several words", hint='Put it in quotes: charlstm fill "The s__ was rising."')
    if others:
        return first, others[0]
    if first != "-" and not set("_{") & set(first):
        from charlstm.checkpoint.references import find_model
        from charlstm.checkpoint.store import Store

        try:
            find_model(Store(root), first)
        except CharlstmError:
            return None, first
        raise UsageError(f"{first} is a run, and the text is missing", hint="Put it behind the run, in quotes.")
    return None, first


def _show(texts: tuple[str, ...], found: list[Filling]) -> None:
    """Each answer, what was filled in made to stand out where that can be; of several, how likely each is."""
    from rich.table import Table

    console = stdout_console()
    fold = is_terminal(sys.stdout)  # between words, and below each other; a pipe gets the lines as they are
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for answer in found:
        line = _marked(texts, answer)
        if len(found) == 1:
            console.print(line, soft_wrap=not fold, end="" if line.plain.endswith("\n") else "\n")
        elif fold:
            table.add_row(_percent(answer.probability), line)
        else:
            print(f"{_percent(answer.probability):>4}  {line.plain}")
    if len(found) > 1 and fold:
        console.print(table)


def _marked(texts: tuple[str, ...], answer: Filling) -> Text:
    """The text with what was filled in bold and underlined."""
    from rich.text import Text

    shown = visible if is_terminal(sys.stdout) else str
    line = Text()
    for part, filled in zip(texts, (*answer.blanks, ""), strict=True):
        line.append(shown(part)).append(shown(filled), "bold underline")
    return line


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else "<1%"
