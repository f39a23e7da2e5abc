"""Filling the blanks of a text, with a causal network or a bidirectional one. NumPy only, no torch.

Candidates grow from the left, a token at a time, and the best K are kept (beam search). The text after a blank then
scores them: x fills it as well as the whole text is likely with x in it ::

    log p(x | left, right) = log p(x | left) + log p(right | left x) - a constant

A causal network proposes without seeing the right side, and scores every token to the end of the text. A bidirectional
one sees the right side as it proposes, and that is enough unless the length is variable: since p(x | left, right, n
masks) says nothing about n, a few tokens to the right are masked as well, and scored.

With a temperature above 0 the K candidates are drawn without replacement, and the answers are the first of them: see
`beam`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from charlstm.errors import UnknownCharacter
from charlstm.filling.blanks import Blank, Blanked, index_outside_blanks, parse
from charlstm.filling.config import FillConfig, Filling
from charlstm.filling.readers import Reader
from charlstm.filling.search import Search
from charlstm.sampling.prompts import Unknown, fit_prompt
from charlstm.tokenizers import Tokenizer

_PREVIEW_PERIOD, _PREVIEW_BLANK = 28, 4
"""A preview fills a blank of 4 tokens in every 28."""


def fit_text(tokenizer: Tokenizer, text: str, unknown: Unknown = "error") -> tuple[Blanked, Blanked, list[str]]:
    """Parse a text with blanks, and put it into characters of the model's alphabet.

    Args:
        tokenizer: the model's.
        text: with blanks as `blanks.parse` finds them.
        unknown: what happens to characters outside the alphabet, as in `prompts.fit_prompt`.

    Returns:
        The text as it was typed, the text as the network reads it, and a line about each character that was replaced.

    Raises:
        UnknownCharacter: a character is outside the alphabet.
        UsageError: there is no blank, or one of an impossible length.
    """
    typed = parse(text)
    try:
        _, notes = fit_prompt(tokenizer, "".join(typed.texts), unknown)
    except UnknownCharacter as fault:  # report its index in the text as typed, blanks included
        index = index_outside_blanks(text, fault.character)
        raise UnknownCharacter(fault.character, index, where="text", hint=fault.hint, facts=fault.facts) from None
    texts = tuple(fit_prompt(tokenizer, part, unknown)[0] for part in typed.texts)
    return typed, replace(typed, texts=texts), notes


def fill(
    reader: Reader,
    tokenizer: Tokenizer,
    blanked: Blanked,
    config: FillConfig,
    *,
    shown: Blanked | None = None,
    record: str = "",
) -> list[Filling]:
    """Fill blanks, the likeliest answer first.

    If the text ends with a blank, a word is assumed to end there.

    Args:
        reader: the network.
        tokenizer: its tokenizer; the length of a blank counts its tokens.
        blanked: the text, in characters of the tokenizer's alphabet.
        config: how many answers, and how they are found.
        shown: the text to show in the answers, if it differs from the text that is read.
        record: what ends a record, `checkpoint.writing.Writing.record`, of a network that has read a list: the text is
            one of them.

    Returns:
        ``config.count`` fillings, or all there are if those are fewer.

    Raises:
        CheckpointError: a logit of the network is not finite.
        UsageError: there is no token that may stand in a blank.
    """
    answers = Search(reader, tokenizer, blanked, config, record).run()
    return [Filling((shown or blanked).filled(blanks), blanks, share) for blanks, share in answers]


def preview(reader: Reader, tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """Fill blanks cut into a passage, and put the fillings in brackets; always the same for the same weights.

    Args:
        reader: the network.
        tokenizer: its tokenizer.
        ids: of the passage.

    Returns:
        The passage, its fillings in brackets.
    """
    texts = []
    for begin in range(0, len(ids), _PREVIEW_PERIOD):
        after_blank = begin + (_PREVIEW_BLANK if begin else 0)
        texts.append(tokenizer.decode(ids[after_blank : begin + _PREVIEW_PERIOD]))
    blanked = Blanked(tuple(texts), (Blank(_PREVIEW_BLANK, _PREVIEW_BLANK),) * (len(texts) - 1))
    if not blanked.blanks:
        return texts[0] if texts else ""
    best, *_ = fill(reader, tokenizer, blanked, FillConfig(candidates=10))
    return blanked.filled(tuple(f"[{filling}]" for filling in best.blanks))
