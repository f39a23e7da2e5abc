"""``charlstm inspect``: look into a trained network while it reads a text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charlstm.cli import options
from charlstm.cli.lazy_group import LINES
from charlstm.cli.options import DEFAULT_ROOT, Cache, Root
from charlstm.cli.reading import Asked, Read, read_subject
from charlstm.cli.views.pages import Html, Json, Png, check_forms, present_page
from charlstm.cli.views.terminal import say

if TYPE_CHECKING:
    from charlstm.inspect.pages.units import Told
    from charlstm.inspect.units import Finding

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help=LINES["inspect"])


def _examples(*lines: str) -> str:
    return "\b\nExamples:\n" + "\n".join(f"  charlstm inspect {line}" for line in lines)


Text = Annotated[
    str | None,
    typer.Argument(metavar="TEXT", help="What it reads. [default: what it was validated on]", show_default=False),
]
File = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="Read the text of a file; - is stdin.", show_default=False)
]
At = Annotated[int, typer.Option("--at", help="The character that is shown, from 0; -1 is the last.")]
Length = Annotated[int, typer.Option("--length", min=1, help="Characters of the text that are read.")]
Layer = Annotated[int, typer.Option("--layer", min=1, help="The layer, from 1, the lowest.")]
Member = Annotated[
    str, typer.Option("--stack", help="Of an ensemble a member: layers, layers_2, …; or backwards.", hidden=False)
]


@app.command(epilog=_examples(
    'step starter "The tide was out." --at 4', "step my-1 --unit 7 --unit 12 --layer 2", "step --html step.html"
))  # fmt: skip
def step(
    checkpoint: options.Model = None, text: Text = None, file: File = None, at: At = -1, layer: Layer = 1,
    unit: Annotated[
        list[int] | None, typer.Option("--unit", help="A unit, from 0; may be repeated. [default: the two busiest]")
    ] = None,
    stack: Member = "layers", unknown: options.Unknown = "error", html: Html = None, png: Png = None,
    as_json: Json = False, root: Root = DEFAULT_ROOT, cache: Cache = None,
) -> None:  # fmt: skip
    """The microscope: one step of a layer, every equation with its numbers, in words.

    The page of --html has all characters of the text; ← and → move through them.
    """
    check_forms(html, png)
    from charlstm.inspect.pages.step import MOST_CHARACTERS, step_page

    read = read_subject(Asked(checkpoint, text, file, unknown, root, cache), MOST_CHARACTERS, least=1)
    page = step_page(read.subject, at, stack=stack, layer=layer - 1, units=tuple(unit or ()), foot=read.foot)
    present_page(page, html, png, as_json)


@app.command(epilog=_examples('gates starter "The tide was out."', "gates my-1 --html gates.html", "gates --json"))
def gates(
    checkpoint: options.Model = None, text: Text = None, file: File = None, unknown: options.Unknown = "error",
    html: Html = None, png: Png = None, as_json: Json = False, root: Root = DEFAULT_ROOT, cache: Cache = None,
) -> None:  # fmt: skip
    """Gates, candidate, cell state and hidden state of every unit over a text, as heat maps."""
    check_forms(html, png)
    from charlstm.inspect.pages.gates import MOST_CHARACTERS, gates_page

    read = read_subject(Asked(checkpoint, text, file, unknown, root, cache), MOST_CHARACTERS)
    present_page(gates_page(read.subject, foot=read.foot), html, png, as_json)


@app.command(epilog=_examples(
    "units starter", "units my-1 --file other.txt", r"units --label '\bI\b' --no-hold", "units --html units.html"
))  # fmt: skip
def units(
    checkpoint: options.Model = None, text: Text = None, file: File = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", metavar="REGEX", help="Also look for what follows its matches.")
    ] = None,
    length: Length = 20_000,
    hold: Annotated[bool, typer.Option("--hold/--no-hold", help="Write with the units held high and low.")] = True,
    seed: Annotated[int, typer.Option("--seed", help="Of chance, and of what is written.")] = 1,
    unknown: options.Unknown = "error", html: Html = None, png: Png = None, as_json: Json = False,
    root: Root = DEFAULT_ROOT, cache: Cache = None,
) -> None:  # fmt: skip
    """Which units follow something: quotes, line ends, words, capitals, …; with what chance would give.

    The best unit is chosen on one half of the text and judged on the other. Then each is held at its mean while the
    network reads, which costs bits if the unit matters, and high and low while it writes.
    """
    check_forms(html, png)
    from charlstm.inspect.hypotheses import HYPOTHESES, own_hypothesis

    hypotheses = [*map(own_hypothesis, label or ()), *HYPOTHESES]
    read = read_subject(Asked(checkpoint, text, file, unknown, root, cache), length, LEAST, whole=True)
    from charlstm.inspect.pages.units import units_page
    from charlstm.inspect.units import find_units, strength

    say(f"reading {len(read.subject.ids):,} tokens")
    findings = sorted(
        find_units(read.subject, hypotheses, seed=seed),
        key=lambda each: (each.stands_out, strength(each.value, graded=each.hypothesis.graded)),
        reverse=True,
    )
    found = {finding.hypothesis.name for finding in findings}
    left_out = [hypothesis.name for hypothesis in hypotheses if hypothesis.name not in found]
    told = _told(read, findings, hold=hold, seed=seed)
    present_page(units_page(read.subject, told, left_out, foot=read.foot), html, png, as_json)


LEAST = 400
"""Tokens that the search for units needs; 20,000 tell much more."""
_ABLATED = 2000
"""Tokens that are read with each unit held at its mean."""
_HELD = 240
"""Tokens that are written with a unit held."""
_HOLDS = 6
"""How many units are held, the surest."""


def _told(read: Read, findings: list[Finding], *, hold: bool, seed: int) -> list[Told]:
    """Find out what the units of findings are for."""
    import numpy as np

    from charlstm.engine.network import Engine
    from charlstm.inspect.hold import Hold
    from charlstm.inspect.pages.units import Told
    from charlstm.inspect.telling import HIGH, bits_lost, write_held
    from charlstm.inspect.units import unit_values
    from charlstm.sampling.config import settings_for

    subject, checkpoint = read.subject, read.checkpoint
    if not findings:
        return []
    values = [*unit_values(subject, [finding.unit for finding in findings]).T]
    if checkpoint.architecture.bidirectional:
        say("a network that reads both ways cannot be stepped: no unit is held")
        return [Told(finding, each, None) for finding, each in zip(findings, values, strict=True)]
    engine = Engine.from_checkpoint(checkpoint)
    own = [np.arctanh(np.clip(each, -0.999999, 0.999999)) if f.unit.part == "c" else each
           for f, each in zip(findings, values, strict=True)]  # fmt: skip
    say(f"reading without each of {len(findings)} units")
    lost = bits_lost(
        engine, subject.ids[:_ABLATED], [finding.unit for finding in findings], np.array([each.mean() for each in own])
    )
    config = settings_for(checkpoint.writing, length=_HELD, seed=seed)
    told = []
    for number, (finding, each) in enumerate(zip(findings, values, strict=True)):
        samples = ["", ""]
        if hold and finding.stands_out and number < _HOLDS:
            ends = np.quantile(own[number], (1 - HIGH, HIGH))
            samples = [
                write_held(engine, Hold(finding.unit, float(end)), subject.ids[:0], config, checkpoint.writing.starts)
                for end in ends
            ]
        told.append(Told(finding, each, float(lost[number]), *samples))
    return told


@app.command(epilog=_examples("memory starter", "memory my-1 --file other.txt", "memory --html memory.html"))
def memory(
    checkpoint: options.Model = None, text: Text = None, file: File = None, length: Length = 20_000,
    seed: Annotated[int, typer.Option("--seed", help="Of the orders in which words are shuffled.")] = 1,
    unknown: options.Unknown = "error", html: Html = None, png: Png = None, as_json: Json = False,
    root: Root = DEFAULT_ROOT, cache: Cache = None,
) -> None:  # fmt: skip
    """How far back it looks: what is lost if earlier text is missing or shuffled, and the gradient by distance."""
    check_forms(html, png)
    from charlstm.checkpoint.format import check_causal

    read = read_subject(Asked(checkpoint, text, file, unknown, root, cache), length, 20, whole=True)
    check_causal(read.checkpoint, lacking="reads both ways, so it has no distance back")
    from charlstm.inspect.memory import measure_memory
    from charlstm.inspect.pages.memory import memory_page

    subject = read.subject
    say("reading with less and less of what stands before; half a minute or more")
    blank = None if subject.tokenizer.unknown_characters(" ") else int(subject.tokenizer.encode(" ")[0])
    found = measure_memory(subject.model, subject.ids, blank, seed=seed)
    present_page(memory_page(subject.name, found, foot=read.foot), html, png, as_json)


@app.command(epilog=_examples('surprise starter "It was a dark and stormy night."', "surprise my-1 --file poem.txt"))
def surprise(
    checkpoint: options.Model = None, text: Text = None, file: File = None, unknown: options.Unknown = "error",
    html: Html = None, png: Png = None, as_json: Json = False, root: Root = DEFAULT_ROOT, cache: Cache = None,
) -> None:  # fmt: skip
    """How unexpected each character was, what was expected instead, and what side inputs saved."""
    check_forms(html, png)
    from charlstm.inspect.pages.surprise import MOST_CHARACTERS, surprise_page

    read = read_subject(Asked(checkpoint, text, file, unknown, root, cache), MOST_CHARACTERS)
    from charlstm.inspect.surprise import nats_saved
    from charlstm.inspect.trace import trace

    traced = trace(read.subject.model, read.subject.ids)
    saved = nats_saved(read.subject, traced)
    present_page(surprise_page(read.subject, traced, saved, foot=read.foot), html, png, as_json)


@app.command(epilog=_examples("embeddings starter", "embeddings my-1 --html embeddings.html"))
def embeddings(
    checkpoint: options.Model = None, text: Text = None, file: File = None, length: Length = 20_000,
    unknown: options.Unknown = "error", html: Html = None, png: Png = None, as_json: Json = False,
    root: Root = DEFAULT_ROOT, cache: Cache = None,
) -> None:  # fmt: skip
    """Which characters it takes for alike: the nearest of each, and all in a plane."""
    check_forms(html, png)
    from charlstm.inspect.pages.embeddings import embeddings_page

    read = read_subject(Asked(checkpoint, text, file, unknown, root, cache), length, whole=True)
    present_page(embeddings_page(read.subject, foot=read.foot), html, png, as_json)


@app.command(epilog=_examples('attention my-1 "The tide was out." --at 10', "attention my-1 --html attention.html"))
def attention(
    checkpoint: options.Model = None, text: Text = None, file: File = None, at: At = -1,
    unknown: options.Unknown = "error", html: Html = None, png: Png = None, as_json: Json = False,
    root: Root = DEFAULT_ROOT, cache: Cache = None,
) -> None:  # fmt: skip
    """Which earlier characters a network with attention looks at."""
    check_forms(html, png)
    from charlstm.inspect.pages.attention import MOST_CHARACTERS, attention_page

    read = read_subject(Asked(checkpoint, text, file, unknown, root, cache), MOST_CHARACTERS)
    present_page(attention_page(read.subject, at, foot=read.foot), html, png, as_json)


@app.command(epilog=_examples('votes my-1 "The tide was out."', "votes my-1 --html votes.html"))
def votes(
    checkpoint: options.Model = None, text: Text = None, file: File = None, unknown: options.Unknown = "error",
    html: Html = None, png: Png = None, as_json: Json = False, root: Root = DEFAULT_ROOT, cache: Cache = None,
) -> None:  # fmt: skip
    """How the members of an ensemble vote on each character."""
    check_forms(html, png)
    from charlstm.inspect.pages.votes import MOST_CHARACTERS, votes_page

    read = read_subject(Asked(checkpoint, text, file, unknown, root, cache), MOST_CHARACTERS)
    present_page(votes_page(read.subject, foot=read.foot), html, png, as_json)
