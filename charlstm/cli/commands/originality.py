"""``charlstm originality``: what a text copies from the text that a network was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charlstm.cli import options
from charlstm.cli.load_model import (
    Loaded,
    describe,
    hints_without_encoding,
    load,
    place_of,
    read_model,
    seed_or_random,
)
from charlstm.cli.options import DEFAULT_ROOT, Cache, Root
from charlstm.cli.views.pages import Forms
from charlstm.cli.views.terminal import say
from charlstm.errors import TextError, UsageError

if TYPE_CHECKING:
    from charlstm.checkpoint.format import Checkpoint
    from charlstm.corpora.training_text import TrainingText
    from charlstm.engine.protocol import TextModel
    from charlstm.inspect.originality import Originality
    from charlstm.report.blocks import Page

EPILOG = """Examples:

\b
  charlstm originality                             a sample of the newest run
  charlstm originality my-1 --length 10000         a longer sample of the run my-1
  charlstm originality my-1 poem.txt               a text of yours, or one that it wrote
  charlstm originality poem.txt --source book.txt  two texts and no network
  charlstm originality my-1 --source moved.txt     its training text has another place now
  charlstm originality my-1 --html copies.html     the same as a page
"""

app = options.one_command()

_LENGTH = 2000
_MOST = 100_000
"""Characters of a text that are measured."""
_LISTED, _SHORTEST = 5, 16
"""How many passages are listed, and the characters of the shortest."""


@app.command(epilog=EPILOG)
@options.gathered
def originality(
    forms: Forms,
    checkpoint: options.Model = None,
    text: Annotated[
        str | None,
        typer.Argument(metavar="TEXT", help="The text to measure. [default: a sample]", show_default=False),
    ] = None,
    source: options.Source = None,
    length: Annotated[int, typer.Option("--length", "-l", help="Tokens of the sample.")] = _LENGTH,
    seed: options.Seed = None,
    root: Root = DEFAULT_ROOT,
    cache: Cache = None,
) -> None:
    """Find what a text copies from the training text.

    Every passage of eight characters or more that stands word for word in the text that the network was trained on is
    found, and compared character by character. Beside the text stands held-out text: pieces of the validation part,
    which the network was not trained on, each as long as the text. Authors repeat themselves, too.

    Without TEXT the network writes a sample, with the settings that are stored with it.
    """
    forms.check()
    if not 1 <= length <= _MOST:
        raise UsageError(f"--length {length} must be 1 to {_MOST:,}")
    words = [word for word in (checkpoint, text) if word is not None]
    with hints_without_encoding():
        forms.present(_found(words, source, length, seed, root, options.cache_or_default(cache)))


def _found(words: list[str], source: list[str] | None, length: int, seed: int | None, root: Path, folder: Path) -> Page:
    """What is asked for, as a page; ``words`` are what was typed, ``folder`` the cache."""
    from charlstm.cli.model_or_text import model_or_source

    reference, measured = model_or_source(words, root)
    if measured is not None and reference is None and source:
        from charlstm.corpora.training_text import named_text

        trained = named_text(source, folder)
        return _page(_cut(_read(measured, None, folder), measured), trained, measured, None)
    from charlstm.corpora.training_text import training_text

    if measured is None:
        loaded = load(reference, root)
        path, saved, seed = loaded.path, loaded.checkpoint, seed_or_random(seed)
    else:
        path, saved = read_model(reference, root)
    trained = training_text(saved, source, folder)
    if trained.is_changed:
        say(f"{trained.name} is not, or no longer, the text that {saved.run.name} was trained on")
    if measured is None:
        say(describe(loaded, seed=seed))
        written, title = _sample(loaded, length, seed or 0), f"A sample of {saved.run.name}, seed {seed}"
    else:
        written, title = _cut(_read(measured, saved, folder), measured), measured
        say(f"beside the training text of {place_of(path)}")
    return _page(written, trained, title, saved)


def _page(written: str, trained: TrainingText, title: str, saved: Checkpoint | None) -> Page:
    from charlstm.inspect.pages.originality import originality_page

    of_bytes = saved is not None and saved.run.data.tokenizer == "byte"
    title = "standard input" if title == "-" else title
    found = _measure(written, trained)
    return originality_page(
        found,
        title=title,
        source=trained.name,
        of_bytes=of_bytes,
        notes=tuple(_notes(found, trained, saved)),
        foot=f"charlstm originality · {title} · {trained.name}",
    )


def _notes(found: Originality, trained: TrainingText, saved: Checkpoint | None) -> list[str]:
    """What could not be compared, in sentences."""
    notes = []
    if not found.held_out:
        notes.append("There is no held-out text to compare with.")
    elif len(found.held_out[0].text) < len(found.written.text):
        notes.append("The held-out text is shorter than this one, so its copies are, too.")
    origin = "" if saved is None else saved.provenance.init_from.partition(" ")[0]
    if origin:
        notes.append(f"The text that {origin} had read before, which training began with, was not searched.")
    return notes


def _measure(written: str, trained: TrainingText) -> Originality:
    from dataclasses import replace

    from charlstm.cli.views.progress import progress_bar
    from charlstm.inspect.originality import located, measure, spread

    begins = spread(trained.border, trained.size, len(written))
    held_out = [piece for piece in trained.excerpts(begins, len(written)) if piece]
    with progress_bar("searching") as progress:

        def searched() -> object:
            done = 0
            for _, text in trained.trained():
                yield text
                done += len(text)
                progress(done, trained.border)

        found = measure(written, held_out, searched())  # type: ignore[arg-type]
    passages = located(found.written.passages(_LISTED, _SHORTEST), trained.trained())
    if trained.is_list:
        passages = tuple(replace(passage, line=0) for passage in passages)
    return replace(found, passages=passages)


def _read(source: str, saved: Checkpoint | None, cache: Path) -> str:
    """A text as training reads one; of a model of bytes one character for each byte."""
    import sys

    from charlstm.corpora.decode import Decoding
    from charlstm.corpora.sources import open_sources

    newlines = "normalise" if saved is None else saved.run.data.newlines
    corpus = open_sources((source,), decoding=Decoding(newlines=newlines), stdin=sys.stdin.buffer, cache=cache)
    of_bytes = saved is not None and saved.run.data.tokenizer == "byte"
    pieces = (block.decode("latin-1") for block in corpus.raw_chunks()) if of_bytes else corpus.chunks()
    text = ""
    for piece in pieces:
        text += piece
        if len(text) > _MOST:
            break
    return text


def _cut(text: str, name: str) -> str:
    if not text:
        raise TextError("empty, so there is nothing to measure", where=name)
    if len(text) > _MOST:
        say(f"the first {_MOST:,} characters of {name} are measured")
    return text[:_MOST]


def _sample(loaded: Loaded[TextModel], length: int, seed: int) -> str:
    """What the network writes by default; of a model of bytes one character for each byte."""
    from charlstm.sampling.config import settings_for
    from charlstm.sampling.records import draw_records
    from charlstm.sampling.sampler import sample

    saved = loaded.checkpoint
    writing, of_bytes = saved.writing, saved.run.data.tokenizer == "byte"
    if writing.record:
        text = ""
        config = settings_for(writing, length=0, seed=seed)
        for record in draw_records(loaded.model, writing, saved.records, config, length):
            text += record.text + writing.record
            if len(text) >= length:
                break
        return text
    config = settings_for(writing, length=length, seed=seed)
    text = "".join(fragment.text for fragment in sample(loaded.model, (), config, starts=writing.starts, raw=of_bytes))
    return text.encode("utf-8", "surrogateescape").decode("latin-1") if of_bytes else text
