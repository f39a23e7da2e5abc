"""Filling blanks in a text, by a network that writes on or by one that reads both ways. NumPy only, no torch.

Candidates grow from the left, a token at a time, the best K kept (beam search). What stands behind a blank then weighs
them: x fills it as well as the whole text is likely with x in it ::

    log p(x | left, right) = log p(x | left) + log p(right | left x) - what is the same for every x

A network that writes on proposes blind and weighs every token to the text's end. One that reads both ways proposes with
the right side in view, and that is all, unless the length is free: as p(x | left, right, n hidden) tells nothing of n,
a few tokens of the right are hidden as well, and weighed.

With a temperature above 0 the K are drawn without replacement, and the answers from what was weighed: see `beam`.

Letters: B candidates side by side, V the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from charlstm.errors import UnknownCharacter
from charlstm.filling.blanks import Blank, Blanked, parse, place_of
from charlstm.filling.config import FillConfig, Filling
from charlstm.filling.readers import Reader
from charlstm.filling.search import Search
from charlstm.sampling.prompts import Unknown, fit_prompt
from charlstm.tokenizers import Tokenizer

_PREVIEW_EVERY = 28  # tokens from gap to gap


def fitted(
    tokenizer: Tokenizer, text: str, unknown: Unknown = "error", *, remedy: str = 'unknown="{}"'
) -> tuple[Blanked, Blanked, list[str]]:
    """A text with its blanks as it was typed, the same in characters the model can read, and a line about each change.

    Args:
        tokenizer: the model's.
        text: with blanks as `blanks.parse` reads them.
        unknown: what is read for a character the model does not know, as `prompts.fit_prompt`.
        remedy: as `prompts.fit_prompt`.

    Raises:
        UnknownCharacter: a character the model does not know.
        UsageError: no blank, or one that cannot be.
    """
    typed = parse(text)
    try:
        _, notes = fit_prompt(tokenizer, "".join(typed.texts), unknown, remedy=remedy)
    except UnknownCharacter as fault:  # its place is that in what was typed, the blanks among it
        place = place_of(text, fault.character)
        raise UnknownCharacter(fault.character, place, where="text", hint=fault.hint) from None
    texts = tuple(fit_prompt(tokenizer, part, unknown)[0] for part in typed.texts)
    return typed, replace(typed, texts=texts), notes


def fill(
    reader: Reader, tokenizer: Tokenizer, blanked: Blanked, config: FillConfig, *, shown: Blanked | None = None
) -> list[Filling]:
    """Fill blanks, the likeliest answer first.

    Where the text ends with a blank, a word is taken to end there.

    Args:
        reader: the network.
        tokenizer: its tokenizer; a blank is as many of its tokens.
        blanked: the text, in characters the tokenizer knows.
        config: how many answers, and how they are found.
        shown: the text as it is to stand in the answers, if that is not how it is read.

    Returns:
        ``config.count`` fillings, or as many as there are.

    Raises:
        CheckpointError: the network gave a number that is not finite.
        UsageError: there is no token that may stand in a blank.
    """
    answers = Search(reader, tokenizer, blanked, config).run()
    return [Filling((shown or blanked).filled(blanks), blanks, share) for blanks, share in answers]


def preview(reader: Reader, tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """A passage in which every so often four tokens are filled anew, in brackets; always the same for the same weights.

    Args:
        reader: the network.
        tokenizer: its tokenizer.
        ids: of the passage.
    """
    texts, gap = [], 4
    for begin in range(0, len(ids), _PREVIEW_EVERY):
        texts.append(tokenizer.decode(ids[begin + (gap if begin else 0) : begin + _PREVIEW_EVERY]))
    blanked = Blanked(tuple(texts), (Blank(gap, gap),) * (len(texts) - 1))
    if not blanked.blanks:
        return texts[0] if texts else ""
    best, *_ = fill(reader, tokenizer, blanked, FillConfig(candidates=10))
    return blanked.filled(tuple(f"[{filling}]" for filling in best.blanks))
