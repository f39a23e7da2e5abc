"""From what a person types to a network and a text to look into it with: shared by the views of ``inspect``."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charlstm.cli import options
from charlstm.cli.busy import yield_to_others
from charlstm.cli.interrupts import load_torch
from charlstm.cli.load_model import fit_prompt, prompt_text, read_model
from charlstm.cli.options import DEFAULT_ROOT, Cache, Root, cache_or_default
from charlstm.cli.views.terminal import counted, say
from charlstm.errors import CharlstmError, NotFoundError, TextError, UsageError
from charlstm.paths import starter_folder

if TYPE_CHECKING:
    from charlstm.checkpoint.format import Checkpoint
    from charlstm.inspect.subject import Subject
    from charlstm.tokenizers import Ids

Text = Annotated[
    str | None,
    typer.Argument(metavar="TEXT", help="What it reads. [default: what it was validated on]", show_default=False),
]
File = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="Read the text of a file; - is stdin.", show_default=False)
]


@dataclass(frozen=True)
class Asked:
    """What a person asked to look into: the options that all views of ``inspect`` have."""

    checkpoint: options.Model = None
    text: Text = None
    file: File = None
    unknown: options.Unknown = "error"
    root: Root = DEFAULT_ROOT
    cache: Cache = None


@dataclass(frozen=True)
class ReadText:
    """A network's file and a text that it knows."""

    name: str
    """Of the network, as a person calls it."""
    checkpoint: Checkpoint
    text: str
    ids: Ids
    foot: str
    """The last line of a page: model, text and version."""


@dataclass(frozen=True)
class Read:
    """A network and a text, ready to be looked into."""

    checkpoint: Checkpoint
    subject: Subject
    foot: str
    """The last line of a page: model, text and version."""


def read_subject(asked: Asked, most: int, least: int = 2, *, whole: bool = False) -> Read:
    """Load a network, and encode the text it is looked into with.

    Args:
        asked: what was typed. Without a text it is the part of the run's own text that it was validated on; where that
            is not here any more, as with the starter, the bundled one.
        most: tokens that the view shows; a longer text is cut, and that is said.
        least: tokens that the view needs.
        whole: whether it takes as much of the text as it may by default, rather than a screenful.

    Returns:
        The network and the text.

    Raises:
        CharlstmError: there is no such model or text, or the text cannot be used.
    """
    read = read_text(asked, most, least, whole=whole)
    load_torch()
    yield_to_others()
    from charlstm.engine.load import torch_model
    from charlstm.inspect.subject import Subject

    subject = Subject(read.name, torch_model(read.checkpoint), read.checkpoint.load_tokenizer(), read.ids)
    return Read(read.checkpoint, subject, read.foot)


def read_text(asked: Asked, most: int, least: int = 2, *, whole: bool = False) -> ReadText:
    """Read the file of a network and a text, without torch.

    Args:
        asked: as `read_subject`.
        most: tokens of the text that are used.
        least: tokens that the view needs.
        whole: as there.

    Returns:
        The network's file and the text.

    Raises:
        CharlstmError: there is no such model or text, or the text cannot be used.
    """
    if most < least:
        raise UsageError(f"--length {most} must be {least} or more")
    asked = _text_without_model(asked)
    path, checkpoint = read_model(asked.checkpoint, asked.root)
    name = path.parent.name if path.name == "model.safetensors" else path.stem
    if asked.text is None and asked.file is None:
        own = most if whole else min(most, _SCREEN)
        text, what = own_text(checkpoint, path, own, asked.cache, hint=_GIVE_ONE)
    else:
        text, what = given_text(asked.text, asked.file, checkpoint, path, most)
    from charlstm import __version__

    tokenizer = checkpoint.load_tokenizer()
    text = fit_prompt(tokenizer, text, asked.unknown, what="text")
    ids = tokenizer.encode(text)
    if len(ids) < least:
        few = f"the text has {counted(len(ids), 'token')}, and this view needs {least}"
        raise TextError(few, hint="Give a longer one.")
    if len(ids) > most:
        say(f"the text is longer than {most:,} tokens; the first {most:,} are shown")
        ids = ids[:most]
        text = tokenizer.decode(ids)
    return ReadText(name, checkpoint, text, ids, f"{name} · {what} · charlstm {__version__}")


_GIVE_ONE = 'Give one: charlstm inspect VIEW RUN "some text", or --file FILE.'
_SCREEN = 160
"""Tokens of a text that nobody chose."""
_LONGEST = 64
"""Characters, or bytes, of a token, at most: no more of a file is read than may be shown."""
_LINE = 200
"""Tokens among which a line is expected to end."""


def _text_without_model(asked: Asked) -> Asked:
    """If there is only one word, and it is no model but has blanks, it is the text."""
    only = asked.checkpoint
    if only is None or asked.text is not None or asked.file is not None or not any(map(str.isspace, only.strip())):
        return asked
    from charlstm.checkpoint.references import find_model
    from charlstm.checkpoint.store import Store

    try:
        find_model(Store(asked.root), only)
    except NotFoundError:
        return replace(asked, checkpoint=None, text=only)
    return asked


def given_text(text: str | None, file: Path | None, checkpoint: Checkpoint, path: Path, most: int) -> tuple[str, str]:
    """The text that was typed, or the beginning of the file, and what it is called.

    Args:
        text: as typed.
        file: to read instead.
        checkpoint: the network that is to read it.
        path: of its model.
        most: tokens that are wanted.

    Raises:
        TextError: it is empty.
        CharlstmError: the file cannot be read.
    """
    from charlstm.cli.load_model import Loaded

    loaded = Loaded(path, checkpoint, _HasTokenizer(checkpoint))
    text = prompt_text(text, file, loaded, what="text", most=_LONGEST * (most + 1))
    if not text:
        raise TextError("the text is empty", where=file or "", hint="Give one with some characters.")
    return text, "the text typed" if file is None else str(file)


def own_text(checkpoint: Checkpoint, path: Path, most: int, cache: Path | None, *, hint: str) -> tuple[str, str]:
    """The text that a network reads where none is given, and what that is called.

    Args:
        checkpoint: the network.
        path: of its model.
        most: tokens that are wanted.
        cache: charlstm's cache folder; None is the system's.
        hint: how a text is given, if this one is not here.

    Returns:
        The text, and what it is.

    Raises:
        UsageError: the text that it was trained on is not here any more.
    """
    if path.parent != starter_folder():
        try:
            return _validation_text(checkpoint, cache, most), "what it was validated on"
        except CharlstmError as fault:
            raise UsageError("the text that this network was trained on is not here any more", hint=hint) from fault
    from charlstm.corpora.catalogue import bundled

    english = "".join(part.read_text("utf-8") for part in bundled().values())
    unread = english[int(len(english) * 0.9) :]
    begin = unread.index("\n\n") + 2
    return unread[begin : begin + most], "the end of the bundled text, which it has not read"


class _HasTokenizer:
    """What reading a text needs of a model."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.tokenizer = checkpoint.load_tokenizer()


def _validation_text(checkpoint: Checkpoint, cache: Path | None, most: int) -> str:
    """The beginning of what the run was validated on, decoded."""
    from charlstm.corpora.known_text import load_known_text, training_and_validation

    data, tokenizer = checkpoint.run.data, checkpoint.load_tokenizer()
    sha256 = checkpoint.provenance.corpus.sha256
    folder = cache_or_default(cache)
    encoded = load_known_text(data, tokenizer, sha256, folder, sys.stdin.buffer, ("it has changed", ""))
    train, val = training_and_validation(encoded, data)
    ids = val if len(val) >= min(most, 100) else train
    text = tokenizer.decode(ids[: most + _LINE])
    begin = text.find("\n", 0, _LINE) + 1  # where a line begins, if one ends near the border
    return text[begin:].lstrip("\n")[:most]
