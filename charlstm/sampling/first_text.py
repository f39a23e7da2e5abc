"""What a page shows before anything was asked for."""

from __future__ import annotations

import re

from charlstm.checkpoint.writing import Writing
from charlstm.engine.protocol import TextModel
from charlstm.sampling.config import settings_for
from charlstm.sampling.prompts import fit_prompt, prompt_ids
from charlstm.sampling.sampler import sample

_LENGTH = 240
_SHORTEST = 80
_ENDS = re.compile(r"[.!?][\"'”’]?(?=\s)")
"""Where a sentence ends."""


def first_text(model: TextModel, writing: Writing) -> str:
    """Return what a network writes after `Writing.opening`, to the end of a sentence if it comes to one.

    Args:
        model: the network.
        writing: how it writes.

    Returns:
        About 200 characters, always the same; nothing where there is no opening, or of a network that has read a list.
    """
    if writing.record or not writing.opening:
        return ""
    known, _ = fit_prompt(model.tokenizer, writing.opening, "skip")
    ids = prompt_ids(model.tokenizer, known, writing.record)
    drawn = sample(model, ids, settings_for(writing, length=_LENGTH, seed=1), starts=writing.starts)
    text = "".join(fragment.text for fragment in drawn)
    ends = [end.end() for end in _ENDS.finditer(text, _SHORTEST)]
    return text[: ends[-1]] if ends else text
