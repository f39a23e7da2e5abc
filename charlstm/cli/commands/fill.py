"""``charlstm fill``: the likeliest text for the blanks of a text."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charlstm.cli import options
from charlstm.cli.load_model import Loaded, describe, prompt_text, read_model, seed_or_random
from charlstm.cli.options import DEFAULT_ROOT, Root
from charlstm.cli.views.stream import writable
from charlstm.cli.views.terminal import is_terminal, say, stdout_console, visible
from charlstm.errors import CharlstmError, UsageError

if TYPE_CHECKING:
    from rich.text import Text

    from charlstm.filling.config import Filling

EPILOG = """Blanks:

\b
  ____         as many characters as underscores
  {}           1 to 12 characters
  {3-9}  {5}   3 to 9 characters, 5 characters
  \\_  \\{       a literal underscore, a literal brace

Examples:

\b
  charlstm fill "I have n_v_r s_en the s_a."
  charlstm fill "The s__ was rising." -n 3                three answers, each with its probability
  charlstm fill my-1 "I have {} seen the {3-9}." -n 5     with the run my-1
  charlstm fill "She {} and left." -t 0.8 --seed 7        a random answer, always the same
  charlstm fill - -n 3 --json < letter.txt                for a program, the text from a file
  charlstm train my.txt --bidirectional --name both       a network that sees both sides,
  charlstm fill both "The s__ was rising."                and what it fills in
"""

app = options.one_command()


@app.command(epilog=EPILOG)
def fill(
    checkpoint: options.Model = None,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT", help="A text with blanks, in quotes; - reads stdin.", show_default=False),
    ] = None,
    count: Annotated[int, typer.Option("-n", "--alternatives", help="Number of answers, all different.")] = 1,
    temperature: Annotated[
        float, typer.Option("--temperature", "-t", help="0 gives the likeliest answers; above 0 they are random draws.")
    ] = 0.0,
    candidates: Annotated[
        int, typer.Option("--candidates", help="Beam width: more candidates find better answers, more slowly.")
    ] = 100,
    newlines: Annotated[bool, typer.Option("--newlines", help="Allow newlines in a blank.")] = False,
    seed: options.Seed = None,
    unknown: options.Unknown = "error",
    json_out: Annotated[bool, typer.Option("--json", help="One JSON object per answer.")] = False,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Fill the blanks in a text.

    Every network can do it, in one of two ways. A causal network proposes many ways to continue the left side, and
    chooses the one that makes the text on the right likeliest. A network trained with --bidirectional sees both sides
    as it proposes: that is quicker, but such a network can do nothing else. Try both kinds: after equal training time
    the causal network has learnt more.

    With -n each answer has its share of the probability of all candidates. If a text ends with a blank, a word is
    assumed to end there. For a model of bytes or of word pieces, the length of a blank counts those. A terminal shows
    control characters instead of obeying them; a pipe gets them unchanged.
    """
    from charlstm.engine.load import load_engine_with_threads
    from charlstm.filling import fill as filling
    from charlstm.filling.blanks import parse
    from charlstm.filling.config import FillConfig
    from charlstm.filling.readers import reader_of
    from charlstm.sampling.prompts import parse_unknown

    reference, text = _parse_words(checkpoint, words or [], root)
    random = temperature > 0
    config = FillConfig(count, temperature, candidates, newlines, seed_or_random(seed) if random else seed)
    if text != "-":
        parse(text)  # reports a text without blanks before a model is read
    choice = parse_unknown(unknown)
    path, checkpoint_file = read_model(reference, root)
    engine = load_engine_with_threads(checkpoint_file)
    loaded = Loaded(path, checkpoint_file, engine)
    text = prompt_text(text, None, loaded, "text")
    typed, fitted, notes = filling.fit_text(engine.tokenizer, text, choice)
    for note in notes:
        say(f"text: {note}")
    say(describe(loaded, **({"seed": config.seed} if random else {})))
    try:
        record = checkpoint_file.writing.record
        answers = filling.fill(reader_of(engine), engine.tokenizer, fitted, config, shown=typed, record=record)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if json_out:
        common = {"checkpoint": str(path), "sha256": checkpoint_file.sha256, **asdict(config)}
        for answer in answers:
            print(json.dumps(common | asdict(answer)))
    else:
        _show(typed.texts, answers)
    if len(answers) < count:
        say(f"there are only {len(answers)} different answers" if len(answers) != 1 else "there is only one answer")


def _parse_words(first: str | None, others: list[str], root: Path) -> tuple[str | None, str]:
    """The checkpoint if one is named, and the text."""
    if first is None:
        raise UsageError("there is no text to fill", hint='Try: charlstm fill "I have n_v_r s_en the s_a."')
    if len(others) > 1:
        raise UsageError("the text has to be one word", hint='Put it in quotes: charlstm fill "The s__ was rising."')
    if others:
        return first, others[0]
    if first != "-" and not set("_{") & set(first):
        from charlstm.checkpoint.references import find_model
        from charlstm.checkpoint.store import Store

        try:
            find_model(Store(root), first)
        except CharlstmError:
            return None, first
        raise UsageError(f"{first} is a run, and the text is missing", hint="Put it after the run, in quotes.")
    return None, first


def _show(texts: tuple[str, ...], answers: list[Filling]) -> None:
    """Print each answer, its fillings highlighted on a terminal; if there are several, each with its probability."""
    lines = [_highlighted(texts, answer) for answer in answers]
    end = "" if len(answers) == 1 and lines[0].plain.endswith("\n") else "\n"
    if not is_terminal(sys.stdout):  # a pipe gets them unchanged, with the blanks at their ends
        for line, answer in zip(lines, answers, strict=True):
            share = f"{_percent(answer.probability):>4}  " if len(answers) > 1 else ""
            print(f"{share}{line.plain}", end=end)
        return
    from rich.table import Table

    console = stdout_console()  # which folds lines between words
    if len(answers) == 1:
        console.print(lines[0], end=end)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for line, answer in zip(lines, answers, strict=True):
        table.add_row(_percent(answer.probability), line)
    console.print(table)


def _highlighted(texts: tuple[str, ...], answer: Filling) -> Text:
    """The text with its fillings in bold and underlined."""
    from rich.text import Text

    shown = visible if is_terminal(sys.stdout) else writable
    line = Text()
    for part, filling in zip(texts, (*answer.blanks, ""), strict=True):
        line.append(shown(part)).append(shown(filling), "bold underline")
    return line


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else "<1%"
