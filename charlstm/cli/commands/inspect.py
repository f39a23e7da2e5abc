"""``charlstm inspect``: look into a trained network while it reads a text."""

from __future__ import annotations

from typing import Annotated

import typer

from charlstm.cli.lazy_group import LINES
from charlstm.cli.options import gathered
from charlstm.cli.reading import Asked, read_subject, read_text
from charlstm.cli.views.pages import Forms
from charlstm.cli.views.progress import progress_bar
from charlstm.cli.views.terminal import counted, say

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help=LINES["inspect"])


def _examples(*lines: str) -> str:
    return "\b\nExamples:\n" + "\n".join(f"  charlstm inspect {line}" for line in lines)


At = Annotated[int, typer.Option("--at", help="The character that is shown, from 0; -1 is the last.")]
Length = Annotated[int, typer.Option("--length", min=1, help="Characters of the text that are read.")]


@app.command(epilog=_examples(
    'step starter "The tide was out." --at 4', "step my-1 --unit 7 --unit 12 --layer 2", "step --html step.html"
))  # fmt: skip
@gathered
def step(
    asked: Asked,
    forms: Forms,
    at: At = -1,
    layer: Annotated[int, typer.Option("--layer", min=1, help="The layer, from 1, the lowest.")] = 1,
    unit: Annotated[
        list[int] | None, typer.Option("--unit", help="A unit, from 0; may be repeated. [default: the two busiest]")
    ] = None,
    stack: Annotated[
        str, typer.Option("--stack", help="Of an ensemble a member: layers, layers_2, …; or backwards.")
    ] = "layers",
) -> None:
    """The microscope: one step of a layer, every equation with its numbers, in words.

    The page of --html has all characters of the text; ← and → move through them.
    """
    forms.check()
    from charlstm.inspect.pages.step import MOST_CHARACTERS, step_page

    read = read_subject(asked, MOST_CHARACTERS, least=1)
    forms.present(step_page(read.subject, at, stack=stack, layer=layer - 1, units=tuple(unit or ()), foot=read.foot))


@app.command(epilog=_examples('gates starter "The tide was out."', "gates my-1 --html gates.html", "gates --json"))
@gathered
def gates(asked: Asked, forms: Forms) -> None:
    """Gates, candidate, cell state and hidden state of every unit over a text, as heat maps."""
    forms.check()
    from charlstm.inspect.pages.gates import MOST_CHARACTERS, gates_page

    read = read_subject(asked, MOST_CHARACTERS)
    forms.present(gates_page(read.subject, foot=read.foot))


@app.command(epilog=_examples(
    "units starter", "units my-1 --file other.txt", r"units --label '\bI\b' --no-hold", "units --html units.html"
))  # fmt: skip
@gathered
def units(
    asked: Asked,
    forms: Forms,
    label: Annotated[
        list[str] | None, typer.Option("--label", metavar="REGEX", help="Also look for what follows its matches.")
    ] = None,
    length: Length = 20_000,
    hold: Annotated[bool, typer.Option("--hold/--no-hold", help="Write with the units held high and low.")] = True,
    seed: Annotated[int, typer.Option("--seed", help="Of chance, and of what is written.")] = 1,
) -> None:
    """Which units follow something: quotes, line ends, words, capitals, …; with what chance would give.

    The best unit is chosen on one half of the text and judged on the other. Then each is held at its mean while the
    network reads, which costs bits if the unit matters, and high and low while it writes.
    """
    forms.check()
    from charlstm.inspect.hypotheses import HYPOTHESES, own_hypothesis
    from charlstm.sampling.config import require_seed, settings_for

    require_seed(seed)
    hypotheses = [*map(own_hypothesis, label or ()), *HYPOTHESES]
    read = read_subject(asked, length, _LEAST, whole=True)
    from charlstm.engine.network import Engine
    from charlstm.inspect.pages.units import units_page
    from charlstm.inspect.telling import tell
    from charlstm.inspect.units import find_units, surest_first

    subject, checkpoint = read.subject, read.checkpoint
    say(f"reading {len(subject.ids):,} tokens")
    with progress_bar("comparing", "steps") as progress:
        findings = surest_first(find_units(subject, hypotheses, seed=seed, progress=progress))
    found = {finding.hypothesis.name for finding in findings}
    left_out = [hypothesis.name for hypothesis in hypotheses if hypothesis.name not in found]
    if checkpoint.architecture.bidirectional:
        say("a network that reads both ways cannot be stepped: no unit is held")
        engine = None
    else:
        say(f"reading with {counted(len(findings), 'unit')} held, one at a time")
        engine = Engine.from_checkpoint(checkpoint)
    config = settings_for(checkpoint.writing, length=_WRITTEN, seed=seed) if hold else None
    told = [*tell(subject, findings, engine, config, checkpoint.writing.starts)]
    forms.present(units_page(subject, told, left_out, foot=read.foot))


_LEAST = 400
"""Tokens that the search for units needs; 20,000 tell much more."""
_WRITTEN = 240
"""Tokens that are written with a unit held."""


@app.command(epilog=_examples("memory starter", "memory my-1 --file other.txt", "memory --html memory.html"))
@gathered
def memory(
    asked: Asked,
    forms: Forms,
    length: Length = 20_000,
    seed: Annotated[int, typer.Option("--seed", help="Of the orders in which words are shuffled.")] = 1,
) -> None:
    """How far back it looks: what is lost if earlier text is missing or shuffled, and the gradient by distance."""
    forms.check()
    from charlstm.checkpoint.format import check_causal
    from charlstm.sampling.config import require_seed

    require_seed(seed)
    read = read_subject(asked, length, 20, whole=True)
    check_causal(read.checkpoint, lacking="reads both ways, so it has no distance back")
    from charlstm.inspect.memory import measure_memory
    from charlstm.inspect.pages.memory import memory_page

    subject = read.subject
    say("reading with less and less of what stands before")
    blank = None if subject.tokenizer.unknown_characters(" ") else int(subject.tokenizer.encode(" ")[0])
    with progress_bar("reading", "tokens") as progress:
        found = measure_memory(subject.model, subject.ids, blank, seed=seed, progress=progress)
    forms.present(memory_page(subject.name, found, foot=read.foot))


@app.command(epilog=_examples('surprise starter "It was a dark and stormy night."', "surprise my-1 --file poem.txt"))
@gathered
def surprise(asked: Asked, forms: Forms) -> None:
    """How unexpected each character was, what was expected instead, and what side inputs saved."""
    forms.check()
    from charlstm.inspect.pages.surprise import MOST_CHARACTERS, surprise_page

    read = read_subject(asked, MOST_CHARACTERS)
    from charlstm.inspect.surprise import nats_saved
    from charlstm.inspect.trace import trace

    traced = trace(read.subject.model, read.subject.ids)
    saved = nats_saved(read.subject, traced)
    forms.present(surprise_page(read.subject, traced, saved, foot=read.foot))


@app.command(epilog=_examples(
    'fan starter "The tide was"', 'fan starter "She shook her head. " --least 0.005', 'fan my-1 --html fan.html'
))  # fmt: skip
@gathered
def fan(
    asked: Asked,
    forms: Forms,
    depth: Annotated[int, typer.Option("--depth", min=1, help="Tokens of a way to go on, at most.")] = 24,
    least: Annotated[float, typer.Option("--least", help="The probability below which a way is left out.")] = 0.002,
) -> None:
    """How the text can go on, and how likely each way is."""
    forms.check()
    from charlstm.checkpoint.format import check_causal
    from charlstm.inspect.pages.fan import MOST_CHARACTERS, fan_page

    read = read_text(asked, MOST_CHARACTERS, least=1)
    check_causal(read.checkpoint, lacking="reads both ways, so it has no next character")
    from charlstm.engine.auto_threads import AutoThreadsEngine
    from charlstm.inspect.futures import futures_of
    from charlstm.sampling.prompts import prompt_ids

    engine = AutoThreadsEngine.from_checkpoint(read.checkpoint)
    ids = prompt_ids(engine.tokenizer, read.text, read.checkpoint.writing.record)
    futures = futures_of(engine, read.text, ids, depth=depth, least=least)
    forms.present(fan_page(read.name, futures, least, foot=read.foot))


@app.command(epilog=_examples("embeddings starter", "embeddings my-1 --html embeddings.html"))
@gathered
def embeddings(asked: Asked, forms: Forms, length: Length = 20_000) -> None:
    """Which characters it takes for alike: the nearest of each, and all in a plane."""
    forms.check()
    from charlstm.inspect.pages.embeddings import embeddings_page

    read = read_subject(asked, length, whole=True)
    forms.present(embeddings_page(read.subject, foot=read.foot))


@app.command(epilog=_examples('attention my-1 "The tide was out." --at 10', "attention my-1 --html attention.html"))
@gathered
def attention(asked: Asked, forms: Forms, at: At = -1) -> None:
    """Which earlier characters a network with attention looks at."""
    forms.check()
    from charlstm.inspect.pages.attention import MOST_CHARACTERS, attention_page

    read = read_subject(asked, MOST_CHARACTERS)
    forms.present(attention_page(read.subject, at, foot=read.foot))


@app.command(epilog=_examples('votes my-1 "The tide was out."', "votes my-1 --html votes.html"))
@gathered
def votes(asked: Asked, forms: Forms) -> None:
    """How the members of an ensemble vote on each character."""
    forms.check()
    from charlstm.inspect.pages.votes import MOST_CHARACTERS, votes_page

    read = read_subject(asked, MOST_CHARACTERS)
    forms.present(votes_page(read.subject, foot=read.foot))
