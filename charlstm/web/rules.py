"""The rules that drawn text keeps."""

from __future__ import annotations

from charlstm.sampling.guides import Guide
from charlstm.sampling.words import Vocabulary, WordGuide
from charlstm.web.asks import Draws
from charlstm.web.desk import Opened


def guide_of(opened: Opened, asked: Draws, text: str) -> Guide | None:
    """The guide of a request, after its text.

    Args:
        opened: the network.
        asked: the request.
        text: in characters of the alphabet.

    Returns:
        The guide, or None where everything is allowed.

    Raises:
        UsageError: a rule cannot be kept.
    """
    guide: Guide | None = None
    if asked.words:
        vocabulary = Vocabulary(opened.network.words, opened.tokenizer)
        guide = WordGuide.after_text(vocabulary, text)
    return guide
