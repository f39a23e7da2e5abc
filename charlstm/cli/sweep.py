"""``charlstm sample --sweep``: the same prompt and seed at several values of a setting."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from charlstm.cli.load_model import Loaded
from charlstm.cli.views.pages import Forms
from charlstm.cli.views.sweep import show_columns
from charlstm.cli.views.terminal import is_terminal
from charlstm.corpora.training_text import training_text
from charlstm.errors import NotFoundError
from charlstm.inspect.pages.sweep import sweep_page
from charlstm.inspect.sweep import sweep

if TYPE_CHECKING:
    from charlstm.engine.protocol import TextModel
    from charlstm.sampling.config import SampleConfig
    from charlstm.sampling.sampler import Fragment


def present_sweep(
    loaded: Loaded[TextModel],
    draw: Callable[[SampleConfig], Iterable[tuple[str, Sequence[Fragment]]]],
    config: SampleConfig,
    setting: tuple[str, Sequence[float]],
    forms: Forms,
    *,
    echo: str,
    sources: list[str] | None,
    cache: Path,
) -> None:
    """Draw the texts and show them: side by side on a terminal, as a page, as a picture, as JSON.

    Args:
        loaded: the model.
        draw: draws texts with some settings.
        config: all settings.
        setting: what is swept, and its values.
        forms: the files that are written, and whether stdout gets the data.
        echo: the prompt, or nothing.
        sources: the training text, or None for where it was.
        cache: charlstm's cache folder.

    Raises:
        UsageError: a value is out of range.
        CharlstmError: the training text cannot be read, or a file not be written.
    """
    name, values = setting
    saved, tokenizer = loaded.checkpoint, loaded.model.tokenizer
    of_bytes = tokenizer.kind == "byte"
    try:
        text = None if of_bytes else training_text(saved, sources, cache)
    except NotFoundError:
        if sources:
            raise
        text = None
    swept = sweep(
        draw,
        config,
        name,
        values,
        characters=lambda ids: len(ids) if of_bytes else len(tokenizer.decode(ids)),
        words=saved.words,
        source=None if text is None else (piece for _, piece in text.trained()),
    )
    label, unit = name.replace("_", "-"), "byte" if of_bytes else "character"
    title = f"{saved.run.name} at several values of {label}, seed {config.seed}"
    page = sweep_page(swept, name, title=title, prompt=echo, unit=unit, foot=f"charlstm sample · {loaded.path}")
    if forms.as_json or not is_terminal(sys.stdout):
        forms.present(page)
    else:
        show_columns(swept, label, echo, unit)
        forms.write(page)
