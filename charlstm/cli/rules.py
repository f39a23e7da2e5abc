"""The options of rules that a drawn text keeps, and the way from them to its guide."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charlstm.cli.load_model import Loaded, Writer, hints_without_encoding, prompt_text
from charlstm.cli.options import Source
from charlstm.cli.views.terminal import say
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.engine.protocol import TextModel
    from charlstm.sampling.rules.from_settings import Rules, RuleSettings
    from charlstm.tokenizers import Ids


@dataclass(frozen=True)
class LastingRules:
    """Rules that can be kept however long a text becomes."""

    max_line: Annotated[int, typer.Option("--max-line", help="Characters of a line, at most; 0 is off.")] = 0
    words: Annotated[bool, typer.Option("--words", help="Letters may form only words that the training text has.")] = (
        False
    )
    words_of: Annotated[
        Path | None, typer.Option("--words-of", metavar="FILE", help="Letters may form only words of this text.")
    ] = None
    no_copy: Annotated[
        int,
        typer.Option(
            "--no-copy", metavar="L", help="No L characters in a row, 20 or more, stand in the training text; 0 is off."
        ),
    ] = 0
    source: Source = None


@dataclass(frozen=True)
class AllRules(LastingRules):
    """Those and the rules that say what a text is from its beginning to its end."""

    match: Annotated[
        str | None,
        typer.Option("--match", metavar="REGEX", help="What is drawn matches this, from its beginning to its end."),
    ] = None
    starts: Annotated[
        str | None,
        typer.Option("--starts", metavar="A,B,C", help="The lines begin with these, in order; then the text ends."),
    ] = None
    rhyme: Annotated[bool, typer.Option("--rhyme", help="Write in pairs of lines that rhyme by their letters.")] = False
    particles: Annotated[
        int | None,
        typer.Option(
            "--particles",
            metavar="N",
            help="Draw N texts for each, and keep those that the rules fit best; 1 is off. [default: as rules need]",
        ),
    ] = None


def settings_of(given: LastingRules, loaded: Writer) -> RuleSettings:
    """Return the settings of the rules that were typed.

    Args:
        given: the options.
        loaded: the model.

    Raises:
        UsageError: a value cannot be, or two options exclude each other.
        CharlstmError: the file of words cannot be read.
    """
    from charlstm.sampling.rules.from_settings import RuleSettings

    if given.words and given.words_of:
        raise UsageError("--words and --words-of exclude each other", hint="Leave one of them out.")
    words: bool | str = given.words
    if given.words_of:
        words = prompt_text(None, given.words_of, loaded, "word list")
    lasting = RuleSettings(max_line=given.max_line, words=words, no_copy=given.no_copy)
    if not isinstance(given, AllRules):
        return lasting
    if given.starts == "":
        raise UsageError("--starts needs at least one beginning of a line", hint='Give some: --starts "S,E,A".')
    return replace(lasting, match=given.match, starts=given.starts or (), rhyme=given.rhyme, particles=given.particles)


def make_rules(settings: RuleSettings, loaded: Writer, sources: list[str] | None, cache: Path) -> Rules | None:
    """Return what makes the guide after any text; None without a rule.

    Args:
        settings: the rules.
        loaded: the model.
        sources: its training text, or None for where it was.
        cache: charlstm's cache folder.

    Raises:
        UsageError: a rule cannot be kept.
        CharlstmError: the training text is needed and is not there, or cannot be read.
    """
    from charlstm.sampling.rules.from_settings import Rules

    if not settings.given:
        return None
    with hints_without_encoding():
        return Rules(
            settings,
            loaded.model.tokenizer,
            own_words=loaded.words,
            record=loaded.writing.record,
            training_ids=partial(_training_ids, loaded, sources, cache) if isinstance(loaded, Loaded) else None,
        )


def shown(settings: RuleSettings) -> dict[str, object]:
    """The rules that are set, by name, as JSON has them; a list of words is left out."""
    values = asdict(settings) | {"words": settings.words is not False}
    names = (*settings.given, "particles") if settings.particles else settings.given
    return {name: values[name] for name in names}


def _training_ids(loaded: Loaded[TextModel], sources: list[str] | None, cache: Path) -> Ids:
    from charlstm.cli.views.progress import progress_bar
    from charlstm.corpora.training_text import training_ids

    saved = loaded.checkpoint
    with progress_bar("reading the training text") as progress:
        encoded = training_ids(saved, sources, cache, progress)
    if encoded.corpus_sha256 != saved.provenance.corpus.sha256:
        say(f"--no-copy: {encoded.name} is not, or no longer, the text that {saved.run.name} was trained on")
    return encoded.ids
