"""Which of the words that ``charlstm eval`` or ``originality`` was given is the model, and which are texts."""

from __future__ import annotations

import os
from pathlib import Path

from charlstm.checkpoint.format import read_header
from charlstm.checkpoint.references import find_model
from charlstm.checkpoint.store import Store
from charlstm.corpora.sources import STDIN, names
from charlstm.corpora.synthetic import PREFIX
from charlstm.errors import CharlstmError, CheckpointError, UsageError


def model_and_sources(words: list[str], root: Path) -> tuple[str | None, list[str]]:
    """Tell the model from the texts: the first word may be either.

    Args:
        words: what was typed.
        root: the folder of runs.

    Returns:
        The reference of the model, None for the default one; and the sources of the text.

    Raises:
        UsageError: there is no text; or a single word means both a model and a text.
        NotFoundError: the first of several words is neither.
    """
    if not words:
        raise UsageError("no TEXT to score", hint="Try: charlstm eval other.txt")
    first, *others = words
    model = _model_file(first, root)
    if model is None:
        if others and not _is_text(first, None):
            find_model(Store(root), first)  # raises the error that names runs with a similar name
        return None, words
    if others:
        return first, others
    if _is_text(first, model):
        hint = f"For the text: charlstm eval latest {first}; for the model: charlstm eval {first} TEXT"
        raise UsageError(f"{first!r} is a model and also a text", hint=hint)
    raise UsageError(f"{first!r} is a model, and the TEXT is missing", hint=f"Try: charlstm eval {first} other.txt")


def model_or_source(words: list[str], root: Path) -> tuple[str | None, str | None]:
    """Tell a model from a text where each of them may be missing.

    Args:
        words: what was typed, at most two.
        root: the folder of runs.

    Returns:
        The reference of the model, and the source of the text; None for what is missing.

    Raises:
        UsageError: a single word means both a model and a text.
        NotFoundError: it is neither.
    """
    if len(words) == 2:
        return words[0], words[1]
    for word in words:
        model = _model_file(word, root)
        if model is None:
            if not _is_text(word, None):
                find_model(Store(root), word)  # raises the error that names runs with a similar name
            return None, word
        if _is_text(word, model):
            hint = f"For the text: ./{word} or its path; for the model: {root / word}"
            raise UsageError(f"{word!r} is a model and also a text", hint=hint)
        return word, None
    return None, None


def _model_file(word: str, root: Path) -> Path | None:
    """The model file that a word refers to, if it does; `find_model` takes any file for one."""
    store = Store(root)
    try:
        path = find_model(store, word)
        if path.suffix != ".safetensors":
            read_header(path)
    except CheckpointError:
        return None
    except CharlstmError:
        # A run without a model is still meant as one: reading it raises the right error.
        return root / word if word in {entry.name for entry in store.runs()} else None
    return path


def _is_text(word: str, model: Path | None) -> bool:
    """Whether a word names a text; a file or folder that is the model itself does not."""
    path = Path(os.path.expanduser(word))
    is_model = model is not None and path in (model, model.parent)
    named = word in (STDIN, *names()) or word.startswith(PREFIX)
    return named or (os.path.lexists(path) and not is_model) or any(sign in word for sign in "*?[")
